"""A spool that goes on when its disk does not: batches then wait in memory, within bounds.

What waits in memory is sent like the rest, and goes to the disk as soon as that takes it again. It
is lost with the process, which a problem says while it is so.
"""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from coolcap_agent.sink.refusals import measurement_of
from coolcap_agent.sink.spool import REFUSED_KEEP_COUNT, Batch, Spool, SpoolError

SPARE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Two minutes of 10,000 points per second."""


class SpareSpool:
    """A spool with room in memory behind it. Safe to use from several threads.

    Args:
        spool: The spool on disk.
        bytes_max: Room in memory; beyond it the oldest batches are dropped and counted.
    """

    def __init__(self, spool: Spool, *, bytes_max: int = SPARE_BYTES_MAX) -> None:
        self._spool = spool
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._spare: deque[Batch] = deque()
        self._bytes = 0
        self._next_id = -1
        self._dropped: Counter[str] = Counter()
        self._why = ""
        self._refused: deque[tuple[bytes, str]] = deque(maxlen=REFUSED_KEEP_COUNT)

    @property
    def waiting(self) -> int:
        """Return the number of lines waiting."""
        with self._lock:
            return self._spool.waiting + sum(batch.line_count for batch in self._spare)

    @property
    def dropped(self) -> int:
        """Return the number of lines dropped for lack of room since the start."""
        return self._spool.dropped + sum(self._dropped.values())

    @property
    def problem(self) -> str:
        """Return what is wrong with the disk, what was dropped and what to do."""
        with self._lock:
            parts = []
            if self._why:
                count = sum(batch.line_count for batch in self._spare)
                parts.append(f"{self._why}; {count} lines wait in memory instead")
            if self._dropped:
                of = ", ".join(f"{count} of {m}" for m, count in sorted(self._dropped.items()))
                parts.append(f"lines lost because neither disk nor memory had room: {of}")
            if self._spool.dropped:
                parts.append(
                    f"{self._spool.dropped} lines dropped, the oldest first: the spool is full; "
                    "make `spool_bytes_max` larger or repair the database"
                )
            return "; ".join(parts)

    def put(self, body: bytes) -> None:
        """Append lines as one batch: durable on return, or in memory while the disk is full."""
        with self._lock:
            try:
                while self._spare:
                    self._spool.put(self._spare[0].body)
                    self._bytes -= len(self._spare.popleft().body)
                self._spool.put(body)
            except SpoolError as error:
                self._why = str(error)
                self._keep(body)
            else:
                self._why = ""
                self._put_refused()

    def _put_refused(self) -> None:
        with contextlib.suppress(SpoolError):
            while self._refused:
                line, reason = self._refused[0]
                self._spool.refuse([line], reason=reason)
                self._refused.popleft()

    def _keep(self, body: bytes) -> None:
        self._spare.append(Batch(id=self._next_id, line_count=body.count(b"\n"), body=body))
        self._next_id -= 1
        self._bytes += len(body)
        while self._bytes > self._bytes_max:
            oldest = self._spare.popleft()
            self._bytes -= len(oldest.body)
            self._dropped.update(measurement_of(line) for line in oldest.body.splitlines())

    def take(self, *, newest: bool, line_count_max: int) -> list[Batch]:
        """Return waiting batches without removing them; see ``Spool.take``."""
        with self._lock:
            spare = list(self._spare)
        if spare:
            # They are the newest there are, and the only ones a crash would take.
            found, lines = spare[:1], spare[0].line_count
            for batch in spare[1:]:
                lines += batch.line_count
                if lines > line_count_max:
                    break
                found.append(batch)
            return found
        return self._spool.take(newest=newest, line_count_max=line_count_max)

    def remove(self, batches: Sequence[Batch]) -> None:
        """Remove batches the database has."""
        gone = {batch.id for batch in batches if batch.id < 0}
        if gone:
            with self._lock:
                self._spare = deque(batch for batch in self._spare if batch.id not in gone)
                self._bytes = sum(len(batch.body) for batch in self._spare)
        self._spool.remove([batch for batch in batches if batch.id >= 0])

    def refuse(self, lines: Sequence[bytes], *, reason: str) -> None:
        """Keep lines the database will never take, for people to look at."""
        try:
            self._spool.refuse(lines, reason=reason)
        except SpoolError:
            # Why the disk takes nothing is told by the next batch.
            with self._lock:
                self._refused.extend((line, reason) for line in lines)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._spool.close()
