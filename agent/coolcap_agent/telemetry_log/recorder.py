"""The recorder: what the loop knows and decides, as lines of the log.

    loop state ──► plant, facility (each second);
                   rack, node, group, gpu, budget, agent, loop (10 s);
                   meter, facility_1m, plant_1m, rack_1m (minute)
    decision   ──► decision, cap, setpoint
    event      ──► event

Readings that are too old or out of range are left out: what the log shows was so.

Times are the site's: what is written twice, or sent again after an outage, is stored once.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.problems import Severity
from coolcap_agent.sink.base import Sink
from coolcap_agent.sink.line_protocol import Series, line, series_key, time_ns
from coolcap_agent.telemetry_log.decision_fields import cap_steps, decision_fields, lever_steps
from coolcap_agent.telemetry_log.fleet_sums import nodes, racks
from coolcap_agent.telemetry_log.gpu_lines import GpuLines
from coolcap_agent.telemetry_log.happenings import Happening, Happenings
from coolcap_agent.telemetry_log.measurement import Measurement
from coolcap_agent.telemetry_log.meters import ModeMeters, as_fields
from coolcap_agent.telemetry_log.minute import MINUTE_S, Minute
from coolcap_agent.telemetry_log.schema import (
    AGENT,
    BUDGET,
    CAP,
    DECISION,
    EVENT,
    FACILITY,
    FACILITY_1M,
    GROUP,
    LOOP,
    METER,
    MODE_CODES,
    NODE,
    PLANT,
    PLANT_1M,
    RACK,
    RACK_1M,
    SETPOINT,
    STEP_NAMES,
)
from coolcap_agent.telemetry_log.site_fields import budget_fields, facility_fields, only_valid
from coolcap_agent.telemetry_log.steering_lines import steering_lines
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.telemetry import FloatArray

SITE_PERIOD_S: Final = 1.0
"""At most one line of the whole site per second."""
FLEET_PERIOD_S: Final = 10.0
"""10,000 GPUs once per second are 26 GB a day in InfluxDB, once per 10 s a tenth of it."""

EVENT_SERIES_MAX: Final = 10_000
"""Each series costs a database memory for ever; subjects come from the site file, but be sure."""
EARLY_MAX_S: Final = 0.1
"""So much early is on time: ticks do not fall on the full second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """An agent as the controller sees it. ``age_s`` is NaN before its first telemetry."""

    name: str
    kind: str
    connected: bool
    lease_held: bool
    age_s: float


