"""Whether the host's clock can be trusted: ages of readings and records of writes depend on it.

In ``[time_sync]``::

    offset_max_s = 1.0                  # alarm above it; default 1 s
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coolcap_agent.logging import FaultLog
from coolcap_envs.contract.config import Table

OFFSET_MAX_S: Final = 1.0
"""Readings are compared by the second; leases run on the monotonic clock and need no more."""
_STA_UNSYNC: Final = 0x0040
"""Status bit of ``struct timex``: the clock is not synchronised (adjtimex(2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """What the kernel says of its clock."""

    synchronised: bool
    error_max_s: float


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), to its 128 bytes and some more."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def kernel_clock() -> KernelClock | None:
    """Ask the kernel; None where it does not say."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        timex = _Timex(modes=0)
        if libc.adjtimex(ctypes.byref(timex)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return KernelClock(
        synchronised=not timex.status & _STA_UNSYNC, error_max_s=timex.maxerror / 1e6
    )


class TimeSync:
    """Alarms when the clock is not synchronised, and when it was set."""

    def __init__(
        self,
        *,
        offset_max_s: float,
        faults: FaultLog,
        wall_s: Callable[[], float],
        mono_s: Callable[[], float],
        kernel: Callable[[], KernelClock | None] = kernel_clock,
    ) -> None:
        self.offset_max_s = offset_max_s
        self._faults, self._kernel = faults, kernel
        self._wall_s, self._mono_s = wall_s, mono_s
        self._ahead_s = wall_s() - mono_s()
        self.jump_count = 0
        self.synchronised = True

    def look(self) -> str:
        """Compare the clocks; return how the host's was set since the last look, if it was."""
        found = self._kernel()
        if found is not None:
            self.synchronised = found.synchronised and found.error_max_s <= self.offset_max_s
            if self.synchronised:
                self._faults.end("time sync", "the host's clock is synchronised again")
            else:
                self._faults.begin(
                    "time sync",
                    f"the host's clock may be off by {found.error_max_s:.1f} s, more than "
                    f"{self.offset_max_s:g} s ([time_sync]): look after NTP on this host",
                )
        ahead_s = self._wall_s() - self._mono_s()
        jump_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(jump_s) <= self.offset_max_s:
            return ""
        self.jump_count += 1
        return f"the host's clock was set by {jump_s:+.1f} s"


def read_time_sync(table: Table) -> float:
    """Read ``[time_sync]`` and return the greatest offset, s."""
    offset_max_s = table.take_float(
        "offset_max_s", low=0.01, high=3600.0, unit="s", default=OFFSET_MAX_S
    )
    table.finish()
    return offset_max_s
