"""What was in force before the first write is on disk before anything is written."""

import json
import os
from pathlib import Path

import pytest

from coolcap_agent.journal import Entry, Journal, JournalDamaged, JournalError, decode, encode

BEFORE = Entry(device="GPU-a", lever="power_cap_w", value=700.0)
OTHER = Entry(device="GPU-b", lever="power_cap_w", value=550.5)
LOCAL = Entry(device="", lever="supply_air_temp_setpoint_c", value=None, local=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.json"


def reload(path: Path) -> Journal:
    journal = Journal(path)
    journal.load()
    return journal


def test_entries_survive_a_restart(path: Path) -> None:
    Journal(path).add([BEFORE, LOCAL])

    assert {entry.key: entry for entry in (BEFORE, LOCAL)} == reload(path).entries


def test_entry_is_never_overwritten(path: Path) -> None:
    """
    What the device holds later may be what this agent wrote.
    """
    Journal(path).add([BEFORE])
    journal = reload(path)

    journal.add([Entry(device="GPU-a", lever="power_cap_w", value=300.0), OTHER])

    assert {BEFORE.key: BEFORE, OTHER.key: OTHER} == reload(path).entries


def test_file_is_removed_with_its_last_entry_and_not_before(path: Path) -> None:
    journal = Journal(path)
    journal.add([BEFORE, OTHER])

    journal.remove([BEFORE.key])
    assert {OTHER.key: OTHER} == reload(path).entries

    journal.remove([OTHER.key])
    assert not path.exists()
    assert reload(path).entries == {}


def test_journal_of_nobody_is_empty(path: Path) -> None:
    assert reload(path).entries == {}


@pytest.mark.parametrize("cut", [0, 1, 40, -3])
def test_torn_file_is_put_aside_and_reported(path: Path, cut: int) -> None:
    path.write_bytes(encode([BEFORE])[:cut])

    journal = Journal(path)
    with pytest.raises(JournalDamaged) as caught:
        journal.load()

    aside = [name for name in os.listdir(path.parent) if name.startswith("journal.json.damaged-")]
    assert aside[0] in str(caught.value)
    assert not path.exists()
    assert journal.entries == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["entries"][0].update(value=100.0),
        lambda data: data["entries"].clear(),
        lambda data: data.update(format=2),
        lambda data: data.pop("sha256"),
    ],
)
def test_file_that_is_not_as_it_was_written_is_damaged(path: Path, change: object) -> None:
    data = json.loads(encode([BEFORE]))
    assert callable(change)
    change(data)
    path.write_text(json.dumps(data))

    with pytest.raises(JournalDamaged):
        Journal(path).load()


def test_leftover_of_a_crash_while_writing_does_not_count(path: Path) -> None:
    Journal(path).add([BEFORE])
    path.with_name(".journal.json.tmp").write_bytes(encode([OTHER])[:30])

    assert {BEFORE.key: BEFORE} == reload(path).entries


def test_full_disk_leaves_the_old_content_and_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path)
    journal.add([BEFORE])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.add([OTHER])
    monkeypatch.undo()

    assert {BEFORE.key: BEFORE} == journal.entries
    assert {BEFORE.key: BEFORE} == reload(path).entries


def test_entries_are_synced_to_disk_before_add_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    File, then rename, then folder: a rename alone may be lost with the power.
    """
    steps: list[str] = []
    sync, rename = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def note_rename(old: Path, new: Path) -> None:
        steps.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    Journal(path).add([BEFORE])

    assert steps == ["file", "rename", "folder"]


def test_encoding_is_undone_by_decoding() -> None:
    assert decode(encode([BEFORE, OTHER, LOCAL])) == [BEFORE, OTHER, LOCAL]
