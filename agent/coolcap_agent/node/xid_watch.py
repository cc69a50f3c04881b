"""Critical events of single GPUs (Xid): told once, and remembered for a while.

The driver reports faults of the device and crashes of programs by the same means. Only the former
say something about the GPU. A GPU with one is not healthy, and goes on being read and commanded as
long as it answers: a lower cap does it no harm, and no other GPU is concerned.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from coolcap_agent.drivers.base import GpuEvent
from coolcap_agent.logging import FaultLog

REMEMBER_S: Final = 600.0
"""An event without a successor is over after this: the driver never says that one has ended."""

OF_PROGRAMS: Final[Mapping[int, str]] = {
    13: "exception of a program on the GPU",
    31: "a program touched memory that is not its own",
    43: "a program's work was stopped",
    45: "a program's work was cleaned up",
    68: "exception of the video processor",
    137: "a program touched memory of a peer that is not its own",
}
OF_THE_DEVICE: Final[Mapping[int, str]] = {
    48: "double-bit memory error",
    63: "memory row is to be remapped",
    64: "memory row could not be remapped",
    74: "NVLink error",
    79: "the GPU has fallen off its bus",
    92: "many corrected memory errors",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "the GPU's firmware does not answer",
    120: "error of the GPU's firmware",
    140: "memory error that was not corrected",
    143: "the GPU could not be initialised",
}
"""Numbers and meanings: NVIDIA's Xid catalogue. What is in neither table counts as the device's."""


class XidWatch:
    """Which GPUs have had a critical event of late.

    Args:
        faults: Where events are noted as they begin and end.
        mono_s: Monotonic clock.
    """

    def __init__(self, faults: FaultLog, *, mono_s: Callable[[], float]) -> None:
        self._faults = faults
        self._mono_s = mono_s
        self._last: dict[str, tuple[int, float]] = {}

    def note(self, events: Sequence[GpuEvent]) -> None:
        """Take new events, and forget old ones; call it with each sample."""
        now_s = self._mono_s()
        for event in events:
            if event.xid not in OF_PROGRAMS:
                self._last[event.uuid] = (event.xid, now_s)
                what = OF_THE_DEVICE.get(event.xid, "see NVIDIA's Xid catalogue")
                self._faults.begin(
                    f"{event.uuid} xid", f"{event.uuid} reports Xid {event.xid}: {what}"
                )
        for uuid, (xid, time_s) in list(self._last.items()):
            if now_s - time_s >= REMEMBER_S:
                del self._last[uuid]
                since = f"no further one than {xid} for {REMEMBER_S / 60.0:g} min"
                self._faults.end(f"{uuid} xid", f"{uuid} reports no Xid any more: {since}")

    def xid(self, uuid: str) -> float:
        """Return the number of a GPU's newest event of late, NaN if there is none."""
        return float(self._last[uuid][0]) if uuid in self._last else math.nan
