"""Moving spools and files to a server, in one go or in several."""

import gzip
from pathlib import Path

import pytest

from coolcap_agent.sink.delivery import Answer
from coolcap_agent.sink.replay import ReplayError, replay
from coolcap_agent.sink.spool import Spool

OK = Answer(status=204, message="")
CONFLICT = 'field type conflict: input field "p" on measurement "gpu" is type string, already'


class Server:
    """Stores lines by series and time; refuses texts; can be away."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.strict = True
        self.away_after: int | None = None
        self.requests = 0

    def __call__(self, body: bytes) -> Answer:
        self.requests += 1
        if self.away_after is not None and self.requests > self.away_after:
            return Answer(status=503, message="away")
        bad = False
        for line in body.splitlines():
            key, value, time = line.rsplit(b" ", 2)
            if self.strict and b'"' in value:
                bad = True
            else:
                self.rows[key + time] = value
        return Answer(status=400, message=CONFLICT) if bad else OK


def lines(count: int) -> bytes:
    return b"".join(b"gpu,gpu=%d p=1 %d\n" % (n % 7, n) for n in range(count))


def test_a_file_arrives_whole_and_again_changes_nothing(tmp_path: Path) -> None:
    server, path = Server(), tmp_path / "telemetry.lp"
    path.write_bytes(lines(12_000))

    first = replay([path], server)
    rows = dict(server.rows)
    second = replay([path], server)

    assert (first.sent, first.refused, first.torn) == (12_000, 0, ())
    assert len(rows) == 12_000
    assert (second.sent, server.rows) == (12_000, rows)
    assert path.read_bytes() == lines(12_000)


def test_a_gzipped_file_is_read_as_well(tmp_path: Path) -> None:
    server, path = Server(), tmp_path / "telemetry.lp.gz"
    path.write_bytes(gzip.compress(lines(100)))

    assert replay([path], server).sent == 100


def test_a_line_without_its_end_is_left_out_and_told(tmp_path: Path) -> None:
    """Its time may be cut short, and then it would be stored where it does not belong."""
    server, path = Server(), tmp_path / "telemetry.lp"
    path.write_bytes(lines(10) + b"gpu,gpu=1 p=1 17675")

    done = replay([path], server)

    assert (done.sent, done.torn) == (10, (str(path),))
    assert len(server.rows) == 10


def test_a_spool_is_empty_afterwards(tmp_path: Path) -> None:
    server = Server()
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=10**9)
    for start in range(0, 20_000, 1000):
        spool.put(b"".join(b"gpu p=1 %d\n" % n for n in range(start, start + 1000)))
    spool.close()

    done = replay([tmp_path / "spool.sqlite"], server)

    assert (done.sent, len(server.rows)) == (20_000, 20_000)
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=10**9)
    assert spool.waiting == 0
    spool.close()


def test_a_replay_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    server, path = Server(), tmp_path / "spool.sqlite"
    spool = Spool(path, bytes_max=10**9)
    for start in range(0, 20_000, 5000):
        spool.put(b"".join(b"gpu p=1 %d\n" % n for n in range(start, start + 5000)))
    spool.close()
    server.away_after = 2
    clock = [0.0]

    def sleep(wait_s: float) -> None:
        clock[0] += wait_s

    with pytest.raises(ReplayError, match=r"takes nothing since 60 s.*answered 503 \(away\)"):
        replay([path], server, sleep=sleep, mono_s=lambda: clock[0])
    assert len(server.rows) == 10_000

    server.away_after = None
    assert replay([path], server).sent == 10_000
    assert len(server.rows) == 20_000


def test_refused_lines_are_kept_and_sent_again_when_asked(tmp_path: Path) -> None:
    server, path = Server(), tmp_path / "spool.sqlite"
    spool = Spool(path, bytes_max=10**9)
    spool.put(b'gpu p=1 1\ngpu p="odd" 2\n')
    spool.close()

    done = replay([path], server)
    assert (done.sent, done.refused) == (1, 1)
    assert "1 lines of measurement gpu refused" in done.problem

    server.strict = False
    again = replay([path], server, refused_again=True)
    assert (again.sent, again.refused) == (1, 0)
    assert len(server.rows) == 2
    assert replay([path], server, refused_again=True).sent == 0


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        replay([tmp_path / "none.lp"], Server())
