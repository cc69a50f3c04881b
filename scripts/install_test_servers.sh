#!/usr/bin/env bash
# Install the programs that some tests talk to, from Debian's or Ubuntu's packages: InfluxDB 1 with
# nginx in front of it, VictoriaMetrics, Prometheus, Chromium, and etcd. Without them those tests are
# skipped and say so.
# usage: install_test_servers.sh
set -euo pipefail

packages=(influxdb nginx-light victoria-metrics prometheus chromium etcd-server)
PATH=$PATH:/usr/sbin

missing=()
for package in "${packages[@]}"; do
  case $package in
    influxdb) program=influxd ;;
    nginx-light) program=nginx ;;
    etcd-server) program=etcd ;;
    *) program=$package ;;
  esac
  command -v "$program" >/dev/null || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "test servers: all installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "test servers: no apt-get here; install ${missing[*]} by hand, or set COOLCAP_INFLUX_URL" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "test servers: run as root, or: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi

# The tests start them on ports of their own; as services they would only be in the way. Debian asks
# this script, where there is one, whether a package may start its service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
  apt-get update >/dev/null
  apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null
}
echo "test servers: installed ${missing[*]}"
