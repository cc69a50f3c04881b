"""The control loop: the one way from telemetry to command, and the guard between decisions.

    read → check → rule → encode → policy → decode → shield → apply → record

Everything on this way is a function of the contract or of safety, which the simulator calls too.
The loop runs in one thread and knows neither network nor clock: time is the telemetry's.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.commanded_plant import CommandedPlant
from coolcap_agent.controller.decisions import Actor, DecisionRecord
from coolcap_agent.controller.fitness import Scope, judge
from coolcap_agent.controller.in_force import InForce, merged
from coolcap_agent.controller.loop_state import LoopSettings, LoopState
from coolcap_agent.controller.modes import Event, Mode, ModeMachine, ModeState
from coolcap_agent.controller.policy_runner import PolicyFailedError, PolicyRunner
from coolcap_agent.controller.watch import OverheatWatch
from coolcap_envs.contract.action import decode
from coolcap_envs.contract.observation import Observation, encode
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.fallback import safe_setpoints
from coolcap_envs.safety.shield import Reason, Shielded, project
from coolcap_envs.safety.trim_respond import TrimRespond

RECOVER_TICK_COUNT: Final = 3
"""Good decisions in a row after which the policy may act again."""
LATENCY_KEEP_COUNT: Final = 1000
GUARD_STEP_W: Final = 0.5
"""Smallest fall of a cap the guard commands: what devices round to anyway."""

_GUARD_CAP: Final = int(Reason.BUDGET | Reason.GPU_TEMP | Reason.INLET_TEMP)
_GUARD_PLANT: Final = int(Reason.INLET_TEMP | Reason.DEW_POINT)
_RULE_LED: Final = (Actor.POLICY, Actor.RULE)


@dataclass(slots=True)
class _Ask:
    """What the policy said to one observation, or why it was not or could not be asked."""

    observation: Observation | None = None
    setpoints: Setpoints | None = None
    failure: str = ""
    latency_s: float = 0.0


class ControlLoop:
    """Decides, guards, and hands over between policy, rule and safe setpoints without a bump.

    Args:
        plant: The site's devices.
        runner: Asks the policy.
        budgets: The site's limits with budgets that change over time.
        settings: Periods and thresholds.
        mode: Mode at the start.
        on_decision: Called with each decision, also of the guard.
        after_tick: Called with what is known at the end of each tick.
        mono_s: The host's monotonic clock.
    """

    def __init__(
        self,
        plant: CommandedPlant,
        *,
        runner: PolicyRunner,
        budgets: Budgets,
        settings: LoopSettings,
        mode: Mode,
        on_decision: Callable[[DecisionRecord], None] = lambda record: None,
        after_tick: Callable[[LoopState], None] = lambda state: None,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plant = plant
        self._runner = runner
        self._budgets = budgets
        self._settings = settings
        self._on_decision = on_decision
        self._after_tick = after_tick
        self._mono_s = mono_s
        self._layout = plant.layout
        self._rule = TrimRespond(self._layout, budgets.configured)
        self._overheat = OverheatWatch(over_k=settings.trip_over_k, after_s=settings.trip_after_s)
        self._in_force = InForce(self._layout.group_count)
        self._baseline = self._in_force.commanded
        self._actor: Actor | None = None
        self._good_in_a_row = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCY_KEEP_COUNT)
        telemetry = plant.read()
        now_s = float(telemetry.time_s)
        limits = budgets.limits_at(now_s)
        self._modes = ModeMachine(mode, reason="as configured, since the start", time_s=now_s)
        self._state = LoopState(
            mode=self._modes.state,
            telemetry=telemetry,
            limits=limits,
            in_force=self._in_force.at(telemetry),
            commanded=self._in_force.commanded,
            verdict=judge(telemetry, self._layout, limits),
        )

    @property
    def state(self) -> LoopState:
        """Return what the loop knew after the last tick."""
        return self._state

    def ask_mode(self, mode: Mode, *, reason: str, reset_trip: bool) -> ModeState:
        """Take in a person's wish for a mode. Raises ModeError."""
        self._modes.ask(mode, reason=reason, time_s=self._time_s, reset_trip=reset_trip)
        if reset_trip:
            self._overheat.reset()
        return self._mode_may_have_changed()

    def release(self, *, reason: str) -> ModeState:
        """Stop writing, and return the mode in force then; the caller releases the leases."""
        self._modes.on(Event.RELEASE, reason=reason, time_s=self._time_s)
        return self._mode_may_have_changed(keep_leases=False)

    def fast_tick(self) -> None:
        """Renew leases, and act on budgets, temperatures and ages if they cannot wait."""
        state = self._look()
        if self._modes.mode.writes:
            if self._modes.mode is not Mode.HOLD and not state.verdict.fit:
                self._make_safe(state)
            else:
                self._guard(state)
        self._watch(state)
        self._show(in_force=self._in_force.at(state.telemetry))
        self._after_tick(self._state)

    def policy_tick(self) -> None:
        """Make one decision and, if the mode allows it, carry it out."""
        started_s = self._mono_s()
        state = self._look()
        self._watch(state)
        if self._modes.mode.decides:
            self._decide(state, started_s)
        self._show(in_force=self._in_force.at(state.telemetry))
        # Logging is done when the commands are out: it must not keep them waiting.
        self._after_tick(self._state)

    @property
    def _time_s(self) -> float:
        return float(self._state.telemetry.time_s)

    def _look(self) -> LoopState:
        """Keep the leases, read, and return what is known then."""
        self._keep_leases()
        telemetry = self._plant.read()
        limits = self._budgets.limits_at(float(telemetry.time_s))
        self._show(
            telemetry=telemetry,
            limits=limits,
            in_force=self._in_force.at(telemetry),
            verdict=judge(telemetry, self._layout, limits),
        )
        return self._state

    def _keep_leases(self) -> None:
        mode = self._modes.mode
        self._plant.keep_leases(caps=mode.holds_caps, setpoints=mode.holds_setpoints)

    def _show(self, **changed: object) -> None:
        shown = {**changed, "mode": self._modes.state, "commanded": self._in_force.commanded}
        self._state = dataclasses.replace(self._state, **shown)  # type: ignore[arg-type]

    # Deciding

    def _decide(self, state: LoopState, started_s: float) -> None:
        if self._actor not in _RULE_LED:
            self._rule.track(state.in_force)
        self._baseline = state.in_force
        if state.verdict.fit:
            period_s = self._settings.policy_period_s
            self._baseline = self._rule.update(state.telemetry, dt_s=period_s)
        ask = self._ask_policy(state)
        self._judge(ask.failure)
        actor, asked = self._choose(state, ask)
        shielded = self._project(asked, state, dt_s=self._settings.policy_period_s)
        writes = self._modes.mode.writes
        commanded = shielded.setpoints if writes else Setpoints.none(self._layout.group_count)
        applied = self._apply(commanded, state) if writes else Applied(setpoints=commanded)
        self._actor = actor if writes else None
        latency_s = self._mono_s() - started_s
        self._latencies_s.append(latency_s)
        self._show(
            failure=ask.failure,
            tick_count=self._state.tick_count + 1,
            missed_count=self._state.missed_count + bool(ask.failure),
            latency_s=latency_s,
            latency_max_s=max(self._latencies_s),
        )
        self._record(state, actor, ask, shielded, commanded, applied, latency_s=latency_s)

    def _ask_policy(self, state: LoopState) -> _Ask:
        """Ask the policy about the groups whose readings are fit."""
        verdict = state.verdict
        if not verdict.fit:
            return _Ask(failure=_unfit(verdict.problems))
        scope = Scope(verdict.groups, self._layout, state.limits)
        observation = encode(
            scope.telemetry(state.telemetry),
            baseline=scope.setpoints(self._baseline),
            layout=scope.layout,
            limits=scope.limits,
            work_value=self._settings.work_value,
        )
        rows = scope.spread_rows(observation.groups, fill=np.nan)
        ask = _Ask(observation=Observation(groups=rows, plant=observation.plant))
        started_s = self._mono_s()
        try:
            action = self._runner.ask(observation)
        except PolicyFailedError as error:
            ask.failure = str(error)
        else:
            ask.setpoints = decode(scope.spread(action), self._baseline, state.limits)
        ask.latency_s = self._mono_s() - started_s
        return ask

    def _judge(self, failure: str) -> None:
        """Enter fallback on a failure, leave it after enough good decisions in a row."""
        if failure:
            self._good_in_a_row = 0
            self._modes.on(Event.UNFIT, reason=failure, time_s=self._time_s)
            return
        self._good_in_a_row += 1
        if self._good_in_a_row >= RECOVER_TICK_COUNT:
            text = f"readings and policy have been good for {self._good_in_a_row} decisions"
            self._modes.on(Event.FIT, reason=text, time_s=self._time_s)

    def _choose(self, state: LoopState, ask: _Ask) -> tuple[Actor, Setpoints]:
        """Return whose setpoints are put to the shield, and the setpoints."""
        if self._modes.mode is Mode.HOLD:
            return Actor.HOLD, merged(self._in_force.commanded, state.in_force)
        if not state.verdict.fit:
            return Actor.SAFE, safe_setpoints(state.in_force, state.limits)
        if ask.setpoints is not None and self._modes.mode is not Mode.FALLBACK:
            return Actor.POLICY, ask.setpoints
        if self._actor is Actor.POLICY:
            # From here on the rule leads: it starts where the policy left the devices.
            self._rule.track(state.in_force)
            self._baseline = state.in_force
        return Actor.RULE, self._baseline

    def _project(self, asked: Setpoints, state: LoopState, *, dt_s: float) -> Shielded:
        limits = self._plant.narrow(state.limits)
        shielded = project(
            asked,
            telemetry=state.telemetry,
            in_force=state.in_force,
            layout=self._layout,
            limits=limits,
            dt_s=dt_s,
        )
        short: tuple[str, ...] = ()
        if np.any(shielded.group_reasons & int(Reason.BUDGET_TOO_SMALL)):
            other_w = other_power_w(state.telemetry, self._layout)
            caps_w = shielded.setpoints.power_cap_w
            over = worst_case_power_w(caps_w, other_w, self._layout, limits) > limits.budget_w
            short = tuple(np.array(limits.budget_names)[over].tolist())
        self._show(budgets_short=short)
        return shielded

    def _apply(self, setpoints: Setpoints, state: LoopState) -> Applied:
        applied = self._plant.apply(setpoints)
        self._in_force.note(setpoints, applied, time_s=float(state.telemetry.time_s))
        return applied

    # Between decisions

    def _guard(self, state: LoopState) -> None:
        """Lower caps and cool more at once where budgets or temperatures demand it."""
        in_force = state.in_force
        shielded = self._project(in_force, state, dt_s=self._settings.fast_period_s)
        cap_w = shielded.setpoints.power_cap_w
        known_w = np.where(np.isnan(in_force.power_cap_w), np.inf, in_force.power_cap_w)
        lower = (shielded.group_reasons & _GUARD_CAP != 0) & (cap_w < known_w - GUARD_STEP_W)
        move = shielded.plant_reasons & _GUARD_PLANT != 0
        if not lower.any() and not move.any():
            return
        urgent = Setpoints(
            power_cap_w=np.where(lower, cap_w, np.nan),
            sm_clock_max_mhz=np.full_like(cap_w, np.nan),
            plant=np.where(move, shielded.setpoints.plant, np.nan),
        )
        self._adjust(urgent, Actor.GUARD, shielded, state, failure="")

    def _make_safe(self, state: LoopState) -> None:
        """Go to safe setpoints as soon as readings are unfit, once; decisions go on from there."""
        failure = _unfit(state.verdict.problems)
        self._good_in_a_row = 0
        self._modes.on(Event.UNFIT, reason=failure, time_s=self._time_s)
        self._show(failure=failure)
        if self._actor is Actor.SAFE:
            return
        asked = safe_setpoints(state.in_force, state.limits)
        shielded = self._project(asked, state, dt_s=self._settings.policy_period_s)
        self._adjust(shielded.setpoints, Actor.SAFE, shielded, state, failure=failure)
        self._actor = Actor.SAFE

    def _adjust(
        self,
        setpoints: Setpoints,
        actor: Actor,
        shielded: Shielded,
        state: LoopState,
        *,
        failure: str,
    ) -> None:
        started_s = self._mono_s()
        applied = self._plant.adjust(setpoints)
        self._in_force.note(setpoints, applied, time_s=float(state.telemetry.time_s))
        latency_s = self._mono_s() - started_s
        ask = _Ask(failure=failure)
        self._record(state, actor, ask, shielded, setpoints, applied, latency_s=latency_s)

    def _watch(self, state: LoopState) -> None:
        """Hand everything back if the hall stays too hot in spite of all."""
        if not self._modes.mode.writes:
            self._overheat.reset()
            return
        reason = self._overheat.look(state.telemetry, state.limits)
        if reason and self._modes.on(Event.TRIP, reason=reason, time_s=self._time_s):
            self._mode_may_have_changed()

    def _mode_may_have_changed(self, *, keep_leases: bool = True) -> ModeState:
        mode = self._modes.mode
        if not mode.writes:
            self._actor = None
            self._in_force.forget()
        if keep_leases:
            self._keep_leases()
        self._show()
        return self._modes.state

    def _record(
        self,
        state: LoopState,
        actor: Actor,
        ask: _Ask,
        shielded: Shielded,
        commanded: Setpoints,
        applied: Applied,
        *,
        latency_s: float,
    ) -> None:
        self._on_decision(
            DecisionRecord(
                number=self._state.tick_count,
                telemetry=state.telemetry,
                limits=state.limits,
                mode=self._modes.state,
                actor=actor,
                policy=self._runner.loaded,
                failure=ask.failure,
                groups_fit=state.verdict.groups,
                observation=ask.observation,
                baseline=self._baseline,
                asked=ask.setpoints,
                in_force=state.in_force,
                shielded=shielded,
                commanded=commanded,
                applied=applied,
                policy_latency_s=ask.latency_s,
                latency_s=latency_s,
            )
        )


def _unfit(problems: tuple[str, ...]) -> str:
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"readings are unfit: {'; '.join(problems[:3])}{more}"
