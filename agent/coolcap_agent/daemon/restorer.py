"""Putting journaled values back, point by point."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

from coolcap_agent.daemon.guard import Restored
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import (
    InForce,
    Point,
    WriteTimes,
    failure_outcome,
    step_towards,
    verification_problem,
)
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.daemon.write_log import NoWriteLog, WriteLog, WriteRecord
from coolcap_agent.drivers.base import DriverError
from coolcap_agent.journal import Entry, Key, device_of

log = logging.getLogger(__name__)


class PointRestorer:
    """Restores the points of one agent.

    Own limits do not apply: a value that was in force before us is nobody's but its owner's.

    Args:
        points: All points by key.
        writes: When each was written last.
        ramp: Whether values go back within the slew of their point, instead of in one step.
        ramp_max_s: A ramp that takes longer ends in one step.
        write_log: Where writes are recorded.
    """

    def __init__(
        self,
        *,
        points: Mapping[Key, Point],
        writes: WriteTimes,
        ramp: bool = False,
        ramp_max_s: float = math.inf,
        write_log: WriteLog | None = None,
    ) -> None:
        self._points = points
        self._writes = writes
        self._write_log = write_log or NoWriteLog()
        self.ramp = ramp
        self.ramp_max_s = ramp_max_s

    def values_without_journal(self) -> Sequence[Entry]:
        """Return the points' defaults, to be restored when the journal was damaged."""
        return [
            Entry(device=spec.key[0], lever=spec.key[1], value=spec.default, local=spec.releases)
            for spec in (point.spec for point in self._points.values())
            if (spec.default is not None or spec.releases) and not spec.refusal
        ]

    async def adopt(self, entries: Iterable[Entry]) -> None:
        """Tell the devices what an earlier process had written."""
        for entry in entries:
            point = self._points.get(entry.key)
            try:
                if point is not None:
                    await point.adopt(entry)
            except (DriverError, WorkerError) as error:
                log.warning("%s: %s", device_of(entry.key), error)

    async def put_back(self, entry: Entry, *, at_once: bool) -> Restored:
        """Write the value of ``entry`` and read it back."""
        point = self._points.get(entry.key)
        if point is None:
            return Restored(
                entry=entry,
                outcome=Outcome.REFUSED_UNKNOWN_DEVICE,
                message="the driver has no such device any more; if it is gone for good, stop the "
                "agent and remove its journal",
            )
        late = self._writes.ramp_s(entry.key) > self.ramp_max_s
        try:
            return await self._put_back(point, entry, ramp=self.ramp and not (at_once or late))
        except (DriverError, WorkerError) as error:
            return Restored(entry=entry, outcome=failure_outcome(error), message=str(error))

    async def _put_back(self, point: Point, entry: Entry, *, ramp: bool) -> Restored:
        spec = point.spec
        before = await point.read()
        done, note = True, ""
        target = entry.value
        if entry.local and math.isfinite(before.local_value):
            target = before.local_value  # the equipment's own program may have moved on meanwhile
        if before.overridden:
            note = f"left as it is: {before.overridden}"
        # Exactly, without tolerance: a value close by is not the one that was in force.
        elif target is not None and (spec.blind or before.requested != target):
            value = target
            if ramp:
                value, _ = step_towards(
                    spec,
                    target=target,
                    start=before.value,
                    span_s=self._writes.span_s(spec.key),
                    restoring=True,
                )
            done = value == target
            if not (done and entry.local and math.isfinite(before.local_value)):
                problem = await self._write(point, before=before, target=target, value=value)
                if problem:
                    return Restored(entry=entry, outcome=Outcome.NOT_VERIFIED, message=problem)
        if done and entry.local:
            await point.release()
            self._writes.note(spec.key, on_its_way_back=True)
            await self._note(spec.key, before=before, target=target, value=math.nan)
        outcome = Outcome.RESTORED if done else Outcome.RESTORING
        return Restored(entry=entry, outcome=outcome, message=note)

    async def _write(self, point: Point, *, before: InForce, target: float, value: float) -> str:
        """Write a value on its way back; return how the read-back contradicts it."""
        try:
            after = await point.write(value, allowed=_always)
        finally:
            self._writes.note(point.spec.key, on_its_way_back=True)
        problem = verification_problem(point.spec, written=value, after=after)
        await self._note(
            point.spec.key, before=before, target=target, value=value, after=after, problem=problem
        )
        return problem

    async def _note(
        self,
        key: Key,
        *,
        before: InForce,
        target: float | None,
        value: float,
        after: InForce | None = None,
        problem: str = "",
    ) -> None:
        done = Outcome.RESTORING if after is not None else Outcome.RESTORED
        await self._write_log.note(
            WriteRecord(
                key=key,
                who="agent",
                epoch=0,
                why=problem or ("hand-back" if after is not None else "given back"),
                before=before.value,
                asked=math.nan if target is None else target,
                written=value,
                after=math.nan if after is None else after.value,
                outcome=Outcome.NOT_VERIFIED if problem else done,
            )
        )


def _always() -> bool:
    return True
