"""What is wrong now: from when it begins until it ends, for status, events and alarms."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How grave a problem is; the API's ``Severity``."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is wrong (a stable name) with what (an agent, a budget, "loop")."""

    code: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    key: Key
    severity: Severity
    message: str
    start_time_s: float


class Problems:
    """Keeps what is wrong with the time it began."""

    def __init__(self) -> None:
        self._now: dict[Key, Problem] = {}

    @property
    def now(self) -> tuple[Problem, ...]:
        """Return what is wrong, the gravest first."""
        return tuple(sorted(self._now.values(), key=lambda p: (-p.severity, p.start_time_s)))

    def update(
        self, found: Mapping[Key, tuple[Severity, str]], *, time_s: float
    ) -> tuple[list[Problem], list[Problem]]:
        """Replace what is wrong; return what began and what ended."""
        before = self._now
        self._now = {
            key: Problem(
                key=key,
                severity=severity,
                message=message,
                start_time_s=before[key].start_time_s if key in before else time_s,
            )
            for key, (severity, message) in found.items()
        }
        began = [problem for key, problem in self._now.items() if key not in before]
        ended = [problem for key, problem in before.items() if key not in self._now]
        return began, ended
