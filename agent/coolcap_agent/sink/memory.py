"""A sink in memory, for tests and dry runs."""

from collections import deque

from coolcap_agent.sink.base import SinkStatus


class MemorySink:
    """Keeps the newest lines.

    Args:
        line_count_max: Lines kept; older ones are dropped and counted.
    """

    def __init__(self, *, line_count_max: int = 100_000) -> None:
        self._lines: deque[str] = deque(maxlen=line_count_max)
        self._written = 0

    @property
    def lines(self) -> list[str]:
        """Return the lines kept, oldest first."""
        return list(self._lines)

    def write(self, body: bytes) -> None:
        """Take in lines."""
        fresh = body.decode().splitlines()
        self._lines.extend(fresh)
        self._written += len(fresh)

    def status(self) -> SinkStatus:
        """Return how many lines came in and how many were dropped."""
        dropped = self._written - len(self._lines)
        return SinkStatus(written=len(self._lines), waiting=0, dropped=dropped, problem="")

    def close(self) -> None:
        """Keep the lines."""
