"""The newest events in memory, for those who look at the controller itself."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from coolcap_agent.controller.problems import Severity

KEEP_COUNT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that began or ended; the fields are those of measurement ``event``."""

    time_s: float
    code: str
    subject: str
    active: bool
    severity: Severity
    message: str


class Happenings:
    """Keeps the newest events. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Happening] = deque(maxlen=KEEP_COUNT)

    def add(self, happening: Happening) -> None:
        """Take in an event."""
        with self._lock:
            self._kept.append(happening)

    def newest(self) -> list[Happening]:
        """Return what is kept, the newest first."""
        with self._lock:
            return list(self._kept)[::-1]
