"""Turns telemetry, decisions and events into lines of the log, and keeps the meters.

Measurements: ``group``, ``plant``, ``facility``, ``decision``, ``event``; docs/reference/
config-control.md lists their tags and fields. Only valid readings are logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.controller.modes import Mode, ModeState
from coolcap_agent.controller.problems import Problem
from coolcap_agent.sink.base import Sink
from coolcap_agent.sink.line_protocol import Series, line, series_key, time_ns
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.limits import Limits

STEP_FIELDS: Final = (
    "in_force",
    "baseline",
    "policy",
    "shielded",
    "commanded",
    "read_back",
    "reasons",
)
"""Fields of ``decision``; ``reasons`` holds the bits of the shield's ``Reason``."""

_COOLING: Final = ("crah_fan_power_w", "chiller_power_w", "pump_power_w", "tower_fan_power_w")
_RATIOS: Final = ("pue", "wue_l_per_kwh", "cue_kg_per_kwh", "energy_per_work_kwh_per_gpu_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Meters over one stated window of site time, end exclusive."""

    start_time_s: float
    end_time_s: float
    totals: Totals


def cooling_power_w(telemetry: Telemetry) -> float:
    """Return the power of fans, compressors and pumps outside the IT equipment; NaN if unknown."""
    return float(sum(float(telemetry.of_plant(name)) for name in _COOLING))


def power_bound_w(telemetry: Telemetry, layout: Layout) -> float:
    """Return the most the IT equipment can draw under the caps in force."""
    limit_w = telemetry.group("power_limit_w")
    cap_w = np.where(np.isnan(limit_w), layout.power_limit_max_w, limit_w)
    return float(np.sum(layout.gpu_count * cap_w + other_power_w(telemetry, layout)))


class TelemetryLog:
    """Writes lines to sinks at most once per period, and meters at the end of each window.

    Args:
        layout: The site's layout.
        sinks: Where lines go.
        period_s: Least time between two records of telemetry, site time.
        window_s: Length of the windows of meters; windows begin at multiples of it.
    """

    def __init__(
        self, layout: Layout, sinks: Sequence[Sink], *, period_s: float, window_s: float
    ) -> None:
        self._layout = layout
        self._sinks = tuple(sinks)
        self._period_s = period_s
        self._window_s = window_s
        self._site = {"site": layout.name}
        self._last_s = -np.inf
        self._run = WindowMeter()
        self._window = WindowMeter()
        self._start_s: float | None = None
        self._end_s = 0.0
        names = zip(layout.group_names, layout.node_names, layout.rack_names, strict=True)
        tags = [{**self._site, "group": g, "node": n, "rack": r} for g, n, r in names]
        signals = [signal.name for signal in GROUP_SIGNALS]
        self._groups = Series([series_key("group", tag) for tag in tags], [*signals, "age_s"])
        self._plant = Series([series_key("plant", self._site)], [s.name for s in PLANT_SIGNALS])
        self._caps = Series(
            [series_key("decision", {**tag, "lever": "power_cap_w"}) for tag in tags], STEP_FIELDS
        )
        self._levers = Series(
            [
                series_key("decision", {**self._site, "lever": lever.name})
                for lever, present in zip(PLANT_LEVERS, layout.plant_levers, strict=True)
                if present
            ],
            STEP_FIELDS,
        )

    @property
    def run(self) -> Window | None:
        """Return the meters since the start of the controller; None before any telemetry."""
        if self._start_s is None:
            return None
        return Window(start_time_s=self._start_s, end_time_s=self._end_s, totals=self._run.totals)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Return where lines go."""
        return self._sinks

    def telemetry(self, telemetry: Telemetry, limits: Limits) -> None:
        """Meter a snapshot, and log it if one is due."""
        now_s = float(telemetry.time_s)
        self._meter(telemetry, now_s)
        if now_s - self._last_s < self._period_s - 1e-6:
            return
        self._last_s = now_s
        at_ns, age_max_s = time_ns(now_s), limits.telemetry_age_max_s
        groups = np.where(telemetry.groups_valid(age_max_s=age_max_s), telemetry.groups, np.nan)
        ages = telemetry.groups_age_s[:, None]
        plant = np.where(telemetry.plant_valid(age_max_s=age_max_s), telemetry.plant, np.nan)
        self._write(
            self._groups.lines(np.concatenate([groups, ages], axis=1), at_ns=at_ns)
            + self._plant.lines(plant[None], at_ns=at_ns)
            + self._facility(telemetry, limits, at_ns)
        )

    def decision(self, record: DecisionRecord) -> None:
        """Log a decision."""
        at_ns = time_ns(record.time_s)
        asked = record.asked
        nothing = np.full(self._layout.group_count, np.nan)
        caps = np.stack(
            [
                record.in_force.power_cap_w,
                record.baseline.power_cap_w,
                nothing if asked is None else asked.power_cap_w,
                record.shielded.setpoints.power_cap_w,
                record.commanded.power_cap_w,
                record.applied.setpoints.power_cap_w,
                record.shielded.group_reasons.astype(np.float64),
            ],
            axis=1,
        )
        absent = np.full(len(PLANT_LEVERS), np.nan)
        levers = np.stack(
            [
                record.in_force.plant,
                record.baseline.plant,
                absent if asked is None else asked.plant,
                record.shielded.setpoints.plant,
                record.commanded.plant,
                record.applied.setpoints.plant,
                record.shielded.plant_reasons.astype(np.float64),
            ],
            axis=1,
        )[self._layout.plant_levers]
        loop = {"latency_s": record.latency_s, "policy_latency_s": record.policy_latency_s}
        loop["policy_failed"] = float(bool(record.failure))
        tags = {**self._site, "lever": "all", "actor": record.actor}
        self._write(
            self._caps.lines(caps, at_ns=at_ns)
            + self._levers.lines(levers, at_ns=at_ns)
            + line("decision", tags, loop, at_ns=at_ns)
        )

    def mode(self, state: ModeState) -> None:
        """Log that a mode began: 1 for the mode in force, 0 for all others."""
        at_ns = time_ns(state.start_time_s)
        self._write(
            b"".join(
                line(
                    "event",
                    {**self._site, "code": "mode", "subject": mode},
                    {"value": float(mode is state.mode)},
                    at_ns=at_ns,
                )
                for mode in Mode
            )
        )

    def problem(self, problem: Problem, *, began: bool, time_s: float) -> None:
        """Log that a problem began (its severity) or ended (0)."""
        tags = {**self._site, "code": problem.key.code, "subject": problem.key.subject}
        value = float(problem.severity) if began else 0.0
        self._write(line("event", tags, {"value": value}, at_ns=time_ns(time_s)))

    def close(self) -> None:
        """Close all sinks."""
        for sink in self._sinks:
            sink.close()

    def _write(self, body: bytes) -> None:
        for sink in self._sinks:
            sink.write(body)

    def _facility(self, telemetry: Telemetry, limits: Limits, at_ns: int) -> bytes:
        it_w = float(telemetry.of_plant("it_power_w"))
        facility_w = float(telemetry.of_plant("facility_power_w"))
        now = {
            "it_power_w": it_w,
            "cooling_power_w": cooling_power_w(telemetry),
            "facility_power_w": facility_w,
            "facility_to_it_power_ratio": facility_w / it_w if it_w > 0.0 else np.nan,
            "it_power_bound_w": power_bound_w(telemetry, self._layout),
        }
        lines = [line("facility", self._site, now, at_ns=at_ns)]
        limit_w = telemetry.group("power_limit_w")
        cap_w = np.where(np.isnan(limit_w), self._layout.power_limit_max_w, limit_w)
        bounds_w = worst_case_power_w(
            cap_w, other_power_w(telemetry, self._layout), self._layout, limits
        )
        for name, budget_w, bound_w in zip(
            limits.budget_names, limits.budget_w.tolist(), bounds_w.tolist(), strict=True
        ):
            values = {"budget_w": budget_w, "power_bound_w": bound_w}
            lines.append(line("facility", {**self._site, "budget": name}, values, at_ns=at_ns))
        return b"".join(lines)

    def _meter(self, telemetry: Telemetry, now_s: float) -> None:
        if self._start_s is None:
            self._start_s = now_s
        if now_s <= self._end_s:
            return
        self._run.add(telemetry)
        self._window.add(telemetry)
        before_s, self._end_s = self._end_s, now_s
        if before_s and now_s // self._window_s != before_s // self._window_s:
            self._close_window(telemetry, now_s)

    def _close_window(self, telemetry: Telemetry, now_s: float) -> None:
        """Log the meters of the window that ends here, and begin the next one."""
        totals = self._window.totals
        values = {f.name: getattr(totals, f.name) for f in fields(Totals)}
        values["coverage_ratio"] = totals.coverage_ratio
        values |= {name: getattr(totals, name) for name in _RATIOS}
        tags = {**self._site, "window": f"{self._window_s:g}s"}
        self._write(line("facility", tags, values, at_ns=time_ns(now_s)))
        self._window = WindowMeter()
        self._window.add(telemetry)
