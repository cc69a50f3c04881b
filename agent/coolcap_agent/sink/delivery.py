"""Sending batches and acting on what the database answers: keep, split, or give up a line.

    | answer                  | what it means                     | what is done                  |
    |-------------------------|-----------------------------------|-------------------------------|
    | 2xx                     | taken                             | batch leaves the spool        |
    | 400, 422                | a line in it is bad               | halve until it is found       |
    | 413                     | too much at once                  | halve                         |
    | 401, 403, 404           | token, right or bucket is wrong   | keep, say so, try again later |
    | 429, 5xx, no answer     | busy or away                      | keep, wait as told            |

A line alone that is refused is kept aside with the server's reason, and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_agent.sink.spool import Batch, Spool

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


class Delivery:
    """Sends batches of a spool. For one thread; the counters may be read from others."""

    def __init__(self, post: Callable[[bytes], Answer], spool: Spool) -> None:
        self._post = post
        self._spool = spool
        self.written = 0
        self.refused = 0
        self.problem = ""
        self._given_up: set[bytes] = set()

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
            self.problem = ""
        return wait_s

    def _send_lines(self, lines: Sequence[bytes]) -> float | None:
        answer = self._post(b"".join(lines))
        if answer.taken:
            return None
        if answer.status in _BAD_CONTENT:
            return self._send_parts(lines, answer)
        self.problem = _problem(answer)
        known = answer.status in _BAD_CONFIGURATION
        return max(answer.retry_after_s, CONFIGURATION_WAIT_S if known else 0.0)

    def _send_parts(self, lines: Sequence[bytes], answer: Answer) -> float | None:
        if len(lines) == 1:
            self.refused += 1
            self._given_up.add(lines[0])
            self._spool.refuse(lines[0].decode(errors="replace").rstrip(), reason=answer.message)
            return None
        half = len(lines) // 2
        first_s = self._send_lines(lines[:half])
        # What the first half stored is stored again with the next attempt, to the same effect.
        return first_s if first_s is not None else self._send_lines(lines[half:])


def _problem(answer: Answer) -> str:
    if answer.status == 0:
        return f"no answer ({answer.message}); lines wait in the spool; start the server"
    advice = _BAD_CONFIGURATION.get(answer.status, "lines wait in the spool")
    return f"answered {answer.status} ({answer.message}): {advice}"
