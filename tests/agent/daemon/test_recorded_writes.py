"""Recording holds up no write, and a record that cannot be opened holds up no restore."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from coolcap_agent.audit import AuditLog, verify
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.write_log import AuditedWrites, UnrecordedWrites, WriteRecord
from coolcap_agent.logging import FaultLog


def record(number: int) -> WriteRecord:
    return WriteRecord(
        key=("GPU-a", "power_cap_w"),
        who="control",
        epoch=1,
        why=f"command {number}",
        before=500.0,
        asked=300.0,
        written=300.0,
        after=300.0,
        outcome=Outcome.APPLIED,
    )


def writes(log: AuditLog) -> AuditedWrites:
    return AuditedWrites(log, faults=FaultLog(logging.getLogger("test")), now_s=lambda: 1000.0)


class SlowLog(AuditLog):
    """A log whose disk takes its time until the gate opens."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()

    def add_all(self, entries: object) -> None:
        self.gate.wait(10.0)
        super().add_all(entries)  # type: ignore[arg-type]


def test_slow_disk_holds_up_no_write(tmp_path: Path) -> None:
    async def play() -> None:
        log = SlowLog(tmp_path / "audit.jsonl")
        kept = writes(log)
        await asyncio.wait_for(kept.note(record(1)), timeout=5.0)
        await asyncio.wait_for(kept.note(record(2)), timeout=5.0)
        log.gate.set()
        await kept.close()

    asyncio.run(play())

    assert verify(tmp_path / "audit.jsonl").count == 2


def test_record_that_cannot_be_opened_lets_no_command_through_and_every_restore() -> None:
    async def play() -> str:
        kept = UnrecordedWrites("disk is read-only")
        await kept.note(record(1))
        return await kept.problem()

    assert asyncio.run(play()) == "disk is read-only"


@pytest.mark.parametrize("count", [1, 3])
def test_several_entries_are_one_write_or_none(tmp_path: Path, count: int) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.add(who="a", what="b", reason="c", time_s=1.0)
    for _ in range(count):
        log.add(who="a", what="b", reason="c", time_s=1.0)
    log.close()

    assert verify(path).count == count + 1
