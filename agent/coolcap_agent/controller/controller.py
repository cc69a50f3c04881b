"""The controller put together: loop, fleet, records, and what is wrong."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from coolcap_agent.audit import AuditLog
from coolcap_agent.clock import Clock
from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.config import ControlConfig
from coolcap_agent.controller.decisions import DecisionLog, DecisionRecord
from coolcap_agent.controller.fleet import Fleet, Released, Session
from coolcap_agent.controller.leadership import MajorityLeadership
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings, LoopState
from coolcap_agent.controller.modes import Mode, ModeState
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.problems import Key, Problems, Severity
from coolcap_agent.controller.remote_plant import RemotePlant
from coolcap_agent.controller.run_meter import RunMeter
from coolcap_agent.controller.session import Connection
from coolcap_agent.controller.status import Scene, mode_of
from coolcap_agent.controller.steering import adopt_budgets, wishes_of
from coolcap_agent.controller.wishes import Wishes, WishesFile
from coolcap_agent.daemon.wire import time_of
from coolcap_agent.sink.base import Sink, SinkStatus
from coolcap_agent.sink.file import FileSink
from coolcap_agent.sink.several import SeveralSinks
from coolcap_agent.telemetry_log.happenings import Happening
from coolcap_agent.telemetry_log.recorder import AgentSeen, Recorder
from coolcap_proto.v1 import controller_pb2

if TYPE_CHECKING:
    from coolcap_agent.metrics.controller import ControllerMetrics

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOGGED: Final = ("agent", "fallback", "tripped")
"""Problems whose begin and end the sessions or a change of mode have logged already."""


def open_sink(config: ControlConfig) -> Sink:
    """Return the sink of ``[telemetry]``; a database may be away. Raises SpoolError, OSError."""
    sinks: list[Sink] = []
    if config.telemetry.file is not None:
        sinks.append(FileSink(config.telemetry.file))
    if config.telemetry.influx is not None:
        # Half a second to import, which a site without a database need not spend.
        from coolcap_agent.sink.influx import InfluxTarget, open_influx_sink

        influx = config.telemetry.influx
        target = InfluxTarget(
            url=influx.url, org=influx.org, bucket=influx.bucket, token=influx.token()
        )
        sinks.append(
            open_influx_sink(
                target,
                spool_path=config.state_dir / "spool.sqlite",
                spool_bytes_max=influx.spool_bytes_max,
            )
        )
    return SeveralSinks(sinks)


def unfit_reading(text: str) -> tuple[str, str]:
    """Return code and subject of a sentence about an unfit reading ("SIGNAL … of WHERE is …").

    One of each node stands for all of it; of the plant each signal stands for itself.
    """
    where = text.split(" of ", 1)[1].split(" is ", 1)[0]
    if where.startswith("group "):
        return "readings_unfit", where.removeprefix("group ").split("/")[0]
    return f"unfit_{text.split(' ', 1)[0]}", "plant"


class Controller:
    """Owns the loop and its thread. Make it inside a running event loop.

    Args:
        config: What the controller is told.
        fleet: Sessions with all agents.
        clock: The site's clock.
        runner: Asks the policy.
        sink: Where telemetry goes.
        leadership: Decides with the other controllers of the hall who acts; None: there are none.
    """

    def __init__(
        self,
        config: ControlConfig,
        *,
        fleet: Fleet,
        clock: Clock,
        runner: PolicyRunner,
        sink: Sink,
        leadership: MajorityLeadership | None = None,
    ) -> None:
        self.config = config
        self.fleet = fleet
        self.budgets = Budgets(config.layout, config.limits)
        folder: Path = config.state_dir
        self.decisions = DecisionLog(config.layout, folder / "decisions.jsonl")
        self.audit = AuditLog(folder / "audit.jsonl")
        self._sink = sink
        self._recorder = Recorder(config.layout, [sink], fleet_period_s=config.telemetry.period_s)
        self._meter = RunMeter()
        self._problems = Problems()
        self._runner = runner
        self._wishes_file = WishesFile(folder / "wishes.json")
        self.leadership = leadership
        self.changed_s = 0.0
        """When people last changed something, host time; 0: not since the start."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loop")
        settings = config.loop
        self.loop = ControlLoop(
            RemotePlant(
                config.layout,
                fleet=fleet,
                clock=clock,
                events=asyncio.get_running_loop(),
                answer_deadline_s=settings.answer_deadline_s,
                acknowledge=config.simulated_clock is not None,
                leadership=leadership,
            ),
            runner=runner,
            budgets=self.budgets,
            settings=LoopSettings(
                work_value=settings.work_value,
                policy_period_s=settings.policy_period_s,
                fast_period_s=settings.fast_period_s,
                trip_over_k=settings.trip_over_k,
                trip_after_s=settings.trip_after_s,
            ),
            mode=settings.mode,
            wishes=self._wishes_file.load(),
            on_decision=self._on_decision,
            after_tick=self._record,
        )
        self.listeners: list[Callable[[LoopState], None]] = []
        self._mode: ModeState | None = None
        self._metrics: ControllerMetrics | None = None

    async def in_loop(self, job: Callable[[], T]) -> T:
        """Run ``job`` in the loop's thread, after the tick in progress."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def fast(self) -> None:
        """Make a fast tick."""
        await self._tick(self.loop.fast_tick)

    async def policy(self) -> None:
        """Make a policy tick."""
        await self._tick(self.loop.policy_tick)

    async def _tick(self, tick: Callable[[], None]) -> None:
        started_s = time.monotonic()
        await self.in_loop(tick)
        self.fleet.pulse.ticks.add(time.monotonic() - started_s)
        self.fleet.pulse.tick_count += 1

    def overrun(self, count: int) -> None:
        """Note that ``count`` fast ticks did not take place."""
        self.fleet.pulse.missed_count += count
        log.warning("%d fast ticks did not take place: this host is too slow", count)

    async def reconfigure(self, config: ControlConfig, loaded: LoadedPolicy) -> None:
        """Replace limits, budgets and policy between two ticks; leases and mode stay."""
        runner = PolicyRunner(loaded, deadline_s=config.loop.policy_deadline_s)
        work_value = config.loop.work_value
        await self.in_loop(
            lambda: self.loop.reconfigure(config.limits, runner, work_value=work_value)
        )
        self.config, before, self._runner = config, self._runner, runner
        before.close()

    async def note_reload(self, said: str, taken: bool) -> None:
        """Record that a config was taken in, or was not."""
        severity = Severity.INFO if taken else Severity.WARNING
        await self.in_loop(
            lambda: self.event(code="reload", subject="loop", message=said, severity=severity)
        )

    async def set_mode(
        self, mode: Mode, *, reason: str, reset_trip: bool, canary_ratio: float | None
    ) -> ModeState:
        """Change the mode, and the canary's share if given. Raises ModeError, WishesError."""

        def change() -> ModeState:
            state = self.loop.ask_mode(mode, reason=reason, reset_trip=reset_trip)
            wishes = self.loop.state.wishes
            if canary_ratio is not None:
                wishes = dataclasses.replace(wishes, canary_ratio=canary_ratio)
                state = self.loop.wish(wishes)
            self._wishes_file.save(wishes)
            return state

        return await self.in_loop(change)

    async def wish(self, change: Callable[[Wishes], Wishes]) -> ModeState:
        """Change what people ask for beside the mode, on disk first. Raises WishesError."""

        def job() -> ModeState:
            wishes = change(self.loop.state.wishes)
            self._wishes_file.save(wishes)
            return self.loop.wish(wishes)

        return await self.in_loop(job)

    async def adopt(self, status: controller_pb2.GetStatusResponse) -> None:
        """Take over what people asked of the controller that leads."""
        mode = mode_of(status.mode)
        if mode is None:
            return
        self.changed_s = time_of(status.change_time) if status.HasField("change_time") else 0.0
        wishes = wishes_of(status)

        def job() -> None:
            state = self.loop.state
            adopt_budgets(self.budgets, status, state)
            self.loop.follow(mode, wishes, reason=status.mode_reason)
            if wishes != state.wishes:
                self._wishes_file.save(wishes)

        await self.in_loop(job)

    async def release(self, reason: str) -> tuple[ModeState, list[Released]]:
        """Hand everything back and say what the agents restored."""
        state = await self.in_loop(lambda: self.loop.release(reason=reason))
        self._wishes_file.save(self.loop.state.wishes)
        return state, await self.fleet.release_all()

    def scene(self) -> Scene:
        """Return everything a status is made of."""
        return Scene(
            layout=self.config.layout,
            state=self.loop.state,
            fleet=self.fleet,
            budgets=self.budgets,
            policy=self._runner.loaded,
            work_value=self.config.loop.work_value,
            policy_period_s=self.config.loop.policy_period_s,
            run=self._meter.window,
            problems=self._problems.now,
            changed_s=self.changed_s,
            leadership=None if self.leadership is None else self.leadership.view(),
        )

    def collector(self) -> "ControllerMetrics":
        """Return what gives the site's metrics, filled from the next tick on."""
        from coolcap_agent.metrics.controller import ControllerMetrics

        self._metrics = ControllerMetrics(self.config.layout, self.fleet.pulse)
        return self._metrics

    async def end_ticks(self) -> None:
        """Let the tick in progress end; none comes after it."""
        await asyncio.to_thread(self._thread.shutdown)

    async def close(self) -> None:
        """End the ticks and close all files."""
        await self.end_ticks()
        self._runner.close()
        self.decisions.close()
        self.audit.close()
        await asyncio.to_thread(self._sink.close)

    def log_status(self) -> SinkStatus:
        """Return how the telemetry log is doing."""
        return self._sink.status()

    def happenings(self) -> list[Happening]:
        """Return the newest events, the newest first."""
        return self._recorder.happenings()

    def event(
        self, *, code: str, subject: str, message: str, severity: Severity = Severity.INFO
    ) -> None:
        """Log something a person did; call it in the loop's thread."""
        time_s = float(self.loop.state.telemetry.time_s)
        self._recorder.event(
            time_s=time_s,
            code=code,
            subject=subject,
            active=True,
            message=message,
            severity=severity,
        )

    def _on_decision(self, record: DecisionRecord) -> None:
        self.decisions.add(record)
        self._recorder.decision(record)

    def _record(self, state: LoopState) -> None:
        """Meter and log what a tick found, in the loop's thread."""
        time_s = float(state.telemetry.time_s)
        self._meter.add(state.telemetry)
        agents = [self._seen(s, time_s) for s in self.fleet.sessions.values()]
        self._recorder.record(state, agents, gpus=self.fleet.state.gpus)
        if self._metrics is not None and self._meter.window is not None:
            totals = self._meter.window.totals
            self._metrics.put(state, agents, totals=totals, log=self._sink.status())
        if state.mode is not self._mode:
            log.info("mode %s: %s", state.mode.mode, state.mode.reason)
            self._mode = state.mode
            self.event(code="mode", subject=state.mode.mode, message=state.mode.reason)
        began, ended = self._problems.update(self._found(state), time_s=time_s)
        for problem in (*began, *ended):
            active = problem in began
            if problem.key.code not in _LOGGED:
                log.log(
                    logging.WARNING if active else logging.INFO,
                    "%s%s",
                    "" if active else "over: ",
                    problem.message,
                )
            self._recorder.event(
                time_s=time_s,
                code=problem.key.code,
                subject=problem.key.subject,
                active=active,
                message=problem.message,
                severity=problem.severity,
            )
        for listen in self.listeners:
            listen(state)

    def _seen(self, session: Session, time_s: float) -> AgentSeen:
        age_s = time_s - session.measure_time_s
        return AgentSeen(
            name=session.name,
            kind=session.config.kind,
            connected=session.connection is Connection.LIVE,
            lease_held=session.lease.live is not None,
            age_s=age_s if isfinite(age_s) else nan,
        )

    def _found(self, state: LoopState) -> Mapping[Key, tuple[Severity, str]]:
        """Return what is wrong now."""
        found: dict[Key, tuple[Severity, str]] = {}

        def note(code: str, subject: str, severity: Severity, message: str) -> None:
            found.setdefault(Key(code=code, subject=subject), (severity, message))

        mode = state.mode.mode
        if mode is Mode.TRIPPED:
            note("tripped", "loop", Severity.CRITICAL, state.mode.reason)
        if mode is Mode.FALLBACK:
            note("fallback", "loop", Severity.WARNING, state.mode.reason)
        elif state.failure and mode.decides:
            note("policy_failed", "loop", Severity.WARNING, state.failure)
        for name in state.budgets_short:
            watts = float(state.limits.budget_w[state.limits.budget_names.index(name)])
            text = f"budget {name} of {watts:.0f} W cannot be kept even with every cap at its "
            note("budget_short", name, Severity.CRITICAL, text + "lowest; stop servers or raise it")
        for name, session in self.fleet.sessions.items():
            if session.problem:
                note("agent", name, Severity.WARNING, session.problem)
        for text in state.verdict.problems:
            note(*unfit_reading(text), Severity.INFO, text)
        logged = self._sink.status()
        if logged.problem:
            # Lines that wait are no loss; lines that are given up are.
            grave = Severity.WARNING if logged.dropped else Severity.INFO
            note("telemetry_log", "loop", grave, logged.problem)
        if self.decisions.problem:
            note("decision_log", "loop", Severity.INFO, self.decisions.problem)
        return found
