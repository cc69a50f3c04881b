"""A fault of a GPU in the middle of a demonstration: begins, lasts a while, ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from coolcap_agent.sim.faults import FAULTS, clear_faults, set_fault
from coolcap_agent.sim.hall_file import open_hall
from coolcap_envs.contract.errors import CoolcapError

BEGIN_RATIO: Final = 0.25
"""When the fault begins, as a share of the run; it lasts for as long."""
BEGIN_MAX_S: Final = 3600.0
"""Site time until it begins at the latest, and lasts at most, in a run without an end."""
POLL_S: Final = 0.05


class FaultError(CoolcapError):
    """A fault that was asked for does not exist; lists those that do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFault:
    """What ``--fault`` asks for; ``value`` is None where the fault's default holds."""

    name: str
    value: float | None


def read_fault(text: str) -> GpuFault:
    """Read ``NAME`` or ``NAME=VALUE``.

    Raises:
        FaultError: If there is no such fault, or the value is none.
    """
    name, _, number = text.partition("=")
    if name not in FAULTS:
        known = "; ".join(f"{known}: {kind.summary}" for known, kind in FAULTS.items())
        raise FaultError(f"fault {name!r} is unknown; faults are: {known}")
    try:
        return GpuFault(name=name, value=float(number) if number else None)
    except ValueError as error:
        raise FaultError(f"fault {name} takes a number ({FAULTS[name].value})") from error


@contextmanager
def injected(
    fault: GpuFault | None, *, hall: Path, start_s: float, duration_s: float, console: Console
) -> Iterator[None]:
    """Let a fault come over the first GPU of the hall while the block runs.

    Args:
        fault: Which; None: nothing happens.
        hall: The shared hall.
        start_s: Site time of the start.
        duration_s: Site time the run takes.
        console: Told when the fault begins and ends.
    """
    if fault is None:
        yield
        return
    stopped = threading.Event()
    watcher = threading.Thread(
        target=_run, args=(fault, hall, (start_s, duration_s), console, stopped)
    )
    watcher.start()
    try:
        yield
    finally:
        stopped.set()
        watcher.join()


def _run(
    fault: GpuFault,
    path: Path,
    run_s: tuple[float, float],
    console: Console,
    stopped: threading.Event,
) -> None:
    hall = open_hall(path, writable=True)
    gpu = f"{hall.node_names[0]}/{int(hall.table('gpu_info')['index'][0])}"
    start_s, duration_s = run_s
    span_s = min(BEGIN_RATIO * duration_s, BEGIN_MAX_S)

    def wait_until(time_s: float) -> bool:
        """Return whether site time came to ``time_s`` before the run ended."""
        while not stopped.wait(POLL_S):
            if hall.time_s() >= time_s:
                return True
        return False

    if not wait_until(start_s + span_s):
        return
    set_fault(hall, gpu, fault.name, value=fault.value)
    console.print(f"fault {fault.name} begins on {gpu}: {FAULTS[fault.name].summary}")
    ended_in_time = wait_until(start_s + 2.0 * span_s)
    clear_faults(hall, gpu)
    if ended_in_time:
        console.print(f"fault {fault.name} ends on {gpu}; see {path.parent / 'logs'}")
