"""The sink on a real InfluxDB: what is written is stored, once, whatever happens in between."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from coolcap_agent.demo.series import read_series
from coolcap_agent.sink.influx import InfluxSink, influx_post
from coolcap_agent.sink.memory import MemorySink
from coolcap_agent.sink.spool import Spool
from coolcap_agent.telemetry_log.schema import MEASUREMENTS
from support.filled_influx import wait_until_written
from support.influx_server import InfluxServer, LocalInfluxServer
from support.logged_site import log_hour

pytestmark = pytest.mark.influxdb

Row = tuple[str, tuple[tuple[str, str], ...], int, tuple[tuple[str, float], ...]]


def open_sink(server: InfluxServer, database: str, spool: Path) -> InfluxSink:
    return InfluxSink(
        influx_post(server.target(database)),
        Spool(spool, bytes_max=100_000_000),
        name="test",
        jitter=lambda: 0.0,
    )


def rows_of(lines: list[bytes]) -> set[Row]:
    """Return what lines say, numbers only."""
    found: set[Row] = set()
    for measurement, of_measurement in read_series(line.decode() for line in lines).items():
        for series in of_measurement:
            tags = tuple(sorted(series.tags.items()))
            arrays = {name: series.array(name) for name in series.fields}
            for i, time_s in enumerate(series.time_s):
                values = {name: float(array[i]) for name, array in arrays.items()}
                fields = tuple(sorted((n, v) for n, v in values.items() if v == v))  # no NaN
                found.add((measurement, tags, round(time_s * 1000), fields))
    return found


def rows_in(server: InfluxServer, database: str) -> set[Row]:
    """Return what the database holds, numbers only."""
    found: set[Row] = set()
    for measurement, schema in MEASUREMENTS.items():
        (answer,) = server.query(f'SELECT * FROM "{measurement}"', database=database)
        for series in answer:
            for i, time_ms in enumerate(series.columns["time"]):
                row = {name: column[i] for name, column in series.columns.items()}
                tags = tuple(sorted((tag, row[tag]) for tag in schema.tags))
                numbers = {
                    n: float(v)
                    for n, v in row.items()
                    if isinstance(v, int | float) and n != "time"
                }
                found.add((measurement, tags, time_ms, tuple(sorted(numbers.items()))))
    return found


@pytest.fixture(scope="module")
def hour() -> list[bytes]:
    return log_hour(MemorySink()).lines


def test_every_row_sent_is_stored_with_its_values(
    influx: InfluxServer, tmp_path: Path, hour: list[bytes]
) -> None:
    influx.create("coolcap_test_rows")
    sink = open_sink(influx, "coolcap_test_rows", tmp_path / "spool.sqlite")

    for start in range(0, len(hour), 500):
        sink.write(b"".join(line + b"\n" for line in hour[start : start + 500]))
    wait_until_written(sink)
    sink.close()

    assert sink.status().written == len(hour)
    assert sink.status().dropped == 0
    assert rows_in(influx, "coolcap_test_rows") == rows_of(hour)


def test_replay_changes_nothing(influx: InfluxServer, tmp_path: Path, hour: list[bytes]) -> None:
    influx.create("coolcap_test_replay")
    body = b"".join(line + b"\n" for line in hour)
    for name in ("first", "second"):
        sink = open_sink(influx, "coolcap_test_replay", tmp_path / name)
        sink.write(body)
        wait_until_written(sink)
        sink.close()

    assert rows_in(influx, "coolcap_test_replay") == rows_of(hour)


def test_texts_arrive_as_they_were_written(
    influx: InfluxServer, tmp_path: Path, hour: list[bytes]
) -> None:
    influx.create("coolcap_test_texts")
    sink = open_sink(influx, "coolcap_test_texts", tmp_path / "spool.sqlite")
    sink.write(b"".join(line + b"\n" for line in hour if line.startswith(b"event,")))
    wait_until_written(sink)
    sink.close()

    ((events,),) = influx.query('SELECT "message" FROM "event"', database="coolcap_test_texts")

    count = Counter(events.columns["message"])
    assert count["no 'telemetry', restart it"] == 2
    assert count["readings are too old"] == 2


def test_one_bad_line_costs_no_other(influx: InfluxServer, tmp_path: Path) -> None:
    """A field that was a number and now is a text is refused, with the server's own words."""
    influx.create("coolcap_test_conflict")
    sink = open_sink(influx, "coolcap_test_conflict", tmp_path / "spool.sqlite")
    sink.write(b"plant,site=a it_power_w=1 1000000000\n")
    wait_until_written(sink)

    lines = [b"plant,site=a it_power_w=%d %d000000000\n" % (i, i) for i in range(2, 100)]
    lines.insert(50, b'plant,site=a it_power_w="high" 50500000000\n')
    sink.write(b"".join(lines))
    wait_until_written(sink)

    assert (sink.status().written, sink.status().dropped) == (99, 1)
    sink.close()
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=1_000_000)
    ((reason, line),) = spool.refused()
    spool.close()
    assert "field type conflict" in reason
    assert "it_power_w" in reason
    assert '"high"' in line
    query = 'SELECT count("it_power_w") FROM "plant"'
    ((counted,),) = influx.query(query, database="coolcap_test_conflict")
    assert counted.columns["count"] == [99]


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_outage_loses_nothing(mortal_influx: LocalInfluxServer, tmp_path: Path, kill: bool) -> None:
    mortal_influx.create("coolcap_test_outage")
    sink = open_sink(mortal_influx, "coolcap_test_outage", tmp_path / "spool.sqlite")
    problem = ""
    for second in range(300):
        if second == 100:
            mortal_influx.stop_database(kill=kill)
        if second == 200:
            problem = wait_for_problem(sink)
            mortal_influx.start_database()
        lines = [
            b"group,group=g%d,site=a gpu_power_w=%d %d000000000\n" % (g, second, second)
            for g in range(20)
        ]
        sink.write(b"".join(lines))
    wait_until_written(sink)

    status = sink.status()
    sink.close()
    # 500 from a server that is about to stop, 502 from nginx once it has.
    assert re.search(r"answered 50[02] .*: lines of group wait in the spool", problem, re.DOTALL)
    assert (status.written, status.dropped, status.problem) == (6000, 0, "")
    query = 'SELECT count("gpu_power_w") AS "n" FROM "group" GROUP BY "group"'
    (groups,) = mortal_influx.query(query, database="coolcap_test_outage")
    assert [one.columns["n"] for one in groups] == [[300]] * 20


