"""Trim and respond: the feedback rule for caps and cooling that always runs.

It is the baseline a policy corrects, the fallback it hands back to, and needs no plant model.
Each lever is *trimmed* a little towards saving at a fixed period until devices *request* more
cooling or power, then *responds* by a larger step. Source: ASHRAE Guideline 36-2021, 5.1.14
(trim & respond logic), with rack inlets as the source of requests. The tuning is frozen and
published here; change it only with a new baseline name.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

_SUPPLY = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
_CHW = PLANT_LEVER_COLUMN["chw_supply_temp_setpoint_c"]
_CW = PLANT_LEVER_COLUMN["cw_supply_temp_setpoint_c"]
_FLOW = PLANT_LEVER_COLUMN["air_flow_setpoint_ratio"]
_CDU = PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"]
_CDU_FLOW = PLANT_LEVER_COLUMN["cdu_flow_setpoint_ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Periods, steps and thresholds. Values without a remark are Guideline 36 defaults."""

    air_period_s: float = 120.0
    air_trim_k: float = 0.1
    air_respond_k: float = 0.2
    air_respond_max_k: float = 0.6
    ignored_requests: float = 2.0
    inlet_target_below_max_k: float = 2.0
    """Requests start this far below the inlet limit: 25 °C where 27 °C is allowed (ours)."""
    chw_period_s: float = 900.0
    chw_trim_ratio: float = 0.02
    chw_respond_ratio: float = 0.03
    chw_respond_max_ratio: float = 0.07
    flow_trim_ratio: float = 0.01
    flow_respond_ratio: float = 0.03
    rise_max_k: float = 2.5
    """Supply to hottest inlet; more means recirculation, answered with air flow (ours)."""
    tower_approach_k: float = 4.0
    """Design approach of a typical tower (York generic: 3.9 K, LBNL Buildings library)."""
    cdu_margin_k: float = 15.0
    """GPU temperature margin below which coolant is made colder (ours)."""
    cdu_delta_k: float = 10.0
    """Coolant temperature rise at 1.5 L/min per kW, 25 % propylene glycol."""
    cap_trim_ratio: float = 0.005
    cap_respond_ratio: float = 0.02
    cap_respond_serving_ratio: float = 0.2
    """For groups with a latency target: a queue must not grow over several decisions (ours)."""
    cap_trim_idle_ratio: float = 0.001
    """For groups with a latency target while the cap does not bind: follows demand down (ours)."""
    work_loss_max_ratio: float = 0.02
    """A cap is trimmed until it costs this share of the throughput (ours)."""
    latency_max_ratio: float = 0.8
    """Latency over target above which a cap is released (ours)."""
    pinned_ratio: float = 0.9
    """Power over limit above which the cap, not the demand, sets the pace (ours). The hungriest of
    eight GPUs, for which the others wait, is at its cap while their mean is 5 % below it."""


PUBLISHED: Final = Tuning()


