"""The folder an agent remembers in: journal, epoch, and a lock against a second agent."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from coolcap_envs.contract.errors import CoolcapError

LOCK_NAME: Final = "lock"
"""Name of the lock's file; its time stamp tells that the agent is alive."""


class StateDirError(CoolcapError):
    """The folder cannot be used, or another process uses it."""


class StateDir:
    """Holds the folder for this process alone, from ``with`` to its end (a crash ends it too)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    @property
    def journal(self) -> Path:
        """Return where the journal is."""
        return self._path / "journal.json"

    @property
    def audit(self) -> Path:
        """Return where the record of writes is."""
        return self._path / "audit.jsonl"

    @property
    def folder(self) -> Path:
        """Return the folder."""
        return self._path

    @property
    def epoch(self) -> Path:
        """Return where the newest epoch is."""
        return self._path / "epoch"

    def __enter__(self) -> "StateDir":
        """Take the folder, making it if needed. Raises StateDirError."""
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._open()
        except OSError as error:
            raise StateDirError(f"state_dir {self._path} cannot be used: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            user = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self._release()
            raise StateDirError(
                f"state_dir {self._path} is in use by the agent with process id {user}; stop that "
                "one, or give this agent a folder of its own"
            ) from error
        with contextlib.suppress(OSError):  # without room on the disk others are told no number
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the folder go."""
        self._release()

    def _open(self) -> int:
        """Open the lock's file; for reading where the disk has become read-only.

        An agent on such a disk grants no lease, but it still restores what its journal holds.
        """
        path = self._path / LOCK_NAME
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
