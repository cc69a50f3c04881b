"""Who changed what and why, in a file whose lines are chained by their hashes.

Each line holds the SHA-256 of the line before it. A line that is changed, removed or put in
between breaks the chain from there on; ``verify`` says where. Lines cut off at the end leave a
chain that is whole: who must know of that too keeps the newest hash elsewhere and gives it to
``verify``.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from coolcap_agent.clock import time_text
from coolcap_envs.contract.errors import CoolcapError

FIRST: Final = "0" * 64
TAIL_BYTES: Final = 65536
"""Read from the end at a time to find the last line: a log may hold years."""


class AuditError(CoolcapError):
    """The audit log cannot be written or is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A chain that is whole: its number of entries and the hash of the newest."""

    count: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; arguments of ``AuditLog.add``, and the host's own time."""

    who: str
    what: str
    reason: str
    time_s: float
    details: Mapping[str, object]
    host_time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def line(self, before: str) -> bytes:
        """Return it as a line without its end, chained to the hash of the line before."""
        entry = {
            **self.details,
            "time": time_text(self.time_s),
            "host_time": self.host_time.isoformat(timespec="microseconds"),
            "who": self.who,
            "what": self.what,
            "reason": self.reason,
            "before": before,
        }
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()


class AuditLog:
    """Appends entries, each synced to disk before the change takes effect. For one thread.

    Args:
        path: The file; continued if it exists. What a crash left of a last line is cut off: its
            change was never made.

    Raises:
        AuditError: If it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._size, last = _end(path) if path.exists() else (0, b"")
            self._before = _hash(last) if last else FIRST
            self._file = path.open("ab", buffering=0)
            os.ftruncate(self._file.fileno(), self._size)
        except OSError as error:
            raise AuditError(f"audit log {path} cannot be used: {error.strerror}") from error

    def add(
        self,
        *,
        who: str,
        what: str,
        reason: str,
        time_s: float,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Append an entry.

        Args:
            who: The caller, as its certificate proves.
            what: What changes, in words.
            reason: Why, in the caller's words.
            time_s: Site time; the host's own is added.
            details: More keys and values of JSON; the names of the other arguments stay theirs.

        Raises:
            AuditError: If it cannot be written; the change must not be made then.
        """
        self.add_all(
            [Entry(who=who, what=what, reason=reason, time_s=time_s, details=details or {})]
        )

    def add_all(self, entries: Sequence[Entry]) -> None:
        """Append several entries with one write: all of them, or none.

        Raises:
            AuditError: If they cannot be written.
        """
        lines, before = b"", self._before
        for entry in entries:
            line = entry.line(before)
            lines += line + b"\n"
            before = _hash(line)
        try:
            # What an earlier failure left of a line must not become part of this one.
            os.ftruncate(self._file.fileno(), self._size)
            written = self._file.write(lines)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error.strerror) from error
        if written != len(lines):
            raise self._failed("the disk took a part of the entry only")
        self._size += written
        self._before = before

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _failed(self, why: str | None) -> AuditError:
        return AuditError(f"audit log {self._path} cannot be written: {why}")


def verify(path: Path, *, known: str = "") -> Verified:
    """Check the chain.

    Args:
        path: The log.
        known: Hash of an entry, from an earlier check; it must be part of the chain.

    Raises:
        AuditError: If it is broken; the message names the line.
    """
    before, hashes = FIRST, {FIRST}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise AuditError(f"audit log {path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)["before"]
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(f"{path}, line {number}: is no entry of an audit log") from error
        if said != before:
            raise AuditError(f"{path}, line {number}: does not follow from the line before it")
        before = _hash(line)
        hashes.add(before)
    if known and known not in hashes:
        raise AuditError(
            f"{path}: none of its {len(lines)} entries has the hash {known}: entries were cut off "
            "at its end, or it is another log"
        )
    return Verified(count=len(lines), head=before)


def _end(path: Path) -> tuple[int, bytes]:
    """Return the size of a log up to its last whole line, and that line without its end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail, start = b"", size
        while start > 0 and tail.count(b"\n", 0, tail.rfind(b"\n")) < 1:
            start = max(0, start - TAIL_BYTES)
            file.seek(start)
            tail = file.read(size - start)
    end = tail.rfind(b"\n") + 1
    return start + end, tail[:end].splitlines()[-1] if end else b""


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
