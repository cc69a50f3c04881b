"""A real InfluxDB for tests: Debian's 1.6 behind nginx, or the one ``COOLCAP_INFLUX_URL`` names.

InfluxDB 1.6 has no ``/api/v2/write`` (1.8 has); nginx rewrites it to ``/write``. Both listen on
loopback ports of their own, keep their files in a folder of the test and end by their process id.

For a server of your own set ``COOLCAP_INFLUX_URL``; databases named ``coolcap_test…`` are made
there and dropped. A server of version 2 or 3 also needs ``COOLCAP_INFLUX_TOKEN``,
``COOLCAP_INFLUX_ORG`` and ``COOLCAP_INFLUX_BUCKET``: an empty bucket, open to InfluxQL under its
own name as database. What needs a database of its own is skipped there.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coolcap_agent.sink.influx import InfluxTarget

START_WITHIN_S = 20.0
QUERY_WITHIN_S = 60.0
HOW_TO_GET = (
    "needs Debian's influxdb and nginx (scripts/install_test_servers.sh installs them) "
    "or COOLCAP_INFLUX_URL"
)

_INFLUXD_CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
  logging-enabled = false
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[coordinator]
[retention]
  enabled = false
[shard-precreation]
  enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http_port}"
  log-enabled = false
[logging]
  level = "error"
[continuous_queries]
  enabled = false
"""

# `set` must come before `rewrite ... break`: afterwards the arguments are gone.
_NGINX_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  map $arg_precision $v1_precision {{ default n; ns n; us u; ms ms; s s; }}
  server {{
    listen 127.0.0.1:{port};
    location = /api/v2/write {{
      set $v1_arguments "db=$arg_bucket&precision=$v1_precision";
      rewrite ^ /write?$v1_arguments? break;
      proxy_pass http://127.0.0.1:{http_port};
    }}
    location / {{ proxy_pass http://127.0.0.1:{http_port}; }}
  }}
}}
"""


def program(name: str) -> str | None:
    """Return where a server's program is; Debian keeps some outside of a user's path."""
    return shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One series of an answer: tags, and a list of values per column."""

    name: str
    tags: dict[str, str]
    columns: dict[str, list[Any]]


class QueryError(Exception):
    """The server refused a query."""


@dataclass(slots=True, kw_only=True)
class InfluxServer:
    """A server that answers InfluxQL and takes ``/api/v2/write``."""

    url: str
    org: str = "coolcap"
    token: str = ""
    bucket: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def target(self, database: str) -> InfluxTarget:
        """Return where a sink writes to ``database``."""
        return InfluxTarget(
            url=self.url, org=self.org, bucket=self.bucket or database, token=self.token
        )

    def create(self, database: str) -> None:
        """Create an empty database; a bucket given from outside is left as it is."""
        # On somebody's server nothing of theirs may go.
        assert database.startswith("coolcap_test"), database
        if not self.bucket:
            self._get(f'DROP DATABASE "{database}"; CREATE DATABASE "{database}"', "")

    def query(
        self, text: str, *, database: str, epoch: str = "ms", timeout_s: float = QUERY_WITHIN_S
    ) -> list[list[Answered]]:
        """Return the series of each statement of ``text``.

        Raises:
            QueryError: With the server's words.
        """
        body = self._get(text, self.bucket or database, epoch, timeout_s)
        found: list[list[Answered]] = []
        for result in body["results"]:
            if "error" in result:
                raise QueryError(f"{result['error']}: {text}")
            found.append([_answered(series) for series in result.get("series", [])])
        return found

    def _get(
        self, text: str, database: str, epoch: str = "ms", timeout_s: float = QUERY_WITHIN_S
    ) -> dict[str, Any]:
        arguments = urllib.parse.urlencode({"q": text, "db": database, "epoch": epoch})
        request = urllib.request.Request(
            f"{self.url}/query", data=arguments.encode(), headers=self.headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise QueryError(f"{error.read().decode(errors='replace')}: {text}") from None


def _answered(series: dict[str, Any]) -> Answered:
    columns = zip(series["columns"], zip(*series["values"], strict=True), strict=True)
    return Answered(
        name=series.get("name", ""),
        tags=series.get("tags", {}),
        columns={name: list(values) for name, values in columns},
    )


class LocalInfluxServer(InfluxServer):
    """InfluxDB 1.6 and nginx as processes of the test.

    Args:
        folder: Where both keep their files.
    """

    __slots__ = ("_folder", "_http_port", "_processes")

    def __init__(self, folder: Path) -> None:
        port, self._http_port, rpc_port = free_port(), free_port(), free_port()
        super().__init__(url=f"http://127.0.0.1:{port}")
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        ports = {"port": port, "http_port": self._http_port, "rpc_port": rpc_port}
        (folder / "influxd.conf").write_text(_INFLUXD_CONFIG.format(folder=folder, **ports))
        (folder / "nginx.conf").write_text(_NGINX_CONFIG.format(folder=folder, **ports))
        self._start("nginx", ["-p", str(folder), "-c", str(folder / "nginx.conf")])
        self.start_database()

    def start_database(self) -> None:
        """Start InfluxDB, again after :meth:`stop_database`, and wait until it answers."""
        self._start("influxd", ["-config", str(self._folder / "influxd.conf")])
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/ping", timeout=1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        log = (self._folder / "influxd.log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"InfluxDB did not answer within {START_WITHIN_S:g} s:\n{log[-2000:]}")

    def cpu_s(self) -> float:
        """Return the CPU time the database has taken."""
        fields = Path(f"/proc/{self._processes['influxd'].pid}/stat").read_text().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def stop_database(self, *, kill: bool = False) -> None:
        """Stop InfluxDB; nginx goes on and answers 502."""
        self._end("influxd", kill=kill)

    def stop(self) -> None:
        """Stop both."""
        for name in list(self._processes):
            self._end(name)

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [program(name) or name, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end(self, name: str, *, kill: bool = False) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10.0)


def given_server() -> InfluxServer | None:
    """Return the server the environment names, if it does."""
    url = os.environ.get("COOLCAP_INFLUX_URL", "")
    if not url:
        return None
    token = os.environ.get("COOLCAP_INFLUX_TOKEN", "")
    return InfluxServer(
        url=url.rstrip("/"),
        org=os.environ.get("COOLCAP_INFLUX_ORG", "coolcap"),
        token=token,
        bucket=os.environ.get("COOLCAP_INFLUX_BUCKET", ""),
        headers={"Authorization": f"Token {token}"} if token else {},
    )


def can_start() -> bool:
    """Return whether both programs are installed."""
    return program("influxd") is not None and program("nginx") is not None
