"""Configs, certificates and real processes of node and plant agents on a small shared hall."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio

from coolcap_agent import certs
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import load_tls
from support.small_hall import SmallHall

TTL_S = 1.0
PATIENCE_S = 20.0

PLANT_LIMITS = """
[limits.levers.supply_air_temp_setpoint_c]
low = 16.0
high = 27.0
rise_max_per_min = 50.0
fall_max_per_min = 50.0
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Agent:
    """One agent: its config, and its process while it runs."""

    def __init__(
        self, site: "DaemonSite", kind: str, name: str, limits: str, top: str = ""
    ) -> None:
        self.site, self.kind, self.name = site, kind, name
        self.address = Address(host="127.0.0.1", port=free_port())
        self.state_dir = site.folder / f"state-{name}"
        self.path = site.folder / f"{name}.toml"
        self.process: subprocess.Popen[str] | None = None
        self.log = site.folder / f"{name}.log"
        files = site.pki.files(name)
        self.path.write_text(
            f"""
{kind}_id = "{name}"
state_dir = "state-{name}"
sample_period_s = 30.0
device_deadline_s = 0.5
{top}
[server]
listen = "{self.address}"
certificate_file = "{files.certificate}"
key_file = "{files.key}"
ca_file = "{files.ca}"
[lease]
ttl_default_s = {TTL_S}
ttl_max_s = {TTL_S}
[driver]
name = "simulated"
[driver.simulated]
hall = "hall.bin"
[clock]
simulated = "hall.bin"
{limits}
"""
        )

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal.json"

    def start(self) -> None:
        """Start the process and wait until it serves."""
        self.launch()
        self.wait_until_it_serves()

    def wait_until_it_serves(self) -> None:
        wait_for(self._serves, f"{self.name} does not serve")

    def start_expecting_failure(self) -> None:
        """Start the process and wait until it gives up."""
        self.launch()
        assert self.process is not None
        assert self.process.wait(PATIENCE_S) == 1

    def launch(self) -> None:
        """Start the process."""
        code = f"from coolcap_agent.{self.kind}.server import run_{self.kind} as run\n"
        code += f"import pathlib, sys\nsys.exit(run(pathlib.Path({str(self.path)!r})))"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stderr=log, stdout=log, text=True
            )
        self.site.processes.append(self.process)

    def _serves(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: {self.log.read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex((self.address.host, self.address.port)) == 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


class DaemonSite:
    """A hall with agents. ``advance`` moves site time."""

    def __init__(self, folder: Path, pki: certs.Pki) -> None:
        self.folder, self.pki = folder, pki
        self.small = SmallHall.create(folder / "hall.bin")
        self.processes: list[subprocess.Popen[str]] = []

    def node(self, name: str = "node-1", limits: str = "[limits]") -> Agent:
        return Agent(self, "node", name, limits)

    def plant(self, top: str = "") -> Agent:
        return Agent(self, "plant", "plant", PLANT_LIMITS, top)

    def channel(self, agent: Agent, client: str = "control") -> grpc.aio.Channel:
        tls = load_tls(self.pki.files(client), usages=(Usage.CLIENT,))
        return open_channel(agent.address, server_name=agent.name, tls=tls)

    def power_limits_w(self) -> list[float]:
        limits: list[float] = self.small.hall.table("gpu_control")[
            "power_limit_requested_w"
        ].tolist()
        return limits


@contextmanager
def daemon_site(folder: Path, pki: certs.Pki) -> Iterator[DaemonSite]:
    """A site whose processes are all gone at the end."""
    site = DaemonSite(folder, pki)
    try:
        yield site
    finally:
        for process in site.processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(done: Callable[[], bool], otherwise: str, *, patience_s: float = PATIENCE_S) -> None:
    """Return once ``done``; processes of their own leave no clock to inject."""
    end_s = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < end_s, otherwise
        time.sleep(0.02)
