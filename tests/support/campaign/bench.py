"""One node with eight simulated GPUs, its agent and controllers, and what must hold."""

import json
import math
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coolcap_agent import certs
from coolcap_agent.journal import Entry, decode
from coolcap_agent.nvml_simulator.build import find_compiler
from coolcap_agent.nvml_simulator.environment import client_environment
from support.campaign.disk import Disk
from support.small_hall import SmallHall
from support.small_site import SMALL_SITE, small_site

TESTS = Path(__file__).parents[2]
NODE = "node-01"
GPU_COUNT = 8
DEVICE_W = (100.0, 500.0)
OWN_W = (150.0, 450.0)
OWN_CLOCK_MIN_MHZ, CLOCK_MAX_MHZ = 900.0, 2000.0
TTL_S = 0.3
PATIENCE_S = 10.0
EIGHT_GPUS = (
    SMALL_SITE.replace('"node-{}"', '"node-{:02}"')
    .replace("count = 2\n", "count = 1\n")
    .replace("gpus_per_node = 2", "gpus_per_node = 8")
    .replace("groups_per_node = 2", "groups_per_node = 8")
)
CONFIG = """
node_id = "node-01"
state_dir = "state"
sample_period_s = 0.1
device_deadline_s = 0.5
[server]
listen = "127.0.0.1:{port}"
certificate_file = "pki/node-01.crt"
key_file = "pki/node-01.key"
ca_file = "pki/ca.crt"
[lease]
ttl_default_s = {ttl_s}
ttl_max_s = {ttl_s}
[driver]
{driver}
[limits]
power_cap_min_w = {own[0]}
power_cap_max_w = {own[1]}
sm_clock_min_mhz = {clock_min_mhz}
foreign_changes = "{foreign}"
"""


class Broken(AssertionError):  # noqa: N818 - reads as the event it reports
    """Something that must always hold does not."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was forked for us; its handle stays its own, whatever becomes of the id."""

    pid: int
    handle: int

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that is gone takes none."""
        try:
            signal.pidfd_send_signal(self.handle, number)
        except ProcessLookupError:
            return

    @property
    def ended(self) -> bool:
        """Return whether it is gone."""
        return bool(select.select([self.handle], [], [], 0.0)[0])

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for its end."""
        if not select.select([self.handle], [], [], timeout_s)[0]:
            raise Broken(f"process {self.pid} does not end")

    def kill(self) -> None:
        """Kill it and wait."""
        self.send(signal.SIGKILL)
        self.wait()
        os.close(self.handle)


