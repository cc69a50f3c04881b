"""Sending batches and acting on what the database answers: keep, split, or give up a line.

    | answer                  | what it means                     | what is done                  |
    |-------------------------|-----------------------------------|-------------------------------|
    | 2xx                     | taken                             | batch leaves the spool        |
    | 400, 422                | a line in it is bad               | find it: by name, or halving  |
    | 413                     | too much at once                  | halve                         |
    | 401, 403, 404           | token, right or bucket is wrong   | keep, say so, try again later |
    | 429, 5xx, no answer     | busy or away                      | keep, wait as told            |

A line alone that is refused is kept aside with the server's reason, and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from coolcap_agent.sink.refusals import Refusals, in_short, measurements_in, named_lines
from coolcap_agent.sink.spool import Batch

CONFIGURATION_WAIT_S: Final = 10.0
"""A wrong token does not mend itself in seconds, and trying fills the server's log."""

_BAD_CONTENT: Final = (400, 413, 422)
_BAD_CONFIGURATION: Final = {
    401: "the token is refused; correct `token_file` in [telemetry.influxdb]",
    403: "the token may not write there; give it the right, or correct `bucket`",
    404: "there is no such bucket, organisation or path; correct [telemetry.influxdb]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the database answered; ``status`` 0 when it did not."""

    status: int
    message: str
    retry_after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Return whether the lines are stored."""
        return 200 <= self.status < 300


class Source(Protocol):
    """Where batches come from."""

    def remove(self, batches: Sequence[Batch]) -> None:
        """Remove batches the database has."""
        ...

    def refuse(self, lines: Sequence[bytes], *, reason: str) -> None:
        """Keep lines the database will never take."""
        ...


class Delivery:
    """Sends batches of a spool. For one thread; the counters may be read from others."""

    def __init__(self, post: Callable[[bytes], Answer], spool: Source) -> None:
        self._post = post
        self._spool = spool
        self.written = 0
        self.refusals = Refusals()
        self._problem = ""
        self._given_up: set[bytes] = set()

    @property
    def problem(self) -> str:
        """Return what is wrong with the database and what to do; empty when all is well."""
        return "; ".join(text for text in (self._problem, self.refusals.problem) if text)

    def send(self, batches: Sequence[Batch]) -> float | None:
        """Send batches in one request.

        Returns:
            None if they are dealt with and left the spool; otherwise the least time in s to wait
            before trying again.
        """
        whole = b"".join(batch.body for batch in batches).splitlines(keepends=True)
        lines = [line for line in whole if line not in self._given_up]
        wait_s = self._send_lines(lines) if lines else None
        if wait_s is None:
            self._spool.remove(batches)
            self.written += len(whole) - sum(line in self._given_up for line in whole)
            self._given_up.clear()
            self._problem = ""
        return wait_s

    def _send_lines(self, lines: Sequence[bytes]) -> float | None:
        answer = self._post(b"".join(lines))
        if answer.taken:
            return None
        if answer.status in _BAD_CONTENT:
            return self._send_parts(lines, answer)
        self._problem = _problem(answer, lines)
        known = answer.status in _BAD_CONFIGURATION
        return max(answer.retry_after_s, CONFIGURATION_WAIT_S if known else 0.0)

    def _send_parts(self, lines: Sequence[bytes], answer: Answer) -> float | None:
        named = named_lines(answer.message, lines)
        if len(lines) == 1 or len(named) == len(lines):
            self._give_up(lines, reason=answer.message)
            return None
        if named:
            # Whether these are refused, too, or only some of them, the next answer says.
            bad = set(named)
            first_s = self._send_lines([line for line in lines if line not in bad])
            return first_s if first_s is not None else self._send_lines(named)
        half = len(lines) // 2
        first_s = self._send_lines(lines[:half])
        # What the first half stored is stored again with the next attempt, to the same effect.
        return first_s if first_s is not None else self._send_lines(lines[half:])

    def _give_up(self, lines: Sequence[bytes], *, reason: str) -> None:
        self.refusals.add(lines, reason=reason)
        self._given_up.update(lines)
        self._spool.refuse(lines, reason=reason)


def _problem(answer: Answer, lines: Sequence[bytes]) -> str:
    said = in_short(answer.message)
    waiting = f"lines of {measurements_in(lines)} wait in the spool"
    if answer.status == 0:
        return f"no answer ({said}); {waiting}; start the server"
    if "no space left" in answer.message.lower():
        advice = "make room on the server's disk, or shorten the retention there"
    else:
        advice = _BAD_CONFIGURATION.get(answer.status, "they are sent again until it takes them")
    return f"answered {answer.status} ({said}): {waiting}; {advice}"
