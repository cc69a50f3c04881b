from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent.sink.delivery import CONFIGURATION_WAIT_S, Answer, Delivery
from coolcap_agent.sink.spare import SpareSpool
from coolcap_agent.sink.spool import Spool

OK = Answer(status=204, message="")


class Database:
    """Stores lines by series and time, refuses those that say "bad", and can be made to fail."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.failure: Answer | None = None
        self.requests = 0

    def __call__(self, body: bytes) -> Answer:
        self.requests += 1
        if self.failure is not None:
            return self.failure
        lines = body.splitlines()
        self.rows += [row for row in lines if b"bad" not in row]
        if any(b"bad" in row for row in lines):
            return Answer(status=400, message="partial write: field type conflict")
        return OK


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    yield opened
    opened.close()


@pytest.fixture
def spool(disk: Spool) -> SpareSpool:
    return SpareSpool(disk)


def send_all(delivery: Delivery, spool: SpareSpool) -> float | None:
    return delivery.send(spool.take(newest=False, line_count_max=1000))


def test_taken_batches_leave_the_spool(spool: SpareSpool) -> None:
    database = Database()
    delivery = Delivery(database, spool)
    spool.put(b"a\nb\n")
    spool.put(b"c\n")

    assert send_all(delivery, spool) is None
    assert database.rows == [b"a", b"b", b"c"]
    assert (database.requests, delivery.written, spool.waiting) == (1, 3, 0)


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_batches_stay_while_the_database_is_away(spool: SpareSpool, status: int) -> None:
    database = Database()
    database.failure = Answer(status=status, message="away", retry_after_s=7.0)
    delivery = Delivery(database, spool)
    spool.put(b"a\n")

    assert send_all(delivery, spool) == 7.0
    assert spool.waiting == 1
    assert "away" in delivery.problem

    database.failure = None
    assert send_all(delivery, spool) is None
    assert (spool.waiting, delivery.problem, database.rows) == (0, "", [b"a"])


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "correct `token_file`"), (403, "correct `bucket`"), (404, "no such bucket")],
)
def test_wrong_configuration_keeps_lines_and_says_what_to_correct(
    spool: SpareSpool, status: int, advice: str
) -> None:
    database = Database()
    database.failure = Answer(status=status, message="no")
    delivery = Delivery(database, spool)
    spool.put(b"a\n")

    assert send_all(delivery, spool) == CONFIGURATION_WAIT_S
    assert advice in delivery.problem
    assert spool.waiting == 1


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_one_bad_line_costs_itself_only(spool: SpareSpool, disk: Spool, count: int) -> None:
    database = Database()
    delivery = Delivery(database, spool)
    good = [f"line {number}".encode() for number in range(count)]
    spool.put(b"\n".join([*good[: count // 2], b"bad", *good[count // 2 :]]) + b"\n")

    assert send_all(delivery, spool) is None
    assert set(good) == set(database.rows)
    assert (count, 1, 0) == (delivery.written, delivery.refusals.count, spool.waiting)
    assert disk.refused() == [("partial write: field type conflict", "bad")]


def test_refused_line_is_counted_once_although_its_batch_is_sent_again(spool: SpareSpool) -> None:
    """The database goes away while the batch is being halved."""
    database = Database()
    delivery = Delivery(database, spool)
    spool.put(b"bad\nline 1\n")
    away = Answer(status=0, message="away")
    answers = [Answer(status=400, message="no"), Answer(status=400, message="no"), away]

    def flaky(body: bytes) -> Answer:
        return answers.pop(0) if answers else database(body)

    delivery = Delivery(flaky, spool)
    assert send_all(delivery, spool) is not None
    assert send_all(delivery, spool) is None

    assert (delivery.written, delivery.refusals.count, spool.waiting) == (1, 1, 0)


CONFLICT = (
    'partial write: field type conflict: input field "it_power_w" on measurement "plant" is type '
    "string, already exists as type float dropped=1"
)


class StrictDatabase:
    """Refuses texts in a field of numbers, as InfluxDB 1 does, and counts requests."""

    def __init__(self) -> None:
        self.rows: set[bytes] = set()
        self.requests = 0

    def __call__(self, body: bytes) -> Answer:
        self.requests += 1
        lines = body.splitlines()
        self.rows |= {line for line in lines if b'"' not in line}
        if any(b'"' in line for line in lines):
            return Answer(status=400, message=CONFLICT)
        return OK


def test_lines_an_answer_names_are_found_without_trying_each(spool: SpareSpool) -> None:
    database = StrictDatabase()
    delivery = Delivery(database, spool)
    good = [b"plant,site=a it_power_w=%d %d" % (i, i) for i in range(500)]
    bad = [b'plant,site=a it_power_w="high" %d' % i for i in range(500, 1000)]
    other = [b"facility,site=a it_power_w=1 %d" % i for i in range(500)]
    spool.put(b"\n".join([*good, *bad, *other]) + b"\n")

    assert send_all(delivery, spool) is None

    assert database.rows == {*good, *other}
    assert (delivery.written, delivery.refusals.count) == (1000, 500)
    assert database.requests == 3


def test_a_refusal_names_measurement_reason_and_remedy(spool: SpareSpool) -> None:
    delivery = Delivery(StrictDatabase(), spool)
    spool.put(b'plant,site=a it_power_w="high" 1\n')

    send_all(delivery, spool)
    spool.put(b"plant,site=a it_power_w=1 2\n")
    send_all(delivery, spool)

    for part in ("1 lines of measurement plant refused", "is type string", "coolcap replay"):
        assert part in delivery.problem, "it stays on show although the next batch was taken"


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (401, "unauthorized access", "correct `token_file` in [telemetry.influxdb]"),
        (500, "write /data: no space left on device", "make room on the server's disk"),
        (429, "rate limit", "sent again until it takes them"),
    ],
)
def test_a_problem_names_measurement_reason_and_remedy(
    spool: SpareSpool, status: int, reason: str, advice: str
) -> None:
    delivery = Delivery(lambda body: Answer(status=status, message=reason), spool)
    spool.put(b"gpu,site=a power_w=1 1\nfacility,site=a power_w=1 1\n")

    send_all(delivery, spool)

    for part in (str(status), reason, "lines of facility, gpu wait", advice):
        assert part in delivery.problem
