from pathlib import Path

import pytest

from coolcap_agent.sink.file import FileSink
from coolcap_agent.sink.memory import MemorySink
from coolcap_agent.sink.rotating_file import RotatingFile
from coolcap_agent.sink.several import SeveralSinks

LINE = b"plant,site=small it_power_w=1 1\n"


def test_lines_are_in_the_file_at_once(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "log" / "telemetry.lp")

    sink.write(LINE + LINE)

    assert (tmp_path / "log" / "telemetry.lp").read_bytes() == LINE + LINE
    assert sink.status().written == 2
    sink.close()


def test_restarted_sink_appends(tmp_path: Path) -> None:
    for _ in range(2):
        sink = FileSink(tmp_path / "telemetry.lp")
        sink.write(LINE)
        sink.close()

    assert (tmp_path / "telemetry.lp").read_bytes() == LINE + LINE


def test_full_file_is_set_aside_and_the_oldest_is_removed(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", bytes_max=10, keep_count=2)

    for number in range(5):
        file.append(f"entry {number}\n".encode())

    file.close()
    assert (tmp_path / "log").read_text() == "entry 4\n"
    assert (tmp_path / "log.1").read_text() == "entry 3\n"
    assert (tmp_path / "log.2").read_text() == "entry 2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]


def test_entry_larger_than_the_file_is_not_cut(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", bytes_max=4, keep_count=1)

    file.append(b"0123456789\n")

    file.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789\n"


def test_disk_that_takes_nothing_costs_lines_and_is_told(tmp_path: Path) -> None:
    """/dev/full is a device on which every write fails for lack of room."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    link = tmp_path / "telemetry.lp"
    link.symlink_to("/dev/full")
    sink = FileSink(link)

    sink.write(LINE)

    status = sink.status()
    assert status.dropped == 1
    assert "cannot be written: No space left on device" in status.problem
    sink.close()


def test_one_sink_in_trouble_does_not_trouble_the_others(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    link = tmp_path / "telemetry.lp"
    link.symlink_to("/dev/full")
    memory = MemorySink()
    both = SeveralSinks([FileSink(link), memory])

    both.write(LINE)

    assert [LINE.decode().rstrip()] == memory.lines
    assert (both.status().written, both.status().dropped) == (1, 1)
    both.close()


def test_memory_keeps_the_newest_lines() -> None:
    sink = MemorySink(line_count_max=2)

    sink.write(b"a\nb\nc\n")

    assert sink.lines == ["b", "c"]
    assert sink.status().dropped == 1
