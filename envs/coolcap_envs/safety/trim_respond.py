"""Trim and respond: the feedback rule for caps and cooling that always runs.

It is the baseline a policy corrects, the fallback it hands back to, and needs no plant model.
Each lever is *trimmed* a little towards saving at a fixed period until devices *request* more
cooling or power, then *responds* by a larger step. Source: ASHRAE Guideline 36-2021, 5.1.14
(trim & respond logic), with rack inlets as the source of requests. The tuning is frozen and
published here; change it only with a new baseline name.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from coolcap_envs.contract.columns import Columns
from coolcap_envs.contract.elementwise import (
    Numbers,
    Row,
    Truth,
    clip,
    filled,
    floor,
    is_nan,
    lower_of,
    where,
)
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, Telemetry
from coolcap_envs.safety.limits import Limits

_CHW = PLANT_LEVER_COLUMN["chw_supply_temp_setpoint_c"]


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
    cdu_margin_k: float = 10.0
    """GPU temperature margin below which coolant is made colder (ours)."""
    cdu_delta_k: float = 14.0
    """Coolant temperature rise above which flow is raised: 1.1 L/min per kW of 25 % propylene
    glycol, between the 1.5 of full flow (10 K) and the 0.8 that racks need (19 K) (ours)."""
    cap_trim_ratio: float = 0.005
    cap_respond_ratio: float = 0.02
    cap_respond_serving_ratio: float = 0.2
    """For groups with a latency target: a queue must not grow over several decisions (ours)."""
    cap_trim_idle_ratio: float = 0.001
    """For groups with a latency target while the cap does not bind: follows demand down (ours)."""
    work_loss_max_ratio: float = 0.05
    """A cap is trimmed until it costs this share of the pace at the highest clock (ours)."""
    busy_ratio: float = 0.5
    """GPU utilisation above which a group is at work (ours)."""
    latency_max_ratio: float = 0.8
    """Latency over target above which a cap is released (ours)."""
    pinned_ratio: float = 0.9
    """Power over limit above which the cap, not the demand, sets the pace (ours). The hungriest of
    eight GPUs, for which the others wait, is at its cap while their mean is 5 % below it."""


PUBLISHED: Final = Tuning()


def is_due(time_s: Numbers, period_s: Numbers, dt_s: float) -> Truth:
    """Return whether a boundary of a period was crossed within the last ``dt_s`` seconds."""
    return floor(time_s / period_s) != floor((time_s - dt_s) / period_s)


def next_cap_w(cap_w: Numbers, row: Row, low_w: Numbers, top_w: Numbers, tuning: Row) -> Numbers:
    """Return a group's next cap: trimmed while it does no harm, released when it does.

    Groups that serve requests are trimmed more slowly while the cap does not bind, so that it
    follows demand down over hours but keeps headroom for the next burst. Others are trimmed while
    they are busy, until the cap binds, and keep it in pauses, which are short.

    Args:
        cap_w: The rule's cap.
        row: Readings of the group, by name.
        low_w: Lowest cap.
        top_w: Highest cap.
        tuning: Numbers of :class:`Tuning`.
    """
    t = tuning
    is_pinned = row.gpu_power_w > t.pinned_ratio * row.power_limit_w
    serves = row.prefill_ratio + row.decode_ratio > 0.5
    is_slow = row.work_rate_ratio < 1.0 - t.work_loss_max_ratio
    is_late = row.latency_ratio > t.latency_max_ratio
    is_harmed = is_pinned & where(serves, is_late, is_slow)
    is_busy = row.gpu_util_ratio > t.busy_ratio
    idle_trim = where(serves, t.cap_trim_idle_ratio, where(is_busy, t.cap_trim_ratio, 0.0))
    trim = -where(is_pinned, t.cap_trim_ratio, idle_trim)
    respond = where(serves, t.cap_respond_serving_ratio, t.cap_respond_ratio)
    step = where(is_harmed, respond, trim)
    return clip(where(is_nan(row.gpu_power_w), cap_w, cap_w + step * top_w), low_w, top_w)


def cooling_requests(
    inlet_temp_c: Numbers, hottest_c: Numbers, limit_c: Numbers, tuning: Row
) -> Numbers:
    """Return how many requests for cooler air a group makes, 0 to 3.

    Args:
        inlet_temp_c: Its inlet; NaN takes the hottest of the hall.
        hottest_c: That one.
        limit_c: Limit of inlets.
        tuning: Numbers of :class:`Tuning`.
    """
    over_k = filled(inlet_temp_c, hottest_c) - (limit_c - tuning.inlet_target_below_max_k)
    return (
        where(over_k > -0.5, 1.0, 0.0)
        + where(over_k > 0.5, 1.0, 0.0)
        + where(over_k > 1.5, 1.0, 0.0)
    )


def move_levers(
    levers: Row,
    row: Row,
    time_s: Numbers,
    requests: Numbers,
    hottest_gpu_c: Numbers,
    limits: Row,
    tuning: Row,
    dt_s: float,
) -> None:
    """Move the rule's setpoints of the plant, not yet held to their ranges.

    Args:
        levers: The setpoints, by name of the lever; changed in place.
        row: Readings of the plant, by name.
        time_s: Instant of the readings.
        requests: Sum of :func:`cooling_requests`.
        hottest_gpu_c: Hottest GPU of the hall; NaN if none is known.
        limits: ``gpu_temp_max_c`` and ``chw_span_k``, the width of the range of chilled water.
        tuning: Numbers of :class:`Tuning`.
        dt_s: Time since the last move.
    """
    t = tuning
    is_due_air = is_due(time_s, t.air_period_s, dt_s)
    excess = requests - t.ignored_requests
    answer_k = lower_of(t.air_respond_k * excess, t.air_respond_max_k)
    supply_k = where(excess > 0.0, -answer_k, t.air_trim_k)
    levers.supply_air_temp_setpoint_c += where(is_due_air, supply_k, 0.0)
    rise_k = row.inlet_temp_max_c - row.supply_air_temp_c
    flow = where(rise_k > t.rise_max_k, t.flow_respond_ratio, -t.flow_trim_ratio)
    levers.air_flow_setpoint_ratio += where(is_due_air, flow, 0.0)

    over_k = row.supply_air_temp_c - row.supply_air_temp_setpoint_c
    calls = (
        where(over_k > 0.5, 1.0, 0.0)
        + where(over_k > 1.0, 1.0, 0.0)
        + where(over_k > 2.0, 1.0, 0.0)
    )
    answer = lower_of(t.chw_respond_ratio * calls, t.chw_respond_max_ratio)
    chw_k = where(calls > 0.0, -answer, t.chw_trim_ratio) * limits.chw_span_k
    chw_k = where(is_due(time_s, t.chw_period_s, dt_s), filled(chw_k, 0.0), 0.0)
    levers.chw_supply_temp_setpoint_c += chw_k
    tower_c = row.wet_bulb_temp_c + t.tower_approach_k
    levers.cw_supply_temp_setpoint_c = filled(tower_c, levers.cw_supply_temp_setpoint_c)

    margin_k = limits.gpu_temp_max_c - hottest_gpu_c
    coolant_k = where(margin_k < t.cdu_margin_k, -t.air_respond_max_k, t.air_trim_k)
    coolant_k = where(is_due_air & (margin_k == margin_k), coolant_k, 0.0)  # not where it is NaN
    levers.cdu_supply_temp_setpoint_c += coolant_k
    delta_k = row.cdu_return_temp_c - row.cdu_supply_temp_c
    coolant = where(delta_k > t.cdu_delta_k, t.flow_respond_ratio, -t.flow_trim_ratio)
    levers.cdu_flow_setpoint_ratio += where(is_due_air, coolant, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeverLimits:
    """What :func:`move_levers` needs of the limits."""

    gpu_temp_max_c: float
    chw_span_k: float


class TrimRespond:
    """The rule with its state: the values it holds for every lever.

    Args:
        layout: The site's layout.
        limits: The site's limits.
        tuning: Frozen published tuning unless a study says otherwise; its numbers may be arrays
            of shape ``batch``, a tuning for each member.
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
        self._plant_tuning = tuning
        wide: dict[str, Any] = {
            name: np.asarray(value)[..., None]
            for name, value in asdict(tuning).items()
            if np.ndim(value)
        }
        self._group_tuning = replace(tuning, **wide)
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
        limits, groups = self._limits, Columns(telemetry.groups, GROUP_COLUMN)
        self._cap_w = next_cap_w(
            cap_w=self._cap_w,
            row=groups,
            low_w=limits.power_cap_min_w,
            top_w=limits.power_cap_max_w,
            tuning=self._group_tuning,
        )
        requests = cooling_requests(
            inlet_temp_c=groups.inlet_temp_c,
            hottest_c=telemetry.of_plant("inlet_temp_max_c")[..., None],
            limit_c=limits.inlet_temp_max_c,
            tuning=self._group_tuning,
        )
        move_levers(
            levers=Columns(self._plant, PLANT_LEVER_COLUMN),
            row=Columns(telemetry.plant, PLANT_COLUMN),
            time_s=telemetry.time_s,
            requests=requests.sum(axis=-1),
            hottest_gpu_c=np.fmax.reduce(groups.gpu_temp_c, axis=-1),
            limits=_LeverLimits(
                gpu_temp_max_c=limits.gpu_temp_max_c,
                chw_span_k=float(limits.lever_high[_CHW] - limits.lever_low[_CHW]),
            ),
            tuning=self._plant_tuning,
            dt_s=dt_s,
        )
        self._plant = np.clip(self._plant, self._limits.lever_low, self._limits.lever_high)
        return Setpoints(
            power_cap_w=self._cap_w.copy(),
            sm_clock_max_mhz=np.full_like(self._cap_w, np.nan),
            plant=self._plant.copy(),
        )
