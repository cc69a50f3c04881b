"""Looks at every sample: keeps held setpoints within what the moment allows, or hands back.

The watch needs no controller and trusts none. It runs with each sample, after the comparison with
what was commanded, and before ramps go on.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from coolcap_agent.daemon.control import Control
from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.daemon.point import Point, step_towards
from coolcap_agent.daemon.write_log import AuditedWrites, UnrecordedWrites
from coolcap_agent.journal import Key
from coolcap_agent.plant.inlet import InletLimits, InletWindows
from coolcap_agent.plant.restraint import PlantRestraint, Situation
from coolcap_agent.plant.sampler import PlantSample
from coolcap_agent.plant.state import REFUSING, Inputs, PlantState, next_state
from coolcap_agent.plant.trip import Trip, TripLatch
from coolcap_agent.plant.validity import Validity
from coolcap_envs.contract.config import Table

log = logging.getLogger(__name__)

INLET: Final = "inlet_temp_max_c"
DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """``[fallback]``: when control may go on after it could not.

    Attributes:
        well_s: All must have been known and within limits for this long.
        per_day_max: More fallbacks than this within a day are a trip.
    """

    well_s: float = 60.0
    per_day_max: int = 3


def read_fallback(table: Table) -> FallbackConfig:
    """Read ``[fallback]``; problems are collected in ``table.problems``."""
    config = FallbackConfig(
        well_s=table.take_float("well_s", low=0.0, high=86400.0, unit="s", default=60.0),
        per_day_max=table.take_int("per_day_max", low=0, high=1000, default=3),
    )
    table.finish()
    return config


class Watch:
    """The state of one plant agent.

    Args:
        control: Guard and commander.
        restraint: Told what each moment allows.
        points: The agent's points.
        inlet: Limits of the inlet, None where it is not watched.
        fallback: When control may go on.
        latch: Where a trip is kept.
        record: Where changes of the state are recorded.
        now_s: Site time where it is simulated, else the monotonic clock.
        time_s: Site time.
    """

    def __init__(
        self,
        *,
        control: Control,
        restraint: PlantRestraint,
        points: Mapping[Key, Point],
        inlet: InletLimits | None,
        fallback: FallbackConfig,
        latch: TripLatch,
        record: AuditedWrites | UnrecordedWrites,
        now_s: Callable[[], float],
        time_s: Callable[[], float],
    ) -> None:
        self._control, self._restraint, self._points = control, restraint, points
        self._windows = None if inlet is None else InletWindows(inlet)
        self._fallback, self._latch, self._record = fallback, latch, record
        self._now_s, self._time_s = now_s, time_s
        self._known_s = now_s()
        self._bad_s = -math.inf
        self._fallbacks_s: deque[float] = deque()
        self.state, self.reason = PlantState.LOCAL, ""
        trip = latch.read()
        if trip is not None:
            self._enter(PlantState.TRIPPED, trip.why)

    @property
    def situation(self) -> Situation:
        """Return what is known now."""
        return self._restraint.situation

    def configure(self, *, inlet: InletLimits | None, fallback: FallbackConfig) -> None:
        """Take new limits; what has been seen stays."""
        self._fallback = fallback
        if inlet is None or self._windows is None:
            self._windows = None if inlet is None else InletWindows(inlet)
        else:
            self._windows.limits = inlet

    async def look(self, sample: PlantSample) -> None:
        """Take a sample in, correct what is held, and go to the next state."""
        now_s = self._now_s()
        readings = {
            one.reading.signal: one.reading.value
            for one in sample.signals
            if one.validity is Validity.VALID
        }
        unknown, violation = self._judge_inlet(readings, now_s)
        rising, falling = (
            (False, False) if self._windows is None else self._windows.near_its_rate(time_s=now_s)
        )
        self._restraint.situation = Situation(
            readings=readings, hold=unknown or violation, rising=rising, falling=falling
        )
        unfit = await self._keep_within()
        if unknown and self._windows is not None:
            allowed_s = self._windows.limits.unknown_max_s
            if now_s - self._known_s > allowed_s:
                unfit = unfit or f"{unknown}, for more than {allowed_s:g} s"
        if unknown or violation or unfit:
            self._bad_s = now_s
        await self._advance(unknown, violation, unfit, now_s)

    def _judge_inlet(self, readings: Mapping[str, float], now_s: float) -> tuple[str, str]:
        """Return what is not known of the inlet, and which of its limits is broken."""
        if self._windows is None:
            return "", ""
        if INLET not in readings:
            return f"{INLET} is not known", ""
        self._known_s = now_s
        self._windows.add(time_s=now_s, inlet_c=readings[INLET])
        return "", self._windows.violation(time_s=now_s)

    async def _keep_within(self) -> str:
        """Correct held setpoints; return why one has no value left, empty if all have."""
        unfit = ""
        for key, commanded in dict(self._control.commander.commanded).items():
            if not self._control.guard.holds(key) or key in self._control.reconciler.overridden:
                continue
            spec = self._points[key].spec
            value, why = step_towards(
                spec,
                target=commanded,
                start=commanded,
                span_s=self._control.writes.span_s(key),
            )
            found = self._restraint.restrain(spec, value=value, start=commanded, held=True)
            if found.refusal:
                unfit = found.refusal
            elif not spec.unchanged(found.value, commanded):
                await self._control.commander.correct(key, found.value, why=found.why or why)
        return unfit

    async def _advance(self, unknown: str, violation: str, unfit: str, now_s: float) -> None:
        guard, commanded = self._control.guard, self._control.commander.commanded
        held = [key for key in commanded if guard.holds(key)]
        while self._fallbacks_s and self._fallbacks_s[0] < now_s - DAY_S:
            self._fallbacks_s.popleft()
        reset = self._latch.asked_to_reset() if self.state is PlantState.TRIPPED else None
        seen = Inputs(
            commanding=bool(held),
            restoring=guard.state is GuardState.RESTORING,
            overridden=bool(held) and self._control.reconciler.overridden.issuperset(held),
            violation=violation,
            unknown=unknown,
            unfit=unfit,
            well=now_s - self._bad_s >= self._fallback.well_s,
            reset=reset is not None,
            fallbacks_used_up=len(self._fallbacks_s) >= self._fallback.per_day_max,
        )
        before, after = self.state, next_state(self.state, seen)
        if reset is not None:
            await self._answer_reset(reset.who, reset.reason, granted=after is not before)
        if after is before:
            return
        if after is PlantState.FALLBACK and seen.commanding:
            self._fallbacks_s.append(now_s)
        reason = violation or unfit or unknown
        if after is PlantState.TRIPPED:
            try:
                self._latch.set(Trip(why=reason, time_s=self._time_s()))
            except OSError as error:
                log.error("the trip cannot be kept for the next start: %s", error)
        self._enter(after, reason)
        await self._record.say(
            who="agent", what=f"state {before} to {after}", reason=reason or "as seen"
        )

    def _enter(self, state: PlantState, reason: str) -> None:
        guard = self._control.guard
        self.state, self.reason = state, reason
        if state not in REFUSING:
            log.info("state: %s%s", state, f" ({reason})" if reason else "")
            guard.veto = ""
            return
        then = "try again when it is well"
        if state is PlantState.TRIPPED:
            then = "a person must look and run `coolcap plant reset`"
        guard.veto = f"the plant agent is in {state}: {reason}; {then}"
        log.error("state: %s; control is handed back", guard.veto)
        guard.revoke(reason)

    async def _answer_reset(self, who: str, reason: str, *, granted: bool) -> None:
        try:
            if granted:
                self._latch.clear()
            else:
                self._latch.refuse_reset()
        except OSError as error:
            log.error("the trip's files cannot be removed: %s", error)
        what = "reset the trip" if granted else "reset refused: what caused the trip is not over"
        log.warning("%s (%s: %s)", what, who, reason)
        await self._record.say(who=who, what=what, reason=reason)
