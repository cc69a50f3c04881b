"""When the policy may act again after a failure: patience, and an end to flapping."""

from collections import deque
from typing import Final

RECOVER_TICK_COUNT: Final = 3
"""Good decisions in a row after which the policy may act again."""
RECOVER_MAX_PER_DAY: Final = 24
"""After so many recoveries within a day a person has to look: ask for auto."""
DAY_S: Final = 86400.0


class Recovery:
    """Counts good decisions since the last failure, and recoveries per day."""

    def __init__(self) -> None:
        self._good = 0
        self._times_s: deque[float] = deque(maxlen=RECOVER_MAX_PER_DAY)

    def failed(self) -> None:
        """Note a failure."""
        self._good = 0

    def allow(self) -> None:
        """A person looked: recoveries are counted anew."""
        self._times_s.clear()

    def recovered(self, *, time_s: float, waiting: bool) -> str:
        """Note a good decision; return why the policy may act again, empty if it may not yet.

        Args:
            time_s: Site time.
            waiting: Whether it waits to act; only then is this a recovery that counts.
        """
        self._good += 1
        if self._good < RECOVER_TICK_COUNT:
            return ""
        full = len(self._times_s) == RECOVER_MAX_PER_DAY
        if waiting and full and time_s - self._times_s[0] < DAY_S:
            return ""
        if waiting:
            self._times_s.append(time_s)
        return f"readings and policy have been good for {self._good} decisions"
