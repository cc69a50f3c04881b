"""An hour of the small site, decided by the real loop and written by the real recorder.

In it happens what dashboards and alerts are for: a change from shadow to auto, a budget that is
lowered, an agent that falls silent, readings that are too old (the loop falls back), an inlet that
comes near its limit, lines that are dropped, a switchback over a canary.
"""

from dataclasses import dataclass, field, replace
from math import pi, sin
from typing import Final

import numpy as np

from agent.controller.fake_plant import LoopBench
from coolcap_agent.controller.budgets import BudgetChange
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.switchback import Arm, Plan
from coolcap_agent.controller.wishes import Wishes
from coolcap_agent.sink.base import Sink, SinkStatus
from coolcap_agent.telemetry_log.recorder import AgentSeen, Recorder
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.signals import GROUP_SIGNALS, Aggregation
from coolcap_envs.contract.telemetry import FloatArray
from support.small_site import small_site

START_S: Final = 1_767_571_200.0
"""2026-01-05 00:00 UTC."""
HOUR_S: Final = 3600.0
STEP_S: Final = 10.0
GROUP_COUNT: Final = 4

AUTO_FROM_S: Final = 600.0
BUDGET_FROM_S, BUDGET_TO_S = 1200.0, 1500.0
SILENT_FROM_S, SILENT_TO_S = 1800.0, 2000.0
OLD_FROM_S, OLD_TO_S = 2400.0, 2600.0
HOT_FROM_S, HOT_TO_S = 3000.0, 3300.0
DROPPED_FROM_S = 3400.0


class SwingPolicy:
    """Asks for a little more, then a little less, than the rule."""

    name = "swing"

    def __init__(self) -> None:
        self._count = 0

    def act(self, observation: Observation) -> Action:
        """Return an action that swings around neutral."""
        self._count += 1
        neutral = Action.neutral(*observation.groups.shape[:-1])
        ask = 0.5 * sin(self._count / 7.0)
        return Action(groups=neutral.groups + ask, plant=neutral.plant - ask)


@dataclass(slots=True)
class CountingSink:
    """Passes lines on, counts them, and claims drops from ``DROPPED_FROM_S`` on."""

    to: Sink
    lines: list[bytes] = field(default_factory=list)
    dropped: int = 0

    def write(self, body: bytes) -> None:
        """Keep and pass on."""
        self.lines += body.splitlines()
        self.to.write(body)

    def status(self) -> SinkStatus:
        """Return the other's status with the drops this one claims."""
        return replace(self.to.status(), written=len(self.lines), dropped=self.dropped)

    def close(self) -> None:
        """Close the other."""
        self.to.close()


@dataclass(slots=True)
class _Counters:
    it_kwh: float = 100.0
    cooling_kwh: float = 20.0
    facility_kwh: float = 130.0
    water_l: float = 50.0
    group_kwh: FloatArray = field(default_factory=lambda: np.full(GROUP_COUNT, 25.0))
    work_gpu_h: FloatArray = field(default_factory=lambda: np.full(GROUP_COUNT, 40.0))


def log_hour(sink: Sink, *, start_s: float = START_S, duration_s: float = HOUR_S) -> CountingSink:
    """Let the site run from ``start_s`` and log it; returns the sink with every line written."""
    counting = CountingSink(sink)
    bench = LoopBench(SwingPolicy(), mode=Mode.SHADOW)
    recorder = Recorder(bench.plant.layout, [counting])
    counters = _Counters()
    active: set[str] = set()
    mode = bench.loop.state.mode

    def event(code: str, subject: str, *, now: bool, at_s: float, message: str) -> None:
        if now != (code in active):
            (active.add if now else active.remove)(code)
            recorder.event(time_s=at_s, code=code, subject=subject, active=now, message=message)

    for step in range(int(duration_s / STEP_S) + 1):
        elapsed_s = step * STEP_S
        at_s = start_s + elapsed_s
        _set_readings(bench, counters, elapsed_s)
        bench.plant.time_s = at_s
        if elapsed_s == AUTO_FROM_S:
            bench.loop.ask_mode(Mode.AUTO, reason="shown to work in shadow", reset_trip=False)
        if elapsed_s == BUDGET_FROM_S:
            change = BudgetChange(
                budget_w=1500.0,
                start_time_s=at_s,
                end_time_s=start_s + BUDGET_TO_S,
                reason="demand response",
            )
            bench.budgets.set("site", change, other_w=np.full(GROUP_COUNT, 40.0))
        if elapsed_s == DROPPED_FROM_S:
            plan = Plan(start_time_s=at_s, block_s=600.0, washout_s=60.0, pair_count=2, seed=4)
            assert plan.arms(0)[0] is Arm.POLICY, "a canary is seen in the policy's block only"
            bench.loop.wish(Wishes(canary_ratio=0.5, switchback=plan))
        if elapsed_s >= DROPPED_FROM_S:
            counting.dropped += 5
        silent = SILENT_FROM_S <= elapsed_s < SILENT_TO_S
        old = OLD_FROM_S <= elapsed_s < OLD_TO_S
        event("agent_lost", "node-2", now=silent, at_s=at_s, message='no "telemetry", restart it')
        event("telemetry_stale", "loop", now=old, at_s=at_s, message="readings are too old")
        if step % 3 == 0:
            bench.loop.policy_tick()
        else:
            bench.loop.fast_tick()
        for record in bench.records:
            recorder.decision(record)
        bench.records.clear()
        if bench.loop.state.mode is not mode:
            mode = bench.loop.state.mode
            recorder.event(
                time_s=at_s, code="mode", subject=mode.mode, active=True, message=mode.reason
            )
        recorder.record(
            bench.loop.state, _agents(silent=silent), gpus=lambda: _gpus(bench.loop.state)
        )
    return counting


