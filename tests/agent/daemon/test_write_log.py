"""Writes are recorded in order, and none is made that cannot be."""

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from coolcap_agent.audit import AuditError, AuditLog, Entry, verify
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.write_log import AuditedWrites, WriteRecord
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.refusals import RefusedError
from support.small_control import A, SmallControl


def record(value: float) -> WriteRecord:
    return WriteRecord(
        key=("", "supply_air_temp_setpoint_c"),
        who="control",
        epoch=3,
        why="command 7",
        before=20.0,
        asked=value,
        written=value,
        after=math.nan,
        outcome=Outcome.TIMED_OUT,
    )


class Refusing(AuditLog):
    """A log whose disk can be full."""

    full = False

    def add_all(self, entries: Sequence[Entry]) -> None:
        if self.full:
            raise AuditError("the disk is full")
        super().add_all(entries)


def test_what_the_disk_did_not_take_is_kept_and_written_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Refusing(tmp_path / "audit.jsonl")
    writes = AuditedWrites(log, faults=FaultLog(logging.getLogger(__name__)), now_s=lambda: 0.0)

    async def play() -> tuple[str, str]:
        await writes.note(record(21.0))
        log.full = True
        await writes.note(record(22.0))
        problem = await writes.problem()
        log.full = False
        await writes.note(record(23.0))
        after = await writes.problem()
        await writes.close()
        return problem, after

    assert asyncio.run(play()) == ("the disk is full", "")
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["value_asked"] for line in lines] == [21.0, 22.0, 23.0]
    assert lines[0]["value_after"] is None
    assert verify(tmp_path / "audit.jsonl").count == 3
    assert caplog.text.count("no command is carried out") == 1


class Full:
    """A record that cannot be kept."""

    async def problem(self) -> str:
        return "the disk is full"

    async def note(self, record: WriteRecord) -> None:
        raise AssertionError("nothing was to be written")


def test_command_that_cannot_be_recorded_is_refused_as_a_whole(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    small.commander._write_log = Full()

    async def play() -> None:
        await small.command(await small.acquire(), {A: 400.0})

    with pytest.raises(RefusedError, match="writes cannot be recorded: the disk is full"):
        asyncio.run(play())
    assert small.points[A].written == []
