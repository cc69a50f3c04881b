"""One process per folder, and what is said when there are two."""

import errno
import os
from pathlib import Path

import pytest

from coolcap_agent.daemon.state_dir import StateDir, StateDirError


def test_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with StateDir(tmp_path / "a" / "state") as state:
        assert state.journal.parent.stat().st_mode & 0o777 == 0o700


def test_second_user_is_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        StateDir(tmp_path),
        pytest.raises(StateDirError, match=f"in use by the agent with process id {os.getpid()}"),
        StateDir(tmp_path),
    ):
        pass


def test_folder_is_free_again_after_its_user(tmp_path: Path) -> None:
    for _ in range(2):
        with StateDir(tmp_path):
            pass


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(StateDirError, match="file/state cannot be used"),
        StateDir(tmp_path / "file" / "state"),
    ):
        pass


def test_folder_on_a_read_only_disk_can_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An agent that was killed must restore although its disk has become read-only meanwhile.
    """
    with StateDir(tmp_path):
        pass
    real = os.open

    def read_only(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)

    with StateDir(tmp_path), pytest.raises(StateDirError, match="in use"), StateDir(tmp_path):
        pass