def _gpus(state: LoopState) -> FloatArray:
    """Return each GPU's share of its group."""
    layout, _ = small_site()
    share = np.array([s.aggregation is Aggregation.SUM for s in GROUP_SIGNALS])
    count = np.repeat(layout.gpu_count, layout.gpu_count)
    of_group = np.repeat(state.telemetry.groups, layout.gpu_count, axis=0)
    return np.where(share, of_group / count[:, None], of_group)


def _agents(*, silent: bool) -> list[AgentSeen]:
    return [
        AgentSeen(name="node-1", kind="node", connected=True, lease_held=True, age_s=1.0),
        AgentSeen(
            name="node-2",
            kind="node",
            connected=not silent,
            lease_held=not silent,
            age_s=200.0 if silent else 1.0,
        ),
        AgentSeen(name="plant-1", kind="plant", connected=True, lease_held=True, age_s=2.0),
    ]


def _set_readings(bench: LoopBench, counters: _Counters, elapsed_s: float) -> None:
    plant = bench.plant
    swing = sin(2.0 * pi * elapsed_s / 1800.0)
    demand = np.array([1.0, 0.9, 0.7, 0.5]) * (1.0 + 0.1 * swing)
    gpu_w = np.minimum(plant.cap_w, 480.0 * demand)
    group_w = gpu_w + 80.0
    it_w = float(group_w.sum())
    cooling_w = {
        "crah_fan_power_w": 60.0,
        "chiller_power_w": 0.12 * it_w,
        "pump_power_w": 40.0,
        "tower_fan_power_w": 20.0 + 5.0 * swing,
    }
    loss_w = 0.05 * it_w
    facility_w = it_w + sum(cooling_w.values()) + loss_w
    hours = STEP_S / 3600.0
    counters.it_kwh += it_w / 1000.0 * hours
    counters.cooling_kwh += sum(cooling_w.values()) / 1000.0 * hours
    counters.facility_kwh += facility_w / 1000.0 * hours
    counters.water_l += 1.1 * it_w / 1000.0 * hours
    counters.group_kwh = counters.group_kwh + group_w / 1000.0 * hours
    counters.work_gpu_h = counters.work_gpu_h + gpu_w / 480.0 * hours
    hot = HOT_FROM_S <= elapsed_s < HOT_TO_S
    inlet_c = 26.8 if hot else 22.5 + 0.5 * swing
    plant.age_s = 200.0 if OLD_FROM_S <= elapsed_s < OLD_TO_S else 1.0
    plant.group = {
        "gpu_power_w": gpu_w,
        "it_power_w": group_w,
        "gpu_temp_c": 30.0 + gpu_w / 14.0,
        "hbm_temp_c": 35.0 + gpu_w / 13.0,
        "inlet_temp_c": inlet_c - np.array([0.0, 0.2, 0.4, 0.8]),
        "gpu_util_ratio": demand / 1.1,
        "sm_clock_mhz": 1200.0 + 1.5 * gpu_w,
        "work_rate_ratio": gpu_w / 480.0,
        "training_ratio": np.array([1.0, 1.0, 0.0, 0.0]),
        "decode_ratio": np.array([0.0, 0.0, 1.0, 1.0]),
        "latency_ratio": np.array([0.0, 0.0, 0.6, 0.8]),
        "it_energy_kwh": counters.group_kwh,
        "work_gpu_h": counters.work_gpu_h,
    }
    plant.plant = {
        **cooling_w,
        "loss_power_w": loss_w,
        "it_power_w": it_w,
        "facility_power_w": facility_w,
        "inlet_temp_max_c": inlet_c,
        "supply_air_temp_c": inlet_c - 2.0,
        "return_air_temp_c": inlet_c + 10.0,
        "outdoor_temp_c": 18.0 + 4.0 * swing,
        "wet_bulb_temp_c": 13.0 + 2.0 * swing,
        # Coolant the building runs by itself: measured, but not for the loop to command.
        "cdu_supply_temp_setpoint_c": 30.0,
        "cdu_flow_setpoint_ratio": 0.7,
        "cdu_supply_temp_c": 30.2,
        "cdu_return_temp_c": 38.0 + swing,
        "cdu_flow_ratio": 0.69,
        "it_energy_kwh": counters.it_kwh,
        "cooling_energy_kwh": counters.cooling_kwh,
        "facility_energy_kwh": counters.facility_kwh,
        "makeup_water_l": counters.water_l,
        "price_usd_per_kwh": 0.10 + 0.02 * swing,
        "grid_carbon_g_per_kwh": 350.0 + 30.0 * swing,
    }
