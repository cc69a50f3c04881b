"""A fault is logged when it begins and when it ends."""

import json
import logging

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
