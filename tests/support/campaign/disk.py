"""The disk of an agent's state, which can be full or read-only.

Where this process may mount, it is a small tmpfs that is filled up, or covered by a read-only view
of itself: the kernel's own ENOSPC and EROFS. Elsewhere the agent's process is not allowed to make
any file longer (EFBIG), which it meets at the same calls.
"""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE = "16m"


class Disk:
    """The disk under a folder.

    Args:
        folder: Made, and mounted over if possible.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700)
        options = f"size={SIZE},mode=700"
        self.mounted = self._mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    @contextlib.contextmanager
    def broken(self, pid: int, *, full: bool) -> Iterator[None]:
        """Let nothing be written to it.

        Args:
            pid: The agent.
            full: Full instead of read-only.
        """
        if not self.mounted:
            with _no_longer_files(pid):
                yield
        elif full:
            with self._full():
                yield
        else:
            with self._read_only():
                yield

    def close(self) -> None:
        """Let it go."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    @contextlib.contextmanager
    def _full(self) -> Iterator[None]:
        ballast = self._folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        try:
            yield
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def _read_only(self) -> Iterator[None]:
        folder = str(self._folder)
        assert self._mount("--bind", folder, folder)
        assert self._mount("-o", "remount,bind,ro", folder)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    @staticmethod
    def _mount(*words: str) -> bool:
        try:
            done = subprocess.run(["mount", *words], capture_output=True, check=False)
        except FileNotFoundError:
            return False
        return done.returncode == 0


@contextlib.contextmanager
def _no_longer_files(pid: int) -> Iterator[None]:
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
