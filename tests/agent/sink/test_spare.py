"""A spool whose disk is full: nothing is lost while memory lasts, and what is lost is counted."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coolcap_agent.sink.spare import SpareSpool
from coolcap_agent.sink.spool import Spool


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def body(number: int, count: int = 200) -> bytes:
    return b"".join(b"gpu,gpu=g%d power_w=%d.%d %d\n" % (i, i, i, number) for i in range(count))


def drained(spool: SpareSpool) -> set[bytes]:
    found: set[bytes] = set()
    while batches := spool.take(newest=False, line_count_max=5000):
        found.update(line for batch in batches for line in batch.body.splitlines())
        spool.remove(batches)
    return found


def lines(numbers: range) -> set[bytes]:
    return {line for number in numbers for line in body(number).splitlines()}


def test_a_full_disk_loses_nothing_while_memory_lasts(tmp_path: Path) -> None:
    disk = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    spool = SpareSpool(disk)
    with files_at_most(100_000):
        for number in range(200):
            spool.put(body(number))
        assert "cannot be used" in spool.problem
        assert "wait in memory" in spool.problem
        assert spool.waiting == 200 * 200
    spool.put(body(200))

    assert spool.problem == ""
    assert spool.dropped == 0
    assert drained(spool) == lines(range(201))
    spool.close()


def test_what_neither_disk_nor_memory_holds_is_counted_by_measurement(tmp_path: Path) -> None:
    disk = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    spool = SpareSpool(disk, bytes_max=3 * len(body(1000)))
    with files_at_most(1):
        for number in range(1000, 1010):
            spool.put(body(number))

        assert spool.dropped == 7 * 200
        assert "1400 of gpu" in spool.problem
        assert drained(spool) == lines(range(1007, 1010))
    spool.close()


def test_room_is_left_to_others_on_the_disk(tmp_path: Path) -> None:
    disk = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000, disk_free_min=10**18)
    spool = SpareSpool(disk)

    spool.put(body(1))

    assert "are left to others; make room on it" in spool.problem
    assert drained(spool) == lines(range(1, 2))
    spool.close()


@pytest.mark.parametrize("newest", [False, True])
def test_what_only_memory_holds_is_sent_first(tmp_path: Path, newest: bool) -> None:
    disk = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    spool = SpareSpool(disk)
    spool.put(body(1))
    with files_at_most(1):
        spool.put(body(2))

        (first,) = spool.take(newest=newest, line_count_max=10)

    assert first.body == body(2)
    spool.close()


def test_refused_lines_are_kept_aside_as_soon_as_the_disk_takes_them(tmp_path: Path) -> None:
    disk = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    spool = SpareSpool(disk)
    with files_at_most(1):
        spool.refuse([b"bad line\n"], reason="field type conflict")
        assert disk.refused() == []
    spool.put(body(1))

    assert disk.refused() == [("field type conflict", "bad line")]
    spool.close()