def same(left_w: float, right_w: float) -> bool:
    """Return whether two limits are one: NVML counts milliwatts, we floating point."""
    return abs(left_w - right_w) < 1e-6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bench:
    """Everything of one campaign; ``counts`` says what was done and checked."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        certs.make_pki(folder / "pki", agents=[NODE], controllers=["control"])
        self.small = SmallHall.create(folder / "hall", small_site(EIGHT_GPUS))
        self.port = free_port()
        self.uuids = [bytes(u).decode() for u in self.small.hall.table("gpu_info")["uuid"]]
        self.before_w = [DEVICE_W[1]] * GPU_COUNT
        self.counts: dict[str, int] = {}
        self.agent: Process | None = None
        self.clock = folder / "clock"
        self.set_clock(0.0)
        self.disk = Disk(self.state_dir)
        self.config = folder / "node.toml"
        self.driver = "nvml" if find_compiler() else "simulated"
        self.configure()
        self._writes, inherited = os.pipe()
        os.set_blocking(self._writes, False)
        self._inherited = inherited
        self._written = b""
        environment = dict(os.environ)
        if self.driver == "nvml":
            environment = client_environment(folder / "hall", NODE)
        environment |= {"PYTHONPATH": str(TESTS), "GRPC_VERBOSITY": "NONE"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.campaign.fork_server"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[inherited],
            text=True,
        )

    def configure(self, *, foreign: str = "reapply", ttl_s: float = TTL_S) -> None:
        """Write the agent's config."""
        driver = {
            "nvml": 'name = "nvml"\n[driver.nvml]\nassume_rights = true',
            "simulated": 'name = "simulated"\n[driver.simulated]\nhall = "hall"',
        }[self.driver]
        self.config.write_text(
            CONFIG.format(
                port=self.port,
                ttl_s=ttl_s,
                driver=driver,
                own=OWN_W,
                clock_min_mhz=OWN_CLOCK_MIN_MHZ,
                foreign=foreign,
            )
        )

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def agent_pid(self) -> int:
        assert self.agent is not None
        return self.agent.pid

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def count(self, what: str, number: int = 1) -> None:
        """Count something that was done or checked."""
        self.counts[what] = self.counts.get(what, 0) + number

    def set_clock(self, ahead_s: float) -> None:
        """Set the agent's wall clock."""
        self.clock.write_bytes(struct.pack("<d", ahead_s))

    # Processes

    def fork(self, **order: str) -> Process:
        """Have a process made."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        pid = int(json.loads(self._server.stdout.readline())["pid"])
        return Process(pid, os.pidfd_open(pid))

    def start_agent(self, *, wait: bool = True, **order: str) -> Process:
        """Start the agent, and wait until it serves."""
        self.agent = self.fork(
            role="agent",
            config=str(self.config),
            log=str(self.folder / "agent.log"),
            writes=str(self._inherited),
            clock=str(self.clock),
            **order,
        )
        if wait:
            self.wait_for(self._serves, "the agent does not serve")
        return self.agent

    def start_controller(self, *, holder: str = "control", address: str | None = None) -> Process:
        """Start a controller that commands at random."""
        return self.fork(
            role="controller",
            node=NODE,
            address=address or self.address,
            holder=holder,
            pki=str(self.folder / "pki"),
            seed=str(self.rng.randrange(2**31)),
            log=str(self.folder / "controller.log"),
        )

    def _serves(self) -> bool:
        if self.agent is not None and self.agent.ended:
            raise Broken(f"the agent ended:\n{self._log_tail()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_for(self, done: Callable[[], bool], otherwise: str) -> None:
        """Return once ``done``."""
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > end_s:
                raise Broken(f"{otherwise}\n{self._log_tail()}")
            time.sleep(0.005)

    def _log_tail(self) -> str:
        path = self.folder / "agent.log"
        return "\n".join(path.read_text().splitlines()[-15:]) if path.exists() else ""

    # What must hold

    def limits_w(self) -> list[float]:
        """Return the limit asked of each GPU."""
        limits: list[float] = self.small.hall.table("gpu_control")[
            "power_limit_requested_w"
        ].tolist()
        return limits

    def clocks_mhz(self) -> list[float]:
        """Return the ceiling of each GPU's clock, NaN without one."""
        clocks: list[float] = self.small.hall.table("gpu_control")["sm_clock_limit_mhz"].tolist()
        return clocks

    def set_before(self) -> None:
        """Let the GPUs' owner choose new limits, some outside the agent's own."""
        self.before_w = [round(self.rng.uniform(*DEVICE_W), 3) for _ in range(GPU_COUNT)]
        self.small.hall.table("gpu_control")["power_limit_requested_w"] = np.array(self.before_w)

    def journal(self) -> dict[tuple[str, str], Entry]:
        """Return the journal on disk; a damaged one raises."""
        path = self.state_dir / "journal.json"
        try:
            return {entry.key: entry for entry in decode(path.read_bytes())}
        except FileNotFoundError:
            return {}

    def check_frozen(self) -> None:
        """Check what a killed agent left: whatever it changed stands in the journal as it was."""
        journal = self.journal()
        for uuid, before_w, now_w in zip(self.uuids, self.before_w, self.limits_w(), strict=True):
            entry = journal.get((uuid, "power_cap_w"))
            if entry is None and not same(now_w, before_w):
                raise Broken(f"{uuid} went from {before_w} W to {now_w} W and is not journaled")
            if entry is not None and not (entry.value and same(entry.value, before_w)):
                raise Broken(f"journal says {entry.value} W for {uuid}, it was {before_w} W")
            self.count("caps checked against the journal of a killed agent")
        for uuid, clock_mhz in zip(self.uuids, self.clocks_mhz(), strict=True):
            if not math.isnan(clock_mhz) and (uuid, "sm_clock_max_mhz") not in journal:
                raise Broken(f"clock of {uuid} is held at {clock_mhz} MHz without a journal entry")

    def is_restored(self) -> bool:
        """Return whether every GPU is as its owner left it, and nothing waits in the journal."""
        return (
            all(map(same, self.limits_w(), self.before_w))
            and all(math.isnan(clock_mhz) for clock_mhz in self.clocks_mhz())
            and not (self.state_dir / "journal.json").exists()
        )

    def check_restored(self) -> None:
        """Wait until all is as before the first write."""

        def differing() -> str:
            pairs = zip(self.before_w, self.limits_w(), strict=True)
            return (
                f"not restored: {[pair for pair in pairs if not same(*pair)]}, {self.clocks_mhz()}"
            )

        try:
            self.wait_for(self.is_restored, "not restored")
        except Broken as broken:
            raise Broken(f"{differing()}; {broken}") from None
        self.count("GPUs found at their value from before the first write", GPU_COUNT)
        self.check_writes()

    def check_writes(self) -> None:
        """Check every write since the last look, and what controllers saw."""
        for key, uuid, value in self._take_writes():
            if key == "power_limit_w":
                before_w = self.before_w[self.uuids.index(uuid)]
                fine = OWN_W[0] <= value <= OWN_W[1] or same(value, before_w)
            else:
                fine = OWN_CLOCK_MIN_MHZ <= value <= CLOCK_MAX_MHZ
            if not fine:
                raise Broken(f"{key} {value} was written to {uuid}, outside every limit")
            self.count("writes checked against the limits")
        log = self.folder / "controller.log"
        if log.exists() and "WRONG" in log.read_text():
            raise Broken(log.read_text())

    def tell_write(self, key: str, uuid: str, value: float) -> None:
        """Say that something was written, as agents do."""
        os.write(self._inherited, f"0 {key} {uuid} {value!r}\n".encode())

    def _take_writes(self) -> Iterator[tuple[str, str, float]]:
        while True:
            try:
                self._written += os.read(self._writes, 1 << 20)
            except BlockingIOError:
                break
        *lines, self._written = self._written.split(b"\n")
        for line in lines:
            _, key, uuid, value = line.decode().split()
            yield key, uuid, float(value)

    def close(self) -> None:
        """End everything."""
        if self.agent is not None and not self.agent.ended:
            self.agent.kill()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(PATIENCE_S)
        assert self._server.stdout is not None
        self._server.stdout.close()
        self.disk.close()


@contextmanager
def bench(folder: Path, *, seed: int) -> Iterator[Bench]:
    """A bench whose processes are all gone at the end."""
    made = Bench(folder, seed=seed)
    try:
        yield made
    finally:
        made.close()
