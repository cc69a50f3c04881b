import json
from pathlib import Path

import pytest

from coolcap_agent.audit import AuditError, AuditLog, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three entries, written by two processes one after the other."""
    file = tmp_path / "audit.jsonl"
    for names in (("a", "b"), ("c",)):
        log = AuditLog(file)
        for name in names:
            log.add(who=name, what="mode off", reason="test", time_s=1000.0)
        log.close()
    return file


def test_untouched_log_verifies_over_restarts(path: Path) -> None:
    assert verify(path).count == 3


@pytest.mark.parametrize("number", [0, 1])
def test_changed_line_breaks_the_chain_behind_it(path: Path, number: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[number] = lines[number].replace("mode off", "mode auto")
    path.write_text("".join(lines))

    with pytest.raises(AuditError, match=f"line {number + 2}: does not follow"):
        verify(path)


def test_removed_line_breaks_the_chain(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])

    with pytest.raises(AuditError, match="line 2"):
        verify(path)


def test_line_that_is_no_entry_is_told(path: Path) -> None:
    path.write_text("something\n")

    with pytest.raises(AuditError, match="line 1: is no entry"):
        verify(path)


def test_log_that_cannot_be_opened_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be used"):
        AuditLog(tmp_path)


def test_log_cut_off_at_its_end_is_told_to_who_knows_the_newest_hash(path: Path) -> None:
    head = verify(path).head
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))

    assert verify(path).count == 2
    with pytest.raises(AuditError, match=f"none of its 2 entries has the hash {head}"):
        verify(path, known=head)


def test_hash_of_an_earlier_check_stays_known_as_the_log_grows(path: Path) -> None:
    head = verify(path).head
    log = AuditLog(path)
    log.add(who="d", what="mode off", reason="test", time_s=1001.0)
    log.close()

    assert verify(path, known=head).count == 4


def test_line_torn_by_a_crash_is_cut_off_and_the_chain_goes_on(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"time":"1970-01-0')
    log = AuditLog(path)
    log.add(who="d", what="mode off", reason="test", time_s=1001.0)
    log.close()

    assert verify(path).count == 4
    assert json.loads(path.read_text().splitlines()[-1])["who"] == "d"


def test_entry_longer_than_what_is_read_at_a_time_is_found_at_the_next_start(path: Path) -> None:
    for size in (10, 200_000, 70_000):
        log = AuditLog(path)
        log.add(who="d", what="mode off", reason="x" * size, time_s=1001.0)
        log.close()

    assert verify(path).count == 6
