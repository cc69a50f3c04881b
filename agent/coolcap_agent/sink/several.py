"""Several sinks as one."""

from collections.abc import Sequence

from coolcap_agent.sink.base import Sink, SinkStatus


class SeveralSinks:
    """Passes lines to each sink; one that is in trouble does not trouble the others."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, body: bytes) -> None:
        """Take in lines."""
        for sink in self._sinks:
            sink.write(body)

    def status(self) -> SinkStatus:
        """Return the sums over the sinks, and every problem."""
        states = [sink.status() for sink in self._sinks]
        return SinkStatus(
            written=sum(state.written for state in states),
            waiting=sum(state.waiting for state in states),
            dropped=sum(state.dropped for state in states),
            problem="; ".join(state.problem for state in states if state.problem),
        )

    def close(self) -> None:
        """Close all."""
        for sink in self._sinks:
            sink.close()
