"""The unit file: hardened, and its commands do what systemd relies on, also after SIGKILL."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from coolcap_agent import certs
from support.daemons import DaemonSite, daemon_site, wait_for

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "coolcap-node.service"
EXPOSURE_MAX = 2.5
"""Of 10, as systemd-analyze counts; CAP_SYS_ADMIN, devices and the network are the rest."""


class Unit(ConfigParser):
    """A unit file, whose keys may stand several times: the last one is kept."""

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None, comment_prefixes=("#",))
        self.read(UNIT)

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def command(self, key: str, config: Path) -> list[str]:
        """Return a command of the unit with this Python and another config."""
        program, *words = shlex.split(self["Service"][key].lstrip("-"))
        assert program == "/opt/coolcap/bin/coolcap"
        words = [str(config) if word == "/etc/coolcap/node.toml" else word for word in words]
        return [sys.executable, "-m", "coolcap_agent", *words]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(
        tmp_path_factory.mktemp("pki"), agents=["node-1"], controllers=["control"]
    )


@pytest.fixture
def site(tmp_path: Path, pki: certs.Pki) -> Iterator[DaemonSite]:
    with daemon_site(tmp_path, pki) as site:
        yield site


def test_systemd_rates_the_unit_as_hardened() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    threshold = f"--threshold={EXPOSURE_MAX * 10:.0f}"
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", threshold, UNIT],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-400:] + done.stderr
    assert "Overall exposure level" in done.stdout


def test_systemd_understands_every_line_of_the_unit() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False
    )

    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert [line for line in complaints if "is not executable" not in line] == []


def test_unit_has_one_capability_and_only_nvidias_devices() -> None:
    service = Unit()["Service"]

    assert service["CapabilityBoundingSet"] == "CAP_SYS_ADMIN"
    assert service["DevicePolicy"] == "closed"
    text = UNIT.read_text()
    allowed = [line.split("=")[1] for line in text.splitlines() if line.startswith("DeviceAllow")]
    assert allowed
    assert all(device.startswith("char-nvidia") for device in allowed)


def test_agent_reports_ready_feeds_the_watchdog_and_says_that_it_stops(site: DaemonSite) -> None:
    agent = site.node()
    path = str(site.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20.0)
        process = subprocess.Popen(
            Unit().command("ExecStart", agent.path),
            env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"},
            stderr=subprocess.DEVNULL,
        )
        site.processes.append(process)  # type: ignore[arg-type]
        said = [manager.recv(100) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        while said[-1] == b"WATCHDOG=1":
            said.append(manager.recv(100))
        assert process.wait(20.0) == 0

    assert said[0] == b"READY=1"
    assert said[1:4] == [b"WATCHDOG=1"] * 3
    assert said[-1] == b"STOPPING=1"


def test_agent_that_hangs_feeds_no_watchdog(site: DaemonSite) -> None:
    agent = site.node()
    path = str(site.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20.0)
        process = subprocess.Popen(
            Unit().command("ExecStart", agent.path),
            env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"},
            stderr=subprocess.DEVNULL,
        )
        site.processes.append(process)  # type: ignore[arg-type]
        assert manager.recv(100) == b"READY=1"
        process.send_signal(signal.SIGSTOP)
        manager.settimeout(0.5)
        heard = 0
        said = b"WATCHDOG=1"
        while said:  # what was sent before it stopped
            try:
                said = manager.recv(100)
            except TimeoutError:
                said = b""
            heard += 1
        assert heard < 5


def test_what_runs_after_a_kill_restores(site: DaemonSite) -> None:
    from agent.node.test_processes import cap

    agent = site.node()
    agent.start()
    cap(site, agent, 300.0, 250.0)
    agent.end(signal.SIGKILL)
    assert site.power_limits_w()[:2] == [300.0, 250.0]

    done = subprocess.run(
        Unit().command("ExecStopPost", agent.path), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert '"restored_count": 2' in done.stdout
    assert site.power_limits_w()[:2] == [500.0, 500.0]


def test_lock_shows_by_its_time_that_the_agent_is_alive(site: DaemonSite) -> None:
    agent = site.node()
    agent.launch()
    lock = agent.state_dir / "lock"
    wait_for(lock.exists, "there is no lock")
    os.utime(lock, (0.0, 0.0))

    wait_for(lambda: time.time() - lock.stat().st_mtime < 60.0, "nobody touches the lock")
