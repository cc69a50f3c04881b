from pathlib import Path

import pytest

from coolcap_agent.sink.spool import Spool, SpoolError


def bodies(spool: Spool, *, newest: bool = False, count: int = 100) -> list[bytes]:
    return [batch.body for batch in spool.take(newest=newest, line_count_max=count)]


def test_batches_come_back_in_order_until_they_are_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)
    for body in (b"a\n", b"b\n", b"c\n"):
        spool.put(body)

    taken = spool.take(newest=False, line_count_max=2)
    spool.remove(taken)

    assert [batch.body for batch in taken] == [b"a\n", b"b\n"]
    assert bodies(spool) == [b"c\n"]
    assert spool.waiting == 1
    spool.close()


def test_newest_batches_come_from_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)
    for body in (b"a\n", b"b\n", b"c\n"):
        spool.put(body)

    assert bodies(spool, newest=True, count=2) == [b"b\n", b"c\n"]
    spool.close()


def test_batches_outlive_the_process(tmp_path: Path) -> None:
    """Nothing is closed in between, as after ``kill -9``."""
    first = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)
    first.put(b"a\nb\n")

    second = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)

    assert second.waiting == 2
    assert bodies(second) == [b"a\nb\n"]
    first.close()
    second.close()


def test_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=60)
    for number in range(10):
        spool.put(f"line {number}\n".encode())

    kept = bodies(spool)
    assert kept[-1] == b"line 9\n"
    assert len(kept) + spool.dropped == 10
    assert len(kept) == spool.waiting
    spool.close()


def test_refused_lines_are_kept_with_their_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)

    spool.refuse([b"bad line\n"], reason="field type conflict")

    assert spool.refused() == [("field type conflict", "bad line")]
    spool.close()


def test_file_that_is_no_spool_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"something else entirely" * 100)

    with pytest.raises(SpoolError, match=r"spool\.sqlite cannot be used.*move it away"):
        Spool(path, bytes_max=1_000_000)
