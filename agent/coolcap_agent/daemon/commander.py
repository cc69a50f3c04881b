"""Carrying out a command: check everything, journal, write, read back, answer per point."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from coolcap_agent.clock import Clock
from coolcap_agent.daemon.commands import Answer, Command, CommandLog, Result
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import (
    InForce,
    LeaseOver,
    Point,
    Restraint,
    Spec,
    Unrestrained,
    WriteTimes,
    failure_outcome,
    step_towards,
    verification_problem,
)
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.daemon.write_log import NoWriteLog, WriteLog, WriteRecord
from coolcap_agent.drivers.base import DeviceLost, DriverError
from coolcap_agent.journal import Key, device_of, name_of
from coolcap_agent.lease import Lease
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2


class Acknowledger(Protocol):
    """Tells the driver that a command was carried out."""

    async def acknowledge(self, *, answers_time_s: float) -> None:
        """Pass the time on. Raises DriverError, WorkerError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A target that passed all checks, with its device locked."""

    point: Point
    asked: float
    before: InForce
    value: float
    why: str


class Commander:
    """Carries out commands, one at a time, on the points of one agent."""

    def __init__(
        self,
        *,
        points: Mapping[Key, Point],
        guard: Guard,
        writes: WriteTimes,
        clock: Clock,
        driver: Acknowledger,
        restraint: Restraint | None = None,
        write_log: WriteLog | None = None,
    ) -> None:
        self._points = points
        self._guard = guard
        self._clock = clock
        self._driver = driver
        self._turn = asyncio.Lock()
        self._done = CommandLog()
        self._writes = writes
        self._restraint = restraint or Unrestrained()
        self._write_log = write_log or NoWriteLog()
        self.commanded: dict[Key, float] = {}
        self._yielded: dict[Key, tuple[int, str]] = {}

    async def carry_out(self, command: Command) -> Answer:
        """Check a command, write what may be written, and say what is in force.

        A command that was begun is finished even if its caller goes away.

        Raises:
            RefusedError: If the command as a whole is refused; nothing was written.
        """
        task = asyncio.create_task(self._carry_out(command))
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def leave(self, key: Key, lease: Lease, why: str) -> None:
        """Leave a point to somebody else until another lease is granted; its lock is the caller's.

        Args:
            key: The point.
            lease: The live lease.
            why: Who decides now, for people; commands are answered with it.
        """
        fault = f"{name_of(key)} yield"
        if problem := await self._guard.give_up(key):
            self._guard.faults.begin(fault, f"{why}; it cannot be left to them yet: {problem}")
            return
        self._guard.faults.end(fault, f"{name_of(key)} is theirs")
        self.commanded.pop(key, None)
        self._yielded[key] = (lease.epoch, why)

    async def correct(self, key: Key, value: float, *, why: str) -> None:
        """Write a value the agent itself wants on a point that is held; a failure is recorded."""
        lease, point, lock = self._guard.leases.live(), self._points[key], self._guard.lock(key)
        if lease is None or lock.locked() or not self._guard.holds(key):
            return
        async with lock:
            try:
                before = await point.read()
            except (DriverError, WorkerError):
                return  # the sampler reports it
            plan = _Plan(point=point, asked=value, before=before, value=value, why=why)
            result = Result(key=key, outcome=Outcome.UNCHANGED, asked=value, written=value)
            result = await self._write_and_verify(lease, plan, result)
            if result.outcome is Outcome.APPLIED:
                self.commanded[key] = value
            await self._write_log.note(_record(lease, plan, result, why="own limits"))

    async def _carry_out(self, command: Command) -> Answer:
        async with self._turn:
            lease = self._guard.leases.require(lease_id=command.lease_id, epoch=command.epoch)
            recorded = self._done.recorded(
                epoch=command.epoch, sequence=command.sequence, content=command.content
            )
            if recorded is not None:
                return recorded
            self._check_form(command)
            if problem := await self._write_log.problem():
                raise RefusedError(
                    common_pb2.REFUSAL_REASON_NOT_READY,
                    f"nothing was written, because writes cannot be recorded: {problem}; mend the "
                    "disk of the agent's state_dir",
                )
            results = await self._write_all(lease, command)
            answer = Answer(
                epoch=command.epoch,
                sequence=command.sequence,
                answers_time_s=command.answers_time_s,
                apply_time_s=self._clock.now_s(),
                results=[results[key] for key, _ in command.targets],
            )
            self._done.record(
                epoch=command.epoch,
                sequence=command.sequence,
                content=command.content,
                answer=answer,
            )
            await self._acknowledge(command.answers_time_s)
            return answer

    def _check_form(self, command: Command) -> None:
        seen: set[Key] = set()
        for key, value in command.targets:
            point = self._points.get(key)
            name = device_of(key)
            if key in seen:
                raise _invalid(f"{name} is named twice in one command: name it once")
            seen.add(key)
            if not math.isfinite(value):
                allowed = f"; allowed are {point.spec.device_range()}" if point else ""
                said = point.spec.say(value) if point else f"{value} for {name}"
                raise _invalid(f"{said} is not a finite number{allowed}; nothing was written")

    async def _write_all(self, lease: Lease, command: Command) -> Mapping[Key, Result]:
        """Return a result for each target. A point's lock is let go as soon as it is done."""
        targets = command.targets
        results: dict[Key, Result] = {}
        locked: dict[Key, asyncio.Lock] = {}
        for key, asked in targets:
            unfit = self._unfit(lease, key, asked)
            if unfit is not None:
                results[key] = unfit
                continue
            locked[key] = self._guard.lock(key)
            await locked[key].acquire()  # free, as ``_unfit`` saw, so this does not wait
        try:
            fit = [(self._points[key], asked) for key, asked in targets if key in locked]
            plans = await asyncio.gather(*(self._plan(lease, point, asked) for point, asked in fit))
            for plan in plans:
                if isinstance(plan, Result):
                    results[plan.key] = plan
                    locked.pop(plan.key).release()
            ready = [plan for plan in plans if isinstance(plan, _Plan)]
            await self._guard.protect(lease, [p.before.entry(p.point.spec.key) for p in ready])
            why = f"command {command.sequence}"
            writes = (self._write(lease, p, locked, why=why) for p in ready)
            for result in await asyncio.gather(*writes):
                results[result.key] = result
        finally:
            for lock in locked.values():
                lock.release()
        return results

    def _unfit(self, lease: Lease, key: Key, value: float) -> Result | None:
        """Return the result of a target that is not even tried, None if it is."""
        point = self._points.get(key)
        if point is None:
            known = ", ".join(dict.fromkeys(device_of(k) for k in self._points)) or "none"
            return Result(
                key=key,
                outcome=Outcome.REFUSED_UNKNOWN_DEVICE,
                asked=value,
                message=f"{device_of(key)} is not known here; known are {known}",
            )
        spec = point.spec
        if spec.refusal:
            return Result(key=key, outcome=spec.refusal_outcome, asked=value, message=spec.refusal)
        if not spec.device_low <= value <= spec.device_high:
            return Result(
                key=key,
                outcome=Outcome.REFUSED_OUT_OF_RANGE,
                asked=value,
                message=f"{spec.say(value)} is outside {spec.device_range()}",
            )
        epoch, why = self._yielded.get(key, (0, ""))
        if epoch == lease.epoch:
            return Result(key=key, outcome=Outcome.OVERRIDDEN, asked=value, message=why)
        if self._guard.lock(key).locked():
            return Result(
                key=key,
                outcome=Outcome.DEVICE_UNREACHABLE,
                asked=value,
                message=f"{device_of(key)} is being restored right now; try again",
            )
        return None

    async def _plan(self, lease: Lease, point: Point, asked: float) -> _Plan | Result:
        spec = point.spec
        try:
            before = await point.read()
        except (DriverError, WorkerError) as error:
            outcome = (
                Outcome.DEVICE_UNREACHABLE
                if isinstance(error, DeviceLost | WorkerError)
                else Outcome.DEVICE_ERROR
            )
            return Result(key=spec.key, outcome=outcome, asked=asked, message=str(error))
        if before.overridden:
            return Result(
                key=spec.key,
                outcome=Outcome.OVERRIDDEN,
                asked=asked,
                in_force=before,
                message=f"{spec.say(asked)} was not written: {before.overridden}",
            )
        if spec.yields and (why := self._changed_by_others(spec, before)):
            await self.leave(spec.key, lease, why)
            return Result(
                key=spec.key, outcome=Outcome.OVERRIDDEN, asked=asked, in_force=before, message=why
            )
        if not (math.isfinite(before.value) or before.local):
            return Result(
                key=spec.key,
                outcome=Outcome.DEVICE_ERROR,
                asked=asked,
                in_force=before,
                message=f"{spec.say(asked)} was not written: what is in force cannot be read, so "
                "it could not be put back",
            )
        value, why = step_towards(
            spec, target=asked, start=before.value, span_s=self._writes.span_s(spec.key)
        )
        held = spec.key in self.commanded and self._guard.holds(spec.key)
        found = self._restraint.restrain(spec, value=value, start=before.value, held=held)
        if found.refusal:
            return Result(
                key=spec.key,
                outcome=Outcome.REFUSED_OUT_OF_RANGE,
                asked=asked,
                in_force=before,
                message=found.refusal,
            )
        why = "; ".join(text for text in (why, found.why) if text)
        return _Plan(point=point, asked=asked, before=before, value=found.value, why=why)

    def _changed_by_others(self, spec: Spec, before: InForce) -> str:
        """Say how a value we command was changed by somebody else, empty if it was not."""
        commanded = self.commanded.get(spec.key)
        if commanded is None or not self._guard.holds(spec.key):
            return ""
        if spec.same(before.requested, commanded):
            return ""
        return (
            f"{spec.say(commanded)} was changed to {spec.amount(before.requested)} by somebody "
            "else; it is left to them until another lease is granted"
        )

    async def _write(
        self, lease: Lease, plan: _Plan, locked: dict[Key, asyncio.Lock], *, why: str
    ) -> Result:
        spec = plan.point.spec
        result = Result(
            key=spec.key,
            outcome=Outcome.UNCHANGED,
            asked=plan.asked,
            in_force=plan.before,
            written=plan.value,
            message=plan.why,
        )
        if plan.before.local or not spec.unchanged(plan.before.requested, plan.value):
            result = await self._write_and_verify(lease, plan, result)
            await self._write_log.note(_record(lease, plan, result, why=why))
        locked.pop(spec.key).release()
        if result.outcome not in (Outcome.APPLIED, Outcome.UNCHANGED):
            self.commanded.pop(spec.key, None)
            return result
        self.commanded[spec.key] = plan.value
        return replace(result, outcome=Outcome.CLAMPED) if plan.why else result

    async def _write_and_verify(self, lease: Lease, plan: _Plan, result: Result) -> Result:
        spec = plan.point.spec
        try:
            after = await plan.point.write(
                plan.value, allowed=lambda: self._guard.leases.may_write(lease.epoch)
            )
        except LeaseOver as error:
            return replace(result, outcome=failure_outcome(error), written=None, message=str(error))
        except (DriverError, WorkerError) as error:
            self._writes.note(spec.key)  # it may have taken effect: no leap with the next one
            return replace(result, outcome=failure_outcome(error), written=None, message=str(error))
        self._writes.note(spec.key)
        problem = verification_problem(spec, written=plan.value, after=after)
        return replace(
            result,
            outcome=Outcome.NOT_VERIFIED if problem else Outcome.APPLIED,
            in_force=after,
            message=problem or plan.why,
        )

    async def _acknowledge(self, answers_time_s: float | None) -> None:
        key = "acknowledgement"
        try:
            if answers_time_s is not None:
                await self._driver.acknowledge(answers_time_s=answers_time_s)
        except (DriverError, WorkerError) as error:
            self._guard.faults.begin(key, f"driver took no acknowledgement: {error}")
        else:
            self._guard.faults.end(key, "driver takes acknowledgements again")


def _record(lease: Lease, plan: _Plan, result: Result, *, why: str) -> WriteRecord:
    after = result.in_force
    return WriteRecord(
        key=result.key,
        who=lease.holder,
        epoch=lease.epoch,
        why="; ".join(text for text in (why, result.message) if text),
        before=plan.before.value,
        asked=result.asked,
        written=math.nan if result.written is None else result.written,
        after=math.nan if after is None else after.value,
        outcome=result.outcome,
    )


def _retrieve(task: asyncio.Task[Answer]) -> None:
    """Mark the refusal of a command whose caller went away as seen."""
    if not task.cancelled():
        task.exception()


def _invalid(message: str) -> RefusedError:
    return RefusedError(common_pb2.REFUSAL_REASON_INVALID, message)
