"""Writing small files so that a crash leaves the old content or the new, never a mixture."""

import contextlib
import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace the content of ``path``; when this returns it survives a power loss.

    A temporary file beside it is written, synced and renamed, and then the folder is synced: the
    rename alone may be lost with the power.

    Raises:
        OSError: If the disk refuses; the old content is then still in place.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove ``path``, which need not exist; when this returns it stays removed.

    Raises:
        OSError: If the disk refuses.
    """
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` survive a power loss.

    Raises:
        OSError: If the disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
