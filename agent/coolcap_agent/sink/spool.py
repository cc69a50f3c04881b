"""A durable queue of batches on disk, in front of a database that may be away.

SQLite in WAL mode with ``synchronous=NORMAL`` survives ``kill -9``; only a power cut can take the
last moments. A batch leaves when the database has it, so that an outage or a crash loses nothing
and sends at worst twice, which changes nothing: a line's series and time say where it belongs.
"""

import contextlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_envs.contract.errors import CoolcapError

REFUSED_KEEP_COUNT: Final = 1000
"""Refused lines kept for people to look at; all are counted."""

DISK_FREE_MIN: Final = 100_000_000
"""Bytes left to others on the disk: journals and the audit log must be able to go on."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, line_count INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS refused (
    id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, line TEXT NOT NULL
);
"""


class SpoolError(CoolcapError):
    """The spool cannot be used; says which file and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines that went in together."""

    id: int
    line_count: int
    body: bytes


class Spool:
    """Batches waiting for the database. Safe to use from several threads.

    Every method raises SpoolError if the disk does not let it do its work.

    Args:
        path: The SQLite file. Its folder is made when it is missing.
        bytes_max: Room for batches (compressed); beyond it the oldest are dropped and counted.
        disk_free_min: Bytes to leave free on the disk; short of that nothing is put in.
        survive_power_cut: Sync each batch to the disk before going on, about 5 ms each.

    Raises:
        SpoolError: If the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        bytes_max: int,
        disk_free_min: int = DISK_FREE_MIN,
        survive_power_cut: bool = False,
    ) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._disk_free_min = disk_free_min
        self._lock = threading.Lock()
        self._dropped = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if survive_power_cut else 'NORMAL'}")
            self._db.executescript(_SCHEMA)
            sums = "SELECT COALESCE(SUM(line_count), 0), COALESCE(SUM(LENGTH(body)), 0) FROM batch"
            self._lines, self._bytes = self._db.execute(sums).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"spool {path} cannot be used: {error}; move it away") from error

    @property
    def waiting(self) -> int:
        """Return the number of lines waiting."""
        return int(self._lines)

    @property
    def dropped(self) -> int:
        """Return the number of lines dropped for lack of room since the start."""
        return self._dropped

    def put(self, body: bytes) -> None:
        """Append lines as one batch, durable on return."""
        packed = zlib.compress(body, 1)
        count = body.count(b"\n")
        with self._access():
            self._check_disk()
            self._make_room(len(packed))
            self._db.execute("INSERT INTO batch (line_count, body) VALUES (?, ?)", (count, packed))
            self._lines += count
            self._bytes += len(packed)

    @contextlib.contextmanager
    def _access(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise SpoolError(f"spool {self._path} cannot be used: {error}") from error

    def _check_disk(self) -> None:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError as error:
            raise SpoolError(f"spool {self._path} cannot be used: {error.strerror}") from error
        free = disk.f_bavail * disk.f_frsize
        if free < self._disk_free_min:
            raise SpoolError(
                f"spool {self._path}: its disk has {free / 1e6:.0f} MB left, and "
                f"{self._disk_free_min / 1e6:.0f} MB are left to others; make room on it"
            )

    def _make_room(self, size: int) -> None:
        while self._bytes and self._bytes + size > self._bytes_max:
            row = self._db.execute(
                "SELECT id, line_count, LENGTH(body) FROM batch ORDER BY id LIMIT 1"
            ).fetchone()
            if row is None:
                break
            self._forget(*row)
            self._dropped += row[1]

    def _forget(self, id_: int, line_count: int, size: int) -> None:
        self._db.execute("DELETE FROM batch WHERE id = ?", (id_,))
        self._lines -= line_count
        self._bytes -= size

    def take(self, *, newest: bool, line_count_max: int) -> list[Batch]:
        """Return waiting batches without removing them, in order, at least one if there is one.

        Args:
            newest: From the end of the queue, for people who watch a dashboard, or from its start.
            line_count_max: Stop before the batch that would exceed this many lines.
        """
        order = "DESC" if newest else "ASC"
        query = f"SELECT id, line_count, body FROM batch ORDER BY id {order}"
        found: list[Batch] = []
        lines = 0
        with self._access():
            for id_, count, packed in self._db.execute(query):
                if found and lines + count > line_count_max:
                    break
                lines += count
                found.append(Batch(id=id_, line_count=count, body=zlib.decompress(packed)))
        return sorted(found, key=lambda batch: batch.id)

    def remove(self, batches: Sequence[Batch]) -> None:
        """Remove batches the database has; those dropped meanwhile are no matter."""
        with self._access():
            for batch in batches:
                size = self._db.execute(
                    "SELECT LENGTH(body) FROM batch WHERE id = ?", (batch.id,)
                ).fetchone()
                if size is not None:
                    self._forget(batch.id, batch.line_count, size[0])

    def refuse(self, lines: Sequence[bytes], *, reason: str) -> None:
        """Keep lines the database will never take, for people to look at."""
        rows = [(reason, line.decode(errors="replace").rstrip()) for line in lines]
        with self._access():
            self._db.executemany(
                "INSERT INTO refused (reason, line) VALUES (?, ?)", rows[-REFUSED_KEEP_COUNT:]
            )
            self._db.execute(
                "DELETE FROM refused WHERE id <= (SELECT MAX(id) FROM refused) - ?",
                (REFUSED_KEEP_COUNT,),
            )

    def refused(self) -> list[tuple[str, str]]:
        """Return the refused lines kept, as reason and line, oldest first."""
        with self._access():
            return self._db.execute("SELECT reason, line FROM refused ORDER BY id").fetchall()

    def forget_refused(self, lines: Sequence[bytes]) -> None:
        """Remove refused lines that the database has taken after all."""
        rows = [(line.decode(errors="replace"),) for line in lines]
        with self._access():
            self._db.executemany("DELETE FROM refused WHERE line = ?", rows)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._db.close()
