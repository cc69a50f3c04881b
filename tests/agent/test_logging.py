"""A fault is logged when it begins and when it ends."""

import json
import logging
from io import StringIO

import pytest

from coolcap_agent.logging import FaultLog, JsonFormatter


def test_fault_that_lasts_is_logged_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    faults = FaultLog(logging.getLogger("test"))

    for attempt in range(100):
        faults.begin("GPU-a reading", f"GPU-a cannot be read, attempt {attempt}")
    assert faults.about("GPU-a") == "GPU-a cannot be read, attempt 99"
    for _ in range(100):
        faults.end("GPU-a reading", "GPU-a can be read again")

    assert [record.getMessage() for record in caplog.records] == [
        "GPU-a cannot be read, attempt 0",
        "GPU-a can be read again",
    ]
    assert faults.present == {}


def test_json_log_is_one_object_per_line() -> None:
    record = logging.LogRecord("node", logging.WARNING, "x.py", 1, "%s is\nlost", ("GPU-ä",), None)

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "GPU-ä is\nlost"
    assert json.loads(line)["level"] == "warning"


def test_fault_is_one_line_as_it_begins_and_one_as_it_ends() -> None:
    stream = StringIO()
    log = logging.getLogger("faults")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    faults = FaultLog(log)

    for _ in range(3):
        faults.begin("GPU-a reading", "GPU-a cannot be read")
    for _ in range(3):
        faults.end("GPU-a reading", "GPU-a can be read again")

    log.removeHandler(handler)
    begun, ended = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (begun["fault"], begun["phase"], begun["level"]) == (
        "GPU-a reading",
        "begin",
        "warning",
    )
    assert (ended["fault"], ended["phase"]) == ("GPU-a reading", "end")
