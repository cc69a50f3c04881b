"""What a sink must do."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatus:
    """How a sink is doing. Counts are of lines since the start of the process.

    Attributes:
        written: Lines that reached their destination.
        waiting: Lines kept here until the destination takes them.
        dropped: Lines given up, because the destination refused them or no room was left.
        problem: What is wrong now and what to do; empty when all is well.
    """

    written: int
    waiting: int
    dropped: int
    problem: str


class Sink(Protocol):
    """Takes lines of InfluxDB line protocol with times in ns."""

    def write(self, body: bytes) -> None:
        """Take in complete lines, each ended by a newline.

        Returns quickly, whatever the state of the destination; what goes wrong is counted and
        told by ``status``.
        """
        ...

    def status(self) -> SinkStatus:
        """Return how the sink is doing."""
        ...

    def close(self) -> None:
        """Pass on what can be passed on in a moment; safe to call twice."""
        ...
