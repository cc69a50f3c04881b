"""Starts agents and controllers by forking, in a tenth of a second instead of one.

The process imports what they need and never uses gRPC itself, which does not survive a fork. It
takes one JSON object per line on standard input, ``{"role": …, "config": …, "log": …}``, and
answers each with the process id. Nobody waits for its children: the kernel forgets them at once.
"""

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pynvml  # noqa: F401 - loads no library before it is initialised

from coolcap_agent.daemon import guard
from coolcap_agent.drivers import nvml
from coolcap_agent.drivers.nvml import NvmlDriver
from coolcap_agent.drivers.simulated import SimulatedGpuDriver
from coolcap_agent.node.server import run_node
from support.campaign.controller import run_controller

RETRY_S = 0.2
"""In place of the 5 s after which the agent tries a GPU again that refused its old value."""


def run_agent(order: dict[str, str]) -> int:
    """Be an agent that tells every write before it makes it."""
    guard.RETRY_S = RETRY_S  # type: ignore[misc]
    nvml.LOOK_AGAIN_S = RETRY_S  # type: ignore[misc]
    _tell_writes(int(order["writes"]))
    _let_clock_be_set(Path(order["clock"]))
    return run_node(Path(order["config"]))


def _tell_writes(descriptor: int) -> None:
    for driver in (NvmlDriver, SimulatedGpuDriver):
        for name, key in (
            ("set_power_limit", "power_limit_w"),
            ("set_sm_clock_max", "sm_clock_max_mhz"),
        ):
            setattr(driver, name, _telling(getattr(driver, name), key, descriptor))


def _telling(setter: Callable[..., None], key: str, descriptor: int) -> Callable[..., None]:
    def tell(self: object, uuid: str, **values: float) -> None:
        os.write(descriptor, f"{os.getpid()} {key} {uuid} {values[key]!r}\n".encode())
        setter(self, uuid, **values)

    return tell


def _let_clock_be_set(path: Path) -> None:
    """Add the seconds in a file to the wall clock, as if somebody had set it."""
    real = time.time
    descriptor = os.open(path, os.O_RDONLY)

    def jumping() -> float:
        return real() + float(struct.unpack("<d", os.pread(descriptor, 8, 0))[0])

    time.time = jumping


def _be(order: dict[str, str]) -> None:
    """Turn this forked process into what was ordered; never returns."""
    code = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if "uid" in order:
            os.setuid(int(order["uid"]))
        roles = {"agent": run_agent, "controller": run_controller}
        code = roles[order["role"]](order)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> None:
    """Serve orders until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(order)
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201 - this is how it answers


if __name__ == "__main__":
    main()
