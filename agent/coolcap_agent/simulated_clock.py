"""The clock of a simulated site, read from the shared hall."""

from pathlib import Path
from typing import Final

from coolcap_agent.sim.bell import Bell
from coolcap_agent.sim.hall_file import open_hall

POLL_S: Final = 0.005
"""Between two looks at the hall where its bell cannot be heard; a period then ends this late."""

POLL_WITH_BELL_S: Final = 0.1
"""Between two looks where it can."""


class SimulatedClock:
    """Site time of a shared hall. It stands still between two frames, and after the last one.

    Use it from one event loop at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open the hall; raises DriverError if there is none at ``path``."""
        self._hall = open_hall(path, writable=False)
        self._bell = Bell(path)
        self._poll_s = POLL_WITH_BELL_S if self._bell.is_heard else POLL_S

    def now_s(self) -> float:
        """Return site time, seconds since 1970-01-01 UTC."""
        return self._hall.time_s()

    async def sleep_until(self, time_s: float) -> None:
        """Return once site time has reached ``time_s``; never, if the hall ends before."""
        while self._hall.time_s() < time_s:
            await self._bell.wait(timeout_s=self._poll_s)
