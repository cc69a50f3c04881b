from pathlib import Path

import pytest

from coolcap_agent.controller.audit import AuditError, AuditLog, verify


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
    assert verify(path) == 3


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
