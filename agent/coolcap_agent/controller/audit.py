"""Who changed what and why, in a file whose lines are chained by their hashes.

Each line holds the SHA-256 of the line before it. A line that is changed, removed or put in between
breaks the chain from there on; ``verify`` says where.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Final

from coolcap_agent.controller.decisions import time_text
from coolcap_envs.contract.errors import CoolcapError

FIRST: Final = "0" * 64


class AuditError(CoolcapError):
    """The audit log cannot be written or is broken."""


class AuditLog:
    """Appends entries, each synced to disk before the change takes effect.

    Args:
        path: The file; continued if it exists.

    Raises:
        AuditError: If it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_bytes().splitlines() if path.exists() else []
            self._before = _hash(lines[-1]) if lines else FIRST
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise AuditError(f"audit log {path} cannot be used: {error.strerror}") from error

    def add(self, *, who: str, what: str, reason: str, time_s: float) -> None:
        """Append an entry.

        Raises:
            AuditError: If it cannot be written; the change must not be made then.
        """
        entry = {
            "time": time_text(time_s),
            "who": who,
            "what": what,
            "reason": reason,
            "before": self._before,
        }
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._file.write(line + b"\n")
            os.fsync(self._file.fileno())
        except OSError as error:
            raise AuditError(
                f"audit log {self._path} cannot be written: {error.strerror}"
            ) from error
        self._before = _hash(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def verify(path: Path) -> int:
    """Check the chain; return the number of entries.

    Raises:
        AuditError: If it is broken; the message names the line.
    """
    before = FIRST
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)["before"]
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(f"{path}, line {number}: is no entry of an audit log") from error
        if said != before:
            raise AuditError(f"{path}, line {number}: does not follow from the line before it")
        before = _hash(line)
    return len(lines)


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