class TrimRespond:
    """The rule with its state: the values it holds for every lever.

    Args:
        layout: The site's layout.
        limits: The site's limits.
        tuning: Frozen published tuning unless a study says otherwise.
        batch: Leading batch shape of the telemetry it will see.
    """

    def __init__(
        self,
        layout: Layout,
        limits: Limits,
        *,
        tuning: Tuning = PUBLISHED,
        batch: tuple[int, ...] = (),
    ) -> None:
        self._layout = layout
        self._limits = limits
        self._tuning = tuning
        groups = (*batch, layout.group_count)
        self._cap_w = np.broadcast_to(layout.power_limit_default_w, groups).copy()
        self._plant = np.broadcast_to(
            limits.lever_default, (*batch, limits.lever_default.size)
        ).copy()

    def track(self, in_force: Setpoints, *, where: BoolArray | None = None) -> None:
        """Continue from the values in force (bumpless); ``where`` picks batch members."""
        cap_w = np.where(np.isnan(in_force.power_cap_w), self._cap_w, in_force.power_cap_w)
        plant = np.where(np.isnan(in_force.plant), self._plant, in_force.plant)
        chosen = np.asarray(True if where is None else where)[..., None]
        self._cap_w = np.where(chosen, cap_w, self._cap_w)
        self._plant = np.where(chosen, plant, self._plant)

    def update(self, telemetry: Telemetry, *, dt_s: float) -> Setpoints:
        """Advance by one control period and return the rule's setpoints."""
        self._update_caps(telemetry)
        self._update_air(telemetry, dt_s=dt_s)
        self._update_water(telemetry, dt_s=dt_s)
        self._update_coolant(telemetry, dt_s=dt_s)
        self._plant = np.clip(self._plant, self._limits.lever_low, self._limits.lever_high)
        return Setpoints(
            power_cap_w=self._cap_w.copy(),
            sm_clock_max_mhz=np.full_like(self._cap_w, np.nan),
            plant=self._plant.copy(),
        )

    def _update_caps(self, telemetry: Telemetry) -> None:
        """Trim each cap while it binds without harm; respond when it costs work or latency.

        Groups that serve requests are trimmed more slowly while the cap does not bind, so that it
        follows demand down over hours but keeps headroom for the next burst. Others keep their cap
        then, for their pauses are short.
        """
        t, top_w = self._tuning, self._limits.power_cap_max_w
        power_w = telemetry.group("gpu_power_w")
        pinned = power_w > t.pinned_ratio * telemetry.group("power_limit_w")
        serves = telemetry.group("prefill_ratio") + telemetry.group("decode_ratio") > 0.5
        slow = telemetry.group("work_rate_ratio") < 1.0 - t.work_loss_max_ratio
        late = telemetry.group("latency_ratio") > t.latency_max_ratio
        harmed = pinned & np.where(serves, late, slow)
        step_ratio = np.where(
            pinned, -t.cap_trim_ratio, np.where(serves, -t.cap_trim_idle_ratio, 0.0)
        )
        respond_ratio = np.where(serves, t.cap_respond_serving_ratio, t.cap_respond_ratio)
        step_ratio = np.where(harmed, respond_ratio, step_ratio)
        moved = np.where(np.isnan(power_w), self._cap_w, self._cap_w + step_ratio * top_w)
        self._cap_w = np.clip(moved, self._limits.power_cap_min_w, top_w)

    def _due(self, telemetry: Telemetry, *, period_s: float, dt_s: float) -> BoolArray:
        """Return whether a period boundary was crossed since the last update."""
        now = np.floor(telemetry.time_s / period_s)
        return np.asarray(now != np.floor((telemetry.time_s - dt_s) / period_s))

    def _move(self, column: int, delta: FloatArray, due: BoolArray) -> None:
        self._plant[..., column] += np.where(due, np.nan_to_num(delta), 0.0)

    def _update_air(self, telemetry: Telemetry, *, dt_s: float) -> None:
        t = self._tuning
        inlet_c = np.where(
            np.isnan(telemetry.group("inlet_temp_c")),
            telemetry.of_plant("inlet_temp_max_c")[..., None],
            telemetry.group("inlet_temp_c"),
        )
        over_k = inlet_c - (self._limits.inlet_temp_max_c - t.inlet_target_below_max_k)
        requests = ((over_k > -0.5).astype(np.int64) + (over_k > 0.5) + (over_k > 1.5)).sum(axis=-1)
        excess = requests - t.ignored_requests
        step_k = np.where(
            excess > 0, -np.minimum(t.air_respond_k * excess, t.air_respond_max_k), t.air_trim_k
        )
        due = self._due(telemetry, period_s=t.air_period_s, dt_s=dt_s)
        self._move(_SUPPLY, step_k, due)
        rise_k = telemetry.of_plant("inlet_temp_max_c") - telemetry.of_plant("supply_air_temp_c")
        step = np.where(rise_k > t.rise_max_k, t.flow_respond_ratio, -t.flow_trim_ratio)
        self._move(_FLOW, step, due)

    def _update_water(self, telemetry: Telemetry, *, dt_s: float) -> None:
        t = self._tuning
        supply_c = telemetry.of_plant("supply_air_temp_c")
        over_k = supply_c - telemetry.of_plant("supply_air_temp_setpoint_c")
        requests = (over_k > 0.5).astype(np.int64) + (over_k > 1.0) + (over_k > 2.0)
        span_k = self._limits.lever_high[_CHW] - self._limits.lever_low[_CHW]
        answer = np.minimum(t.chw_respond_ratio * requests, t.chw_respond_max_ratio)
        step_k = np.where(requests > 0, -answer, t.chw_trim_ratio) * span_k
        due = self._due(telemetry, period_s=t.chw_period_s, dt_s=dt_s)
        self._move(_CHW, step_k, due)
        tower_c = telemetry.of_plant("wet_bulb_temp_c") + t.tower_approach_k
        self._plant[..., _CW] = np.where(np.isnan(tower_c), self._plant[..., _CW], tower_c)

    def _update_coolant(self, telemetry: Telemetry, *, dt_s: float) -> None:
        t = self._tuning
        hottest_c = np.fmax.reduce(telemetry.group("gpu_temp_c"), axis=-1)
        margin_k = self._limits.gpu_temp_max_c - hottest_c
        due = self._due(telemetry, period_s=t.air_period_s, dt_s=dt_s)
        step_k = np.where(margin_k < t.cdu_margin_k, -t.air_respond_max_k, t.air_trim_k)
        step_k = np.where(np.isnan(margin_k), 0.0, step_k)
        self._move(_CDU, step_k, due)
        delta_k = telemetry.of_plant("cdu_return_temp_c") - telemetry.of_plant("cdu_supply_temp_c")
        step = np.where(delta_k > t.cdu_delta_k, t.flow_respond_ratio, -t.flow_trim_ratio)
        self._move(_CDU_FLOW, step, due)
