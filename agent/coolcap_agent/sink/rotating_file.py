"""An append-only file that starts anew when it is full, keeping a few predecessors."""

import contextlib
import os
from pathlib import Path


class RotatingFile:
    """Appends bytes to ``path``; a full file becomes ``path.1``, then ``path.2`` and so on.

    Args:
        path: The file in use. Its folder is made when it is missing.
        bytes_max: Size at which it is set aside.
        keep_count: Files set aside that are kept.
    """

    def __init__(self, path: Path, *, bytes_max: int, keep_count: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._keep_count = keep_count
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    @property
    def path(self) -> Path:
        """Return the file in use."""
        return self._path

    def append(self, body: bytes) -> None:
        """Append ``body`` whole. Raises OSError, for example when the disk is full."""
        if self._size and self._size + len(body) > self._bytes_max:
            self._set_aside()
        start = self._size
        rest = memoryview(body)
        try:
            while rest:
                count = self._file.write(rest) or 0
                rest = rest[count:]
        except OSError:
            # Half a line would damage its successor: take it back.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), start)
            raise
        self._size += len(body)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _set_aside(self) -> None:
        self._numbered(self._keep_count).unlink(missing_ok=True)
        for number in range(self._keep_count - 1, 0, -1):
            if (older := self._numbered(number)).exists():
                older.rename(self._numbered(number + 1))
        if self._keep_count and self._path.exists():
            self._path.rename(self._numbered(1))
        full, self._file = self._file, self._path.open("wb", buffering=0)
        full.close()
        self._size = 0
