"""Every write of an agent, told to whoever keeps a record: who, why, before, asked and after."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from coolcap_agent.audit import AuditError, AuditLog, Entry
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.worker import Worker, WorkerError
from coolcap_agent.journal import Key, device_of
from coolcap_agent.lease import Lease
from coolcap_agent.logging import FaultLog

DISK_DEADLINE_S: Final = 5.0
"""Longest wait for the disk of the record."""
WAITING_MAX: Final = 10_000
"""Records kept in memory while the disk refuses; the oldest are given up first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord:
    """One write to one point, or one that was tried; NaN where a value is not known.

    Attributes:
        key: The point.
        who: Holder of the lease, or ``agent``.
        epoch: Of the lease, 0 without one.
        why: What it was for.
        before: What was in force.
        asked: What the command said, or what was to be restored.
        written: What was written; NaN if nothing was, or the point was given back.
        after: What was in force when it was read back.
        outcome: What became of it.
    """

    key: Key
    who: str
    epoch: int
    why: str
    before: float
    asked: float
    written: float
    after: float
    outcome: Outcome

    def details(self) -> dict[str, object]:
        """Return the numbers for a record in JSON, None where one is not known."""
        return {
            "device": self.key[0],
            "lever": self.key[1],
            "epoch": self.epoch,
            "value_before": _number(self.before),
            "value_asked": _number(self.asked),
            "value_written": _number(self.written),
            "value_after": _number(self.after),
            "outcome": self.outcome.value,
        }


class WriteLog(Protocol):
    """Keeps a record of writes."""

    async def problem(self) -> str:
        """Return why writes cannot be recorded, empty if they can; a command needs that."""
        ...

    async def note(self, record: WriteRecord) -> None:
        """Keep a record; never raises, a value must be restored even if that fails."""
        ...


class NoWriteLog:
    """Keeps nothing."""

    async def problem(self) -> str:
        """Return nothing."""
        return ""

    async def note(self, record: WriteRecord) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class UnrecordedWrites:
    """Stands for a record that cannot be opened: no command is carried out, values go back.

    Args:
        why: Why it cannot be.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    async def problem(self) -> str:
        """Return why writes cannot be recorded."""
        return self._why

    async def note(self, record: WriteRecord) -> None:
        """Do nothing."""

    async def say(self, *, who: str, what: str, reason: str) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class AuditedWrites:
    """Keeps every write in a hash-chained audit log, in order.

    A write is on disk a moment after it was made: nothing waits for that but the next command,
    which is not carried out before. What the disk does not take waits in memory.
    """

    def __init__(self, log: AuditLog, *, faults: FaultLog, now_s: Callable[[], float]) -> None:
        self._log = log
        self._faults = faults
        self._now_s = now_s
        self._disk = Worker("disk of the audit log")
        self._waiting: deque[Entry] = deque(maxlen=WAITING_MAX)
        self._writing: asyncio.Task[str] | None = None

    async def problem(self) -> str:
        """Try again what the disk has not taken; return why it does not, empty if it does."""
        return await self._flush() if self._waiting else ""

    async def note(self, record: WriteRecord) -> None:
        """Append a write, without waiting for the disk."""
        what = f"write {device_of(record.key)}"
        self._add(who=record.who, what=what, reason=record.why, details=record.details())
        self._begin()

    async def say(self, *, who: str, what: str, reason: str) -> None:
        """Append something else that was done; never raises."""
        self._add(who=who, what=what, reason=reason, details={})
        await self._flush()

    async def close(self) -> None:
        """Close the file after what waits for the disk."""
        if self._waiting:
            await self._flush()
        try:
            await self._disk.call(self._log.close, deadline_s=DISK_DEADLINE_S)
        except WorkerError:
            return  # the disk hangs; the process ends without it
        self._disk.close()

    def _add(self, *, who: str, what: str, reason: str, details: Mapping[str, object]) -> None:
        self._waiting.append(
            Entry(who=who, what=what, reason=reason, time_s=self._now_s(), details=details)
        )

    def _begin(self) -> asyncio.Task[str]:
        """Have all that waits written, unless it is being written; return what does it."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return self._writing

    async def _flush(self) -> str:
        """Append all that waits; return why it cannot be."""
        return await asyncio.shield(self._begin())

    async def _write(self) -> str:
        try:
            while self._waiting:
                await self._disk.call(self._append, deadline_s=DISK_DEADLINE_S)
        except (AuditError, WorkerError) as error:
            self._faults.begin("audit", f"no command is carried out until this ends: {error}")
            return str(error)
        self._faults.end("audit", "writes are recorded again")
        return ""

    def _append(self) -> None:
        """Append in the disk's thread, one call at a time."""
        entries = list(self._waiting)
        self._log.add_all(entries)
        for _ in entries:
            self._waiting.popleft()


def open_record(
    state: StateDir, *, faults: FaultLog, now_s: Callable[[], float]
) -> AuditedWrites | UnrecordedWrites:
    """Return where writes are recorded; without it values still go back, nothing else does."""
    try:
        return AuditedWrites(AuditLog(state.audit), faults=faults, now_s=now_s)
    except AuditError as error:
        faults.begin("audit", f"no command is carried out: {error}; mend the disk and start again")
        return UnrecordedWrites(str(error))


def whose(lease: Lease | None) -> str:
    """Return who writes under ``lease``."""
    return "agent" if lease is None else lease.holder


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
