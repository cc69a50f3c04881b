"""The control loop: the one way from telemetry to command, and the guard between decisions.

    read → check → rule → encode → policy → decode → shield → apply → record

Everything on this way is a function of the contract or of safety, which the simulator calls too.
The loop runs in one thread and knows neither network nor clock: time is the telemetry's.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Final

from coolcap_agent.controller.asking import Ask, ask_policy, entrusted, unfit_text
from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.commanded_plant import CommandedPlant
from coolcap_agent.controller.decisions import Actor, DecisionRecord
from coolcap_agent.controller.division import Divider
from coolcap_agent.controller.fitness import judge
from coolcap_agent.controller.guarding import short_budgets, urgent
from coolcap_agent.controller.in_force import InForce, merged
from coolcap_agent.controller.in_hand import InHand
from coolcap_agent.controller.loop_state import LoopSettings, LoopState, TickCounts
from coolcap_agent.controller.modes import Event, Mode, ModeMachine, ModeState
from coolcap_agent.controller.policy_runner import PolicyRunner
from coolcap_agent.controller.recovery import Recovery
from coolcap_agent.controller.switchback import Arm
from coolcap_agent.controller.takeover import Takeover
from coolcap_agent.controller.watch import OverheatWatch
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.safety.fallback import safe_setpoints
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import Shielded, project
from coolcap_envs.safety.trim_respond import TrimRespond

_RULE_LED: Final = (Actor.POLICY, Actor.BASELINE, Actor.RULE)
_BY_ITSELF: Final = (Mode.FALLBACK, Mode.OVERRIDDEN)
"""Modes in which the policy stands back."""


class ControlLoop:
    """Decides, guards, and hands over between policy, rule and safe setpoints without a bump.

    Args:
        plant: The site's devices.
        runner: Asks the policy.
        budgets: The site's limits with budgets that change over time.
        settings: Periods and thresholds.
        mode: Mode at the start.
        wishes: What people asked for earlier.
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
        wishes: Wishes = Wishes(),  # noqa: B008 - frozen
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
        self._takeover = Takeover()
        self._recovery = Recovery()
        self._in_hand = InHand(self._layout, wishes)
        self._divider = Divider(self._layout)
        self._counts = TickCounts()
        telemetry = plant.read()
        now_s = float(telemetry.time_s)
        limits = budgets.limits_at(now_s)
        self._modes = ModeMachine(mode, reason="as configured, since the start", time_s=now_s)
        self._state = LoopState(
            layout=self._layout,
            mode=self._modes.state,
            wishes=wishes,
            division=self._divider.at(wishes, now_s),
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
        self._recovery.allow()
        return self._mode_may_have_changed()

    def wish(self, wishes: Wishes) -> ModeState:
        """Take in what people ask for beside the mode."""
        self._in_hand.wishes = wishes
        self._note_overrides()
        return self._mode_may_have_changed()

    def follow(self, mode: Mode, wishes: Wishes, *, reason: str) -> ModeState:
        """Take over mode and wishes of the controller that leads."""
        self._modes.follow(mode, reason=reason, time_s=self._time_s)
        return self.wish(wishes)

    def reconfigure(self, limits: Limits, runner: PolicyRunner, *, work_value: float) -> None:
        """Go on with other limits, budgets and policy; nothing in force changes by itself."""
        self._budgets.configure(limits)
        self._runner = runner
        self._rule = TrimRespond(self._layout, limits)
        self._rule.track(self._in_force.at(self._state.telemetry))
        self._takeover.note(led=False)
        self._settings = dataclasses.replace(self._settings, work_value=work_value)

    def release(self, *, reason: str) -> ModeState:
        """Stop writing, and return the mode in force then; the caller releases the leases."""
        self._modes.on(Event.RELEASE, reason=reason, time_s=self._time_s)
        return self._mode_may_have_changed(keep_leases=False)

    def fast_tick(self) -> None:
        """Renew leases, and act on budgets, temperatures and ages if they cannot wait."""
        state = self._look()
        if self._acts:
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

    @property
    def _acts(self) -> bool:
        """Whether commands go out: the mode writes, and no other controller of the hall does."""
        return self._modes.mode.writes and self._plant.leads

    def _look(self) -> LoopState:
        """Keep the leases, read, and return what is known then."""
        self._keep_leases()
        telemetry = self._plant.read()
        limits = self._budgets.limits_at(float(telemetry.time_s), telemetry)
        self._show(
            telemetry=telemetry,
            limits=limits,
            in_force=self._in_force.at(telemetry),
            verdict=judge(telemetry, self._layout, limits),
        )
        if not self._acts:
            self._forget()
        self._note_overrides()
        self._show(
            division=self._divider.at(self._in_hand.wishes, self._time_s), leads=self._plant.leads
        )
        return self._state

    def _note_overrides(self) -> None:
        """Drop overrides that ended, take in those of the plant, and change the mode with them."""
        writes = self._modes.mode.writes
        self._in_hand.update(self._plant.overridden, time_s=self._time_s, writes=writes)
        if self._acts:
            event, reason = self._in_hand.event
            self._modes.on(event, reason=reason, time_s=self._time_s)

    def _keep_leases(self) -> None:
        mode = self._modes.mode
        self._plant.keep_leases(caps=mode.holds_caps, setpoints=mode.holds_setpoints)

    def _show(self, **changed: object) -> None:
        shown = {
            **changed,
            "mode": self._modes.state,
            "commanded": self._in_force.commanded,
            "wishes": self._in_hand.wishes,
            "overrides": self._in_hand.overrides,
        }
        self._state = dataclasses.replace(self._state, **shown)  # type: ignore[arg-type]

    # Deciding

    def _decide(self, state: LoopState, started_s: float) -> None:
        led = self._actor in _RULE_LED
        track = self._in_hand.only(state.in_force) if led else state.in_force
        self._rule.track(track)
        self._baseline = state.in_force
        if state.verdict.fit:
            period_s = self._settings.policy_period_s
            self._baseline = self._rule.update(state.telemetry, dt_s=period_s)
        work_value = self._settings.work_value
        ask = ask_policy(self._runner, state, baseline=self._baseline, work_value=work_value)
        self._judge(ask.failure)
        actor, asked = self._choose(state, ask)
        asked = self._in_hand.over(asked, in_force=state.in_force)
        shielded = self._project(asked, state, dt_s=self._settings.policy_period_s)
        acts = self._acts
        commanded = Setpoints.none(self._layout.group_count)
        applied = Applied(setpoints=commanded)
        if acts:
            commanded = self._in_hand.sendable(shielded.setpoints)
            applied = self._plant.apply(commanded)
            self._in_force.note(commanded, applied, time_s=self._time_s)
            self._in_hand.changed = False
        self._actor = actor if acts else None
        latency_s = self._mono_s() - started_s
        self._show(**self._counts.note(failure=ask.failure, latency_s=latency_s))
        self._record(state, actor, ask, shielded, commanded, applied, latency_s=latency_s)
        self._takeover.note(led=self._actor is Actor.POLICY)

    def _judge(self, failure: str) -> None:
        """Enter fallback on a failure, leave it after enough good decisions in a row."""
        if failure:
            self._recovery.failed()
            self._modes.on(Event.UNFIT, reason=failure, time_s=self._time_s)
            return
        waiting = self._modes.mode is Mode.FALLBACK
        if text := self._recovery.recovered(time_s=self._time_s, waiting=waiting):
            self._modes.on(Event.FIT, reason=text, time_s=self._time_s)

    def _choose(self, state: LoopState, ask: Ask) -> tuple[Actor, Setpoints]:
        """Return whose setpoints are put to the shield, and the setpoints."""
        mode, division = self._modes.mode, state.division
        if mode is Mode.HOLD:
            return Actor.HOLD, merged(self._in_force.commanded, state.in_force)
        if not state.verdict.fit:
            return Actor.SAFE, safe_setpoints(state.in_force, state.limits)
        stands_back = mode in _BY_ITSELF
        if ask.action is not None and not stands_back and division.arm is Arm.POLICY:
            authority, baseline = self._authority, self._baseline
            return Actor.POLICY, entrusted(ask, state, authority=authority, baseline=baseline)
        if self._actor is Actor.POLICY:
            # From here on the rule leads: it starts where the policy left the devices.
            self._rule.track(state.in_force)
            self._baseline = state.in_force
        its_turn = division.arm is Arm.BASELINE and not stands_back and not ask.failure
        return Actor.BASELINE if its_turn else Actor.RULE, self._baseline

    @property
    def _authority(self) -> float:
        """Share of the policy's corrections that counts; all of it where it is advice only."""
        return self._takeover.authority if self._acts else 1.0

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
        self._show(budgets_short=short_budgets(shielded, state.telemetry, self._layout, limits))
        return shielded

    # Between decisions

    def _guard(self, state: LoopState) -> None:
        """Act at once where budgets or temperatures demand it, or a person just took a value."""
        asked, taken = state.in_force, Setpoints.none(self._layout.group_count)
        if self._in_hand.changed:
            asked = self._in_hand.over(asked, in_force=state.in_force)
            taken = self._in_hand.only(asked)
            self._in_hand.changed = False
        shielded = self._project(asked, state, dt_s=self._settings.fast_period_s)
        if found := urgent(shielded, in_force=state.in_force, taken=taken):
            actor, setpoints = found
            self._adjust(self._in_hand.sendable(setpoints), actor, shielded, state, failure="")

    def _make_safe(self, state: LoopState) -> None:
        """Go to safe setpoints as soon as readings are unfit, once; then guard what is in force."""
        failure = unfit_text(state.verdict.problems)
        self._recovery.failed()
        self._modes.on(Event.UNFIT, reason=failure, time_s=self._time_s)
        self._show(failure=failure)
        if self._actor is Actor.SAFE:
            self._guard(state)
            return
        safe = safe_setpoints(state.in_force, state.limits)
        asked = self._in_hand.over(safe, in_force=state.in_force)
        shielded = self._project(asked, state, dt_s=self._settings.policy_period_s)
        safe = self._in_hand.sendable(shielded.setpoints)
        self._adjust(safe, Actor.SAFE, shielded, state, failure=failure)
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
        if not self._acts:
            return
        started_s = self._mono_s()
        applied = self._plant.adjust(setpoints)
        self._in_force.note(setpoints, applied, time_s=float(state.telemetry.time_s))
        latency_s = self._mono_s() - started_s
        ask = Ask(failure=failure)
        self._record(state, actor, ask, shielded, setpoints, applied, latency_s=latency_s)

    def _watch(self, state: LoopState) -> None:
        """Hand everything back if the hall stays too hot in spite of all."""
        if not self._acts:
            self._overheat.reset()
            return
        reason = self._overheat.look(state.telemetry, state.limits)
        if reason and self._modes.on(Event.TRIP, reason=reason, time_s=self._time_s):
            self._mode_may_have_changed()

    def _mode_may_have_changed(self, *, keep_leases: bool = True) -> ModeState:
        if not self._acts:
            self._forget()
        if keep_leases:
            self._keep_leases()
        self._show()
        return self._modes.state

    def _forget(self) -> None:
        """Nothing that was commanded is in force any more: the agents restore."""
        self._actor = None
        self._takeover.note(led=False)
        self._in_force.forget()

    def _record(
        self,
        state: LoopState,
        actor: Actor,
        ask: Ask,
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
                division=state.division,
                authority=self._authority if actor is Actor.POLICY else 0.0,
                overrides=self._in_hand.overrides,
                leads=state.leads,
                novelty=ask.novelty,
                in_force=state.in_force,
                shielded=shielded,
                commanded=commanded,
                applied=applied,
                policy_latency_s=ask.latency_s,
                latency_s=latency_s,
            )
        )
