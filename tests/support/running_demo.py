"""The demonstration's processes around a simulated hall, for tests that break them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from coolcap_agent.demo.configs import CONTROL, Files, Scenario, write_configs
from coolcap_agent.demo.processes import Processes
from coolcap_agent.sim.hall_file import HallFile, open_hall
from coolcap_envs.safety.site_limits import load_site_limits

START_TIMEOUT_S = 120.0
"""The plant model may have to be compiled first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDemo:
    """What a test may look at and break."""

    processes: Processes
    files: Files
    hall: HallFile

    def changed_count(self) -> tuple[int, int]:
        """Return how many caps and how many setpoints differ from those before the first write."""
        caps = self.hall.table("gpu_control")["power_limit_requested_w"]
        before = self.hall.table("gpu_info")["power_limit_default_w"]
        levers = self.hall.table("lever_control")["commanded"]
        return int((~np.isclose(caps, before)).sum()), int((~np.isnan(levers)).sum())

    def wait(self, ready: Callable[[], bool], *, timeout_s: float) -> float:
        """Wait until ``ready`` and return the seconds it took; inf if it never was."""
        start_s = time.monotonic()
        while not ready():
            if time.monotonic() - start_s > timeout_s:
                return float("inf")
            time.sleep(0.01)
        return time.monotonic() - start_s


def scenario(*, policy: str = "rule") -> Scenario:
    """Return a long run of the small site at a hundred times real time."""
    return Scenario(
        site="lab-16",
        weather=None,
        seed=3,
        start_time=datetime(2025, 7, 15, 12, tzinfo=UTC),
        duration_s=30 * 86400.0,
        speed=600.0,
        policy=policy,
        work_value=1.5,
    )


@contextmanager
def running_demo(folder: Path, what: Scenario) -> Iterator[RunningDemo]:
    """Start every process and wait until the controller has changed caps and setpoints."""
    layout, limits = load_site_limits(what.site)
    files = write_configs(folder / "run", what, layout, limits)
    with Processes(files.folder / "logs") as processes:
        processes.start("sim", "sim", "--config", str(files.configs["sim"]))
        processes.wait_for("the hall", files.hall.exists, timeout_s=START_TIMEOUT_S)
        for name, config in files.configs.items():
            if name not in ("sim", CONTROL):
                kind = "plant" if name == "plant" else "node"
                processes.start(name, kind, "--config", str(config))
        processes.start(CONTROL, "control", "--config", str(files.configs[CONTROL]))
        demo = RunningDemo(
            processes=processes, files=files, hall=open_hall(files.hall, writable=False)
        )
        took_s = demo.wait(lambda: min(demo.changed_count()) >= 2, timeout_s=60.0)
        processes.check()
        assert took_s < float("inf"), "the controller changed nothing within a minute"
        yield demo
