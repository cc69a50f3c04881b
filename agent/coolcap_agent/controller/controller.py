"""The controller put together: loop, fleet, records, and what is wrong."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from coolcap_agent.clock import Clock
from coolcap_agent.controller.audit import AuditLog
from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.config import ControlConfig
from coolcap_agent.controller.decisions import DecisionLog, DecisionRecord
from coolcap_agent.controller.fleet import Fleet, Released
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings
from coolcap_agent.controller.modes import Mode, ModeState
from coolcap_agent.controller.policy_runner import PolicyRunner
from coolcap_agent.controller.problems import Key, Problems, Severity
from coolcap_agent.controller.remote_plant import RemotePlant
from coolcap_agent.controller.status import Scene
from coolcap_agent.controller.telemetry_log import TelemetryLog
from coolcap_agent.sink.base import Sink
from coolcap_agent.sink.file import FileSink
from coolcap_envs.contract.telemetry import Telemetry

log = logging.getLogger(__name__)

T = TypeVar("T")

READINGS_MAX: Final = 20
"""Unfit readings named one by one."""
_LOGGED: Final = ("agent", "fallback", "tripped")
"""Problems whose begin and end the sessions or a change of mode have logged already."""


def open_sinks(config: ControlConfig) -> list[Sink]:
    """Return the sinks of ``[telemetry]``; a database may be away. Raises SpoolError, OSError."""
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
    return sinks


class Controller:
    """Owns the loop and its thread. Make it inside a running event loop.

    Args:
        config: What the controller is told.
        fleet: Sessions with all agents.
        clock: The site's clock.
        runner: Asks the policy.
        sinks: Where telemetry goes.
    """

    def __init__(
        self,
        config: ControlConfig,
        *,
        fleet: Fleet,
        clock: Clock,
        runner: PolicyRunner,
        sinks: list[Sink],
    ) -> None:
        self.config = config
        self.fleet = fleet
        self.budgets = Budgets(config.layout, config.limits)
        folder: Path = config.state_dir
        self.decisions = DecisionLog(config.layout, folder / "decisions.jsonl")
        self.audit = AuditLog(folder / "audit.jsonl")
        self.telemetry_log = TelemetryLog(
            config.layout,
            sinks,
            period_s=config.telemetry.period_s,
            window_s=config.telemetry.window_s,
        )
        self._problems = Problems()
        self._runner = runner
        self._overruns = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loop")
        settings = config.loop
        self.loop = ControlLoop(
            RemotePlant(
                config.layout,
                fleet=fleet,
                clock=clock,
                events=asyncio.get_running_loop(),
                answer_deadline_s=settings.answer_deadline_s,
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
            on_decision=self._on_decision,
            on_telemetry=self._on_telemetry,
        )
        self._mode = self.loop.state.mode
        self.telemetry_log.mode(self._mode)

    async def in_loop(self, job: Callable[[], T]) -> T:
        """Run ``job`` in the loop's thread, after the tick in progress."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def fast(self) -> None:
        """Make a fast tick."""
        await self.in_loop(self.loop.fast_tick)
        self._after_tick()

    async def policy(self) -> None:
        """Make a policy tick."""
        await self.in_loop(self.loop.policy_tick)
        self._after_tick()

    def overrun(self, count: int) -> None:
        """Note that ``count`` fast ticks did not take place."""
        self._overruns += count
        log.warning("%d fast ticks did not take place: this host is too slow", count)

    async def release(self, reason: str) -> tuple[ModeState, list[Released]]:
        """Hand everything back and say what the agents restored."""
        state = await self.in_loop(lambda: self.loop.release(reason=reason))
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
            run=self.telemetry_log.run,
            problems=self._problems.now,
        )

    async def close(self) -> None:
        """Let the tick in progress end, and close all files."""
        await asyncio.to_thread(self._thread.shutdown)
        self._runner.close()
        self.decisions.close()
        self.audit.close()
        await asyncio.to_thread(self.telemetry_log.close)

    def _on_decision(self, record: DecisionRecord) -> None:
        self.decisions.add(record)
        self.telemetry_log.decision(record)

    def _on_telemetry(self, telemetry: Telemetry) -> None:
        limits = self.budgets.limits_at(float(telemetry.time_s))
        self.telemetry_log.telemetry(telemetry, limits)

    def _after_tick(self) -> None:
        state = self.loop.state
        time_s = float(state.telemetry.time_s)
        if state.mode is not self._mode:
            log.info("mode %s: %s", state.mode.mode, state.mode.reason)
            self._mode = state.mode
            self.telemetry_log.mode(state.mode)
        began, ended = self._problems.update(self._found(), time_s=time_s)
        for problem in began:
            if problem.key.code not in _LOGGED:
                log.warning("%s", problem.message)
            self.telemetry_log.problem(problem, began=True, time_s=time_s)
        for problem in ended:
            if problem.key.code not in _LOGGED:
                log.info("over: %s", problem.message)
            self.telemetry_log.problem(problem, began=False, time_s=time_s)

    def _found(self) -> Mapping[Key, tuple[Severity, str]]:
        """Return what is wrong now."""
        state = self.loop.state
        found: dict[Key, tuple[Severity, str]] = {}

        def note(code: str, subject: str, severity: Severity, message: str) -> None:
            found[Key(code=code, subject=subject)] = (severity, message)

        mode = state.mode.mode
        if mode is Mode.TRIPPED:
            note("tripped", "loop", Severity.CRITICAL, state.mode.reason)
        if mode is Mode.FALLBACK:
            note("fallback", "loop", Severity.WARNING, state.mode.reason)
        elif state.failure and mode.decides:
            note("policy_failed", "loop", Severity.WARNING, state.failure)
        for name, session in self.fleet.sessions.items():
            if session.problem:
                severe = Severity.WARNING if session.refused else Severity.INFO
                note("agent", name, severe, session.problem)
        for text in state.verdict.problems[:READINGS_MAX]:
            # "SIGNAL … of WHERE is …": the value in it changes, what is wrong does not.
            where = text.split(" of ", 1)[1].split(" is ", 1)[0]
            note(f"unfit_{text.split(' ', 1)[0]}", where, Severity.INFO, text)
        for sink in self.telemetry_log.sinks:
            if problem := sink.status().problem:
                note("telemetry_log", type(sink).__name__, Severity.INFO, problem)
        if self.decisions.problem:
            note("decision_log", "loop", Severity.INFO, self.decisions.problem)
        return found