class Recorder:
    """Writes the log of one site. For one thread, but for ``happenings``.

    Args:
        layout: The site's layout.
        sinks: Where lines go; their own state is logged too.
        site_period_s: Least site time between two lines of the whole site.
        fleet_period_s: Least site time between two lines of each GPU, group, rack and so on.
    """

    def __init__(
        self,
        layout: Layout,
        sinks: Sequence[Sink],
        *,
        site_period_s: float = SITE_PERIOD_S,
        fleet_period_s: float = FLEET_PERIOD_S,
    ) -> None:
        self._layout = layout
        self._sinks = tuple(sinks)
        self._site = {"site": layout.name}
        self._meters = ModeMeters(layout.gpu_count)
        self._happenings = Happenings()
        self._event_keys: dict[tuple[str, str], str] = {}
        self._racks, self._nodes = racks(layout), nodes(layout)
        self._site_due = _Due(site_period_s)
        self._fleet_due = _Due(fleet_period_s)
        self._meter_due = _Due(MINUTE_S)
        self._plant_minute = _minutes(PLANT_1M, [self._site])
        self._facility_minute = _minutes(FACILITY_1M, [self._site])
        self._rack_minute = _minutes(
            RACK_1M, [{**self._site, "rack": rack} for rack in self._racks.names]
        )
        self._plant = Series([series_key(PLANT.name, self._site)], PLANT.field_names)
        rack_keys = [series_key(RACK.name, {**self._site, "rack": r}) for r in self._racks.names]
        self._rack = Series(rack_keys, RACK.field_names)
        rack_of = dict(zip(layout.node_names, layout.rack_names, strict=True))
        self._node = Series(
            [
                series_key(NODE.name, {**self._site, "node": n, "rack": rack_of[n]})
                for n in self._nodes.names
            ],
            NODE.field_names,
        )
        self._gpu = GpuLines(layout)
        places = zip(layout.group_names, layout.node_names, layout.rack_names, strict=True)
        group_keys = [
            series_key(GROUP.name, {**self._site, "group": g, "node": n, "rack": r})
            for g, n, r in places
        ]
        self._group = Series(group_keys, GROUP.field_names)
        self._cap = Series([CAP.name + key[len(GROUP.name) :] for key in group_keys], STEP_NAMES)

    def record(
        self,
        state: LoopState,
        agents: Sequence[AgentSeen] = (),
        *,
        gpus: Callable[[], FloatArray] | None = None,
    ) -> None:
        """Log what is known after a tick, as far as it is due.

        Args:
            state: What the loop knows.
            agents: All agents of the site.
            gpus: Gives readings per GPU, in the order of the groups.
        """
        time_s = float(state.telemetry.time_s)
        self._meters.add(state.telemetry, state.mode.mode)
        if not self._site_due.take(time_s):
            return
        at_ns = time_ns(time_s)
        state = dataclasses.replace(state, telemetry=only_valid(state))
        facility = as_fields(self._meters.totals)
        facility |= facility_fields(state, self._layout)
        row = np.array([facility[name] for name in FACILITY.field_names])
        plant = state.telemetry.plant
        parts = [
            self._plant.lines(plant[None], at_ns=at_ns),
            line(FACILITY.name, self._site, facility, at_ns=at_ns),
            self._plant_minute(plant[None], time_s),
            self._facility_minute(row[None], time_s),
        ]
        if self._fleet_due.take(time_s):
            parts += self._fleet(state, agents, at_ns)
            if gpus is not None:
                usable = np.asarray(np.isfinite(state.telemetry.groups).any(axis=1))
                parts.append(self._gpu.lines(gpus(), groups_usable=usable, at_ns=at_ns))
        if self._meter_due.take(time_s):
            for mode, totals in self._meters.by_mode.items():
                parts.append(self._tagged(METER, {"mode": mode.value}, as_fields(totals), at_ns))
        self._write(b"".join(parts))

    def decision(self, record: DecisionRecord) -> None:
        """Log a decision."""
        at_ns = time_ns(record.time_s)
        tags = {**self._site, "actor": record.actor.value, "mode": record.mode.mode.value}
        parts = [
            line(DECISION.name, tags, decision_fields(record), at_ns=at_ns),
            self._cap.lines(cap_steps(record), at_ns=at_ns),
        ]
        steps = lever_steps(record)
        for k, lever in enumerate(PLANT_LEVERS):
            if self._layout.plant_levers[k]:
                values = dict(zip(STEP_NAMES, steps[k].tolist(), strict=True))
                parts.append(self._tagged(SETPOINT, {"lever": lever.name}, values, at_ns))
        self._write(b"".join(parts))

    def event(
        self,
        *,
        time_s: float,
        code: str,
        subject: str,
        active: bool,
        message: str,
        severity: Severity = Severity.INFO,
    ) -> None:
        """Log that something began or ended.

        Args:
            time_s: Site time.
            code: Stable name, for example ``telemetry_stale``.
            subject: What it concerns: an agent, a budget or ``loop``.
            active: Whether it began.
            message: For people.
            severity: How grave it is.
        """
        self._happenings.add(
            Happening(
                time_s=time_s,
                code=code,
                subject=subject,
                active=active,
                severity=severity,
                message=message,
            )
        )
        key = self._event_key(code, subject)
        text = message.replace("\\", "/").replace('"', "'").replace("\n", " ").replace("\r", " ")
        fields = f'active={float(active):g},severity={int(severity)},message="{text}"'
        self._write(f"{key} {fields} {time_ns(time_s)}\n".encode())

    def happenings(self) -> list[Happening]:
        """Return the newest events, the newest first; from any thread."""
        return self._happenings.newest()

    def _event_key(self, code: str, subject: str) -> str:
        """Return the series of an event; beyond a number of them one for all others."""
        known = self._event_keys.get((code, subject))
        if known is None:
            if len(self._event_keys) >= EVENT_SERIES_MAX:
                return series_key(EVENT.name, {**self._site, "code": code, "subject": "other"})
            known = series_key(EVENT.name, {**self._site, "code": code, "subject": subject})
            self._event_keys[code, subject] = known
        return known

    def _write(self, body: bytes) -> None:
        for sink in self._sinks:
            sink.write(body)

    def _fleet(self, state: LoopState, agents: Sequence[AgentSeen], at_ns: int) -> list[bytes]:
        telemetry = state.telemetry
        groups = np.column_stack(
            [telemetry.groups, state.commanded.power_cap_w, telemetry.groups_age_s]
        )
        rack_rows = self._racks.rows(telemetry.groups)
        parts = [
            self._rack.lines(rack_rows, at_ns=at_ns),
            self._rack_minute(rack_rows, float(telemetry.time_s)),
            self._node.lines(self._nodes.rows(telemetry.groups), at_ns=at_ns),
            self._group.lines(groups, at_ns=at_ns),
            self._tagged(LOOP, {}, self._loop(state, agents), at_ns),
        ]
        for budget, values in budget_fields(state, self._layout).items():
            parts.append(self._tagged(BUDGET, {"budget": budget}, values, at_ns))
        for agent in agents:
            values = {
                "connected": float(agent.connected),
                "lease_held": float(agent.lease_held),
                "telemetry_age_s": agent.age_s,
            }
            tags = {"agent": agent.name, "kind": agent.kind}
            parts.append(self._tagged(AGENT, tags, values, at_ns))
        return [*parts, *steering_lines(state, self._layout, at_ns=at_ns)]

    def _tagged(
        self, to: Measurement, tags: Mapping[str, str], values: Mapping[str, float], at_ns: int
    ) -> bytes:
        return line(to.name, {**self._site, **tags}, values, at_ns=at_ns)

    def _loop(self, state: LoopState, agents: Sequence[AgentSeen]) -> dict[str, float]:
        logs = [sink.status() for sink in self._sinks]
        return {
            "mode_code": MODE_CODES[state.mode.mode],
            "readings_fit": float(state.verdict.fit),
            "failing": float(bool(state.failure)),
            "tick_count": state.tick_count,
            "missed_count": state.missed_count,
            "latency_s": state.latency_s,
            "agent_count": len(agents),
            "agent_connected_count": sum(agent.connected for agent in agents),
            "agent_leased_count": sum(agent.lease_held for agent in agents),
            "log_written_count": sum(log.written for log in logs),
            "log_waiting_count": sum(log.waiting for log in logs),
            "log_dropped_count": sum(log.dropped for log in logs),
        }


class _Due:
    """Says when a period has passed; time that runs backwards starts it anew."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._early_s = min(EARLY_MAX_S, 0.1 * period_s)
        self._last_s = self._next_s = float("-inf")

    def take(self, time_s: float) -> bool:
        if self._last_s <= time_s < self._next_s - self._early_s:
            return False
        in_step = self._last_s <= time_s < self._next_s + self._period_s
        self._next_s = (self._next_s if in_step else time_s) + self._period_s
        self._last_s = time_s
        return True


def _minutes(
    to: Measurement, tags: Sequence[Mapping[str, str]]
) -> Callable[[FloatArray, float], bytes]:
    """Return a function that takes rows of several series and gives lines of ``to``."""
    minute = Minute(to.fields, series_count=len(tags))
    series = Series([series_key(to.name, one) for one in tags], to.field_names)

    def add(rows: FloatArray, time_s: float) -> bytes:
        done = minute.add(rows, time_s=time_s)
        return series.lines(done[1], at_ns=time_ns(done[0])) if done else b""

    return add