def wait_for_problem(sink: InfluxSink) -> str:
    """Wait until the sink has noticed, and return its words."""
    deadline = time.monotonic() + 10.0
    while not (problem := sink.status().problem):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return problem


WRITER = """
import sys
from pathlib import Path
from coolcap_agent.sink.influx import InfluxSink
from coolcap_agent.sink.delivery import Answer
from coolcap_agent.sink.spool import Spool

away = lambda body: Answer(status=0, message="away")
sink = InfluxSink(away, Spool(Path(sys.argv[1]), bytes_max=100_000_000), name="test")
line = b"group,group=g%d,site=a gpu_power_w=1 %d000000000\\n"
for second in range(1_000_000):
    sink.write(b"".join(line % (g, second) for g in range(20)))
    print(second, flush=True)
"""


def test_lines_of_a_killed_writer_arrive_after_its_next_start(
    influx: InfluxServer, tmp_path: Path
) -> None:
    spool = tmp_path / "spool.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(spool)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer:
        done = [int(next(writer.stdout)) for _ in range(200)][-1]
        writer.send_signal(signal.SIGKILL)
        done = max([done, *(int(line) for line in writer.stdout if line.endswith("\n"))])

    influx.create("coolcap_test_killed")
    sink = open_sink(influx, "coolcap_test_killed", spool)
    wait_until_written(sink)
    sink.close()

    query = 'SELECT count("gpu_power_w") AS "n" FROM "group" GROUP BY "group"'
    (groups,) = influx.query(query, database="coolcap_test_killed")
    counts = {one.columns["n"][0] for one in groups}
    assert len(groups) == 20
    # What was announced is there; the batch in progress may be, whole.
    assert len(counts) == 1
    assert counts <= {done + 1, done + 2}
