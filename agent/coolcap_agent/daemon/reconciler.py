"""Comparing, at each reading, what is in force with what was commanded."""

import math
from collections.abc import Mapping

from coolcap_agent.daemon.commander import Commander
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import InForce, Point, Spec, failure_outcome
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.daemon.write_log import NoWriteLog, WriteLog, WriteRecord
from coolcap_agent.drivers.base import DriverError
from coolcap_agent.journal import Key, name_of


class Reconciler:
    """Notices when somebody else, or a driver that was reloaded, changed a commanded value.

    Under a live lease it is written again, left to them until the lease ends, or only reported, as
    the point's spec says (a person at the plant may have overridden us on purpose).
    """

    def __init__(
        self,
        *,
        points: Mapping[Key, Point],
        guard: Guard,
        commander: Commander,
        write_log: WriteLog | None = None,
    ) -> None:
        self._points = points
        self._write_log = write_log or NoWriteLog()
        self._guard = guard
        self._commander = commander
        self.overridden: set[Key] = set()

    def before_reading(self) -> Mapping[Key, float]:
        """Return what is commanded now; a reading is compared with what held before it."""
        held = self._commander.commanded.items()
        return {key: value for key, value in held if self._guard.holds(key)}

    async def reconcile(self, found: Mapping[Key, InForce], *, before: Mapping[Key, float]) -> None:
        """Look at readings; log what begins and what ends, and write again.

        Args:
            found: What the points had in force when they were read.
            before: What ``before_reading`` returned ahead of that.
        """
        self.overridden.clear()
        for key, in_force in found.items():
            spec = self._points[key].spec
            self._note_stricter_limit(spec, in_force)
            commanded = self._commander.commanded.get(key)
            fault = f"{name_of(key)} changed"
            well = f"{name_of(key)} is as commanded again, or commanded no more"
            if commanded is None or not self._guard.holds(key):
                self._guard.faults.end(fault, well)
                continue
            if self._guard.lock(key).locked() or before.get(key) != commanded:
                continue  # written to while it was read
            if not in_force.overridden and spec.same(in_force.requested, commanded):
                self._guard.faults.end(fault, well)
                continue
            self.overridden.add(key)
            then = "writing it again" if spec.reapply else "leaving it alone"
            if spec.yields:
                then = "it is left to them until another lease is granted"
            by = f" ({in_force.overridden})" if in_force.overridden else ""
            text = (
                f"{spec.say(commanded)} was changed to {spec.amount(in_force.requested)} by "
                f"somebody else{by}; {then}"
            )
            self._guard.faults.begin(fault, text)
            if spec.yields:
                await self._yield(key, text)
            elif spec.reapply:
                await self._reapply(self._points[key], commanded, before=in_force)

    def _note_stricter_limit(self, spec: Spec, in_force: InForce) -> None:
        fault = f"{name_of(spec.key)} limited"
        if in_force.effective < in_force.requested - spec.tolerance:
            self._guard.faults.begin(
                fault,
                f"{spec.say(in_force.requested)} is not reached: the device follows "
                f"{spec.amount(in_force.effective)}, a stricter limit set elsewhere (for example "
                "by its management controller)",
            )
        elif in_force.effective >= in_force.requested - spec.tolerance:
            self._guard.faults.end(fault, f"{name_of(spec.key)} is limited by nobody else any more")

    async def _yield(self, key: Key, why: str) -> None:
        lease = self._guard.leases.live()
        if lease is not None:
            async with self._guard.lock(key):
                await self._commander.leave(key, lease, why)

    async def _reapply(self, point: Point, commanded: float, *, before: InForce) -> None:
        lease = self._guard.leases.live()
        if lease is None:
            return
        key, outcome, after_value = point.spec.key, Outcome.APPLIED, math.nan
        async with self._guard.lock(key):
            try:
                after = await point.write(
                    commanded, allowed=lambda: self._guard.leases.may_write(lease.epoch)
                )
                after_value = after.value
            except (DriverError, WorkerError) as error:
                # The next reading finds it still changed, and the fault is open.
                outcome = failure_outcome(error)
            await self._write_log.note(
                WriteRecord(
                    key=key,
                    who=lease.holder,
                    epoch=lease.epoch,
                    why="somebody else had changed it",
                    before=before.value,
                    asked=commanded,
                    written=commanded,
                    after=after_value,
                    outcome=outcome,
                )
            )
