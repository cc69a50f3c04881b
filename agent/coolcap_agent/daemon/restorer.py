"""Putting journaled values back, point by point."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from coolcap_agent.daemon.guard import Restored
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import (
    Point,
    WriteTimes,
    failure_outcome,
    step_towards,
    verification_problem,
)
from coolcap_agent.daemon.worker import WorkerError
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
    """

    def __init__(
        self, *, points: Mapping[Key, Point], writes: WriteTimes, ramp: bool = False
    ) -> None:
        self._points = points
        self._writes = writes
        self._ramp = ramp

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
        try:
            return await self._put_back(point, entry, ramp=self._ramp and not at_once)
        except (DriverError, WorkerError) as error:
            return Restored(entry=entry, outcome=failure_outcome(error), message=str(error))

    async def _put_back(self, point: Point, entry: Entry, *, ramp: bool) -> Restored:
        spec = point.spec
        before = await point.read()
        done, note = True, ""
        if before.overridden:
            note = f"left as it is: {before.overridden}"
        # Exactly, without tolerance: a value close by is not the one that was in force.
        elif entry.value is not None and before.requested != entry.value:
            value = entry.value
            if ramp:
                value, _ = step_towards(
                    spec,
                    target=entry.value,
                    start=before.value,
                    span_s=self._writes.span_s(spec.key),
                    restoring=True,
                )
            after = await point.write(value, allowed=_always)
            self._writes.note(spec.key)
            if problem := verification_problem(spec, written=value, after=after):
                return Restored(entry=entry, outcome=Outcome.NOT_VERIFIED, message=problem)
            done = value == entry.value
        if done and entry.local:
            await point.release()
        outcome = Outcome.RESTORED if done else Outcome.RESTORING
        return Restored(entry=entry, outcome=outcome, message=note)


def _always() -> bool:
    return True
