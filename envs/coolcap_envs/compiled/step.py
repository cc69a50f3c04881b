"""One control step of a tile of plants, from what is asked to what a learner sees.

The order is that of production: decode around the rule, shield, apply, let time pass, read, move
the rule, encode; then the reward. ``Episodes`` calls the same functions one after the other on
arrays where a step cannot be compiled, and a test holds both to the same results.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.compiled import shared
from coolcap_envs.compiled.budgets import meet_budgets
from coolcap_envs.compiled.control import Control
from coolcap_envs.contract.action import (
    CAP_RESIDUAL_RATIO,
    PLANT_RESIDUAL_RATIO,
    moved_setpoint,
)
from coolcap_envs.contract.elementwise import (
    flagged,
    higher_of,
    in_range,
    is_nan,
    lower_of,
    negated,
)
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    GROUP_HIGH,
    GROUP_LOW,
    HOUR_ANGLE_PER_S,
    PLANT_FEATURES,
    PLANT_HIGH,
    PLANT_LOW,
    hold_features,
    write_group_features,
    write_plant_features,
)
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.hall import advance_tile
from coolcap_envs.physics.jit import kernel, law
from coolcap_envs.physics.lanes import LANES, lanes_of, where
from coolcap_envs.physics.records import Record
from coolcap_envs.physics.sensors import read_tile
from coolcap_envs.reward import excess as excess_of
from coolcap_envs.reward import (
    group_reward,
    heat_cost,
    latency_cost,
    moved_ratio,
    site_rewards,
)
from coolcap_envs.safety.budget import group_other_power_w
from coolcap_envs.safety.coolant import COOLANT, coolant_lever
from coolcap_envs.safety.shield import (
    CDU,
    CW,
    DEW_POINT_BIT,
    DEW_POINT_MARGIN_K,
    GPU_TEMP_BIT,
    GPU_TEMP_HOLD_K,
    NEEDED_BY_CAPS,
    SUPPLY,
    TOWER_APPROACH_MIN_K,
    WET_BULB_BIT,
    cap_below_limits_w,
    cap_within_budget_w,
    safe_lever,
    supply_air_most_c,
)
from coolcap_envs.safety.trim_respond import cooling_requests, move_levers, next_cap_w

__all__ = ["Asked", "Outputs", "run_steps", "shared"]

_LEVERS: Final = len(PLANT_LEVERS)
_GROUP_FEATURES: Final = len(GROUP_FEATURES)
_PLANT_FEATURES: Final = len(PLANT_FEATURES)
_GROUP_SIGNAL_LOW: Final = np.array([s.low for s in GROUP_SIGNALS])
_GROUP_SIGNAL_HIGH: Final = np.array([s.high for s in GROUP_SIGNALS])
_PLANT_SIGNAL_LOW: Final = np.array([s.low for s in PLANT_SIGNALS])
_PLANT_SIGNAL_HIGH: Final = np.array([s.high for s in PLANT_SIGNALS])
_GPU_TEMP: Final = GROUP_COLUMN["gpu_temp_c"]
_INLET: Final = PLANT_COLUMN["inlet_temp_max_c"]
_SUPPLY_AIR: Final = PLANT_COLUMN["supply_air_temp_c"]
_WET_BULB: Final = PLANT_COLUMN["wet_bulb_temp_c"]
_DEW_POINT: Final = PLANT_COLUMN["dew_point_c"]
_NEEDED: Final = tuple(GROUP_COLUMN[name] for name in NEEDED_BY_CAPS)


class Outputs(NamedTuple):
    """What a step gives beside the tables of ``Control``; a row per plant.

    Attributes:
        groups: Observation, float32, ``[B, N, F]``.
        plant: Observation, float32, ``[B, P]``.
        group_rewards: ``[B, N]``.
    """

    groups: NDArray[np.float32]
    plant: NDArray[np.float32]
    group_rewards: FloatArray


class Asked(NamedTuple):
    """What is asked for one step; a row per plant.

    Attributes:
        groups: Actions on caps, or caps in W, ``[B, N]``.
        plant: Actions on levers, or setpoints, ``[B, K]``.
        demand: Blocks of demand, ``[B, steps, N]``.
        classes: Class of work to it, ``[B, steps, N]``.
        at: Place of now in the block, ``[B]``.
    """

    groups: FloatArray
    plant: FloatArray
    demand: FloatArray
    classes: NDArray[np.int8]
    at: NDArray[np.int64]


@law
def take_asked(batch: Batch, control: Control, t: int, asked: Asked) -> None:
    """Put what is asked of the plants of tile ``t``, and their demand, into lanes."""
    last = batch.size - 1
    for n in range(batch.groups.shape[1]):
        action, inputs = control.groups[t, n].action, batch.group_inputs[t, n]
        for k in range(LANES):
            b = min(t * LANES + k, last)
            action[k] = asked.groups[b, n]
            inputs.demand_ratio[k] = asked.demand[b, asked.at[b], n]
            inputs.work_class[k] = asked.classes[b, asked.at[b], n]
    for k in range(LANES):
        b = min(t * LANES + k, last)
        for lever in range(_LEVERS):
            control.action_values[t, lever, k] = asked.plant[b, lever]


@law
def decide_caps(batch: Batch, control: Control, t: int, is_action: bool) -> None:
    """Decode, shield and command the caps of tile ``t``."""
    site = control.limits[0]
    for n in range(batch.groups.shape[1]):
        c, row = lanes_of(control.groups[t, n]), lanes_of(control.group_readings[t, n])
        limit, now_w = control.group_limits[n], lanes_of(batch.group_inputs[t, n]).power_cap_w
        asked_w = c.action
        if is_action:
            asked_w = moved_setpoint(
                action=c.action,
                baseline=c.baseline_cap_w,
                low=limit.power_cap_min_w,
                high=limit.power_cap_max_w,
                residual_ratio=CAP_RESIDUAL_RATIO,
            )
        is_known = row.gpu_power_w == row.gpu_power_w
        for column in _NEEDED:
            is_known = is_known & in_range(
                row[column], _GROUP_SIGNAL_LOW[column], _GROUP_SIGNAL_HIGH[column]
            )
        c.asked_cap_w = asked_w
        c.cap_w, c.reasons = cap_below_limits_w(
            asked_w=asked_w,
            now_w=now_w,
            low_w=limit.power_cap_min_w,
            high_w=limit.power_cap_max_w,
            rise_w=limit.rise_w,
            gpu_margin_k=lower_of(
                site.gpu_temp_max_c - row.gpu_temp_c, site.hbm_temp_max_c - row.hbm_temp_c
            ),
            over_k=row.inlet_temp_c - site.inlet_temp_max_c,
            is_known=is_known,
        )
        c.top_w = c.cap_w  # kept over the allocator
        c.other_w = group_other_power_w(
            gpu_power_w=row.gpu_power_w,
            it_power_w=row.it_power_w,
            gpu_count=limit.gpu_count,
            power_limit_max_w=limit.power_limit_max_w,
        )
        c.before_w = c.cap_w
        c.is_short = 0.0 * now_w
    meet_budgets(control=control, t=t)
    shielded = 0.0 * lanes_of(control.plant[t]).work_value
    for n in range(batch.groups.shape[1]):
        c = lanes_of(control.groups[t, n])
        c.cap_w, c.reasons = cap_within_budget_w(
            cap_w=c.before_w, reasons=c.reasons, allocated_w=c.cap_w, is_short=c.is_short != 0.0
        )
        lanes_of(batch.group_inputs[t, n]).power_cap_w = c.cap_w
        shielded += where(c.reasons != np.uint64(0), 1.0, 0.0)
    lanes_of(control.plant[t]).shielded_count = shielded


@law
def coolest_needed_k(batch: Batch, control: Control, t: int) -> float:
    """Return the distance of the hottest GPU or memory to its limit; 0 where none is known.

    As :func:`coolcap_envs.safety.coolant.hottest_margin_k`.
    """
    site = control.limits[0]
    least_k = 0.0 * lanes_of(control.plant[t]).work_value + np.inf
    for n in range(batch.groups.shape[1]):
        row = lanes_of(control.group_readings[t, n])
        margin_k = lower_of(
            site.gpu_temp_max_c - row.gpu_temp_c, site.hbm_temp_max_c - row.hbm_temp_c
        )
        is_known = in_range(
            row.gpu_temp_c, _GROUP_SIGNAL_LOW[_GPU_TEMP], _GROUP_SIGNAL_HIGH[_GPU_TEMP]
        )
        least_k = lower_of(least_k, where(is_known, margin_k, np.inf))
    margin: float = where(least_k < np.inf, least_k, 0.0)
    return margin


@law
def decide_levers(batch: Batch, control: Control, t: int, is_action: bool) -> None:
    """Decode, shield and command the levers of tile ``t``."""
    site, row = control.limits[0], lanes_of(control.plant_readings[t])
    action, baseline = lanes_of(control.action[t]), lanes_of(control.baseline[t])
    asked, allowed = lanes_of(control.asked[t]), lanes_of(control.allowed[t])
    reasons, plant = lanes_of(control.lever_reasons[t]), lanes_of(control.plant[t])
    is_seen = in_range(
        row.inlet_temp_max_c, _PLANT_SIGNAL_LOW[_INLET], _PLANT_SIGNAL_HIGH[_INLET]
    ) & in_range(
        row.supply_air_temp_c, _PLANT_SIGNAL_LOW[_SUPPLY_AIR], _PLANT_SIGNAL_HIGH[_SUPPLY_AIR]
    )
    has_wet_bulb = in_range(
        row.wet_bulb_temp_c, _PLANT_SIGNAL_LOW[_WET_BULB], _PLANT_SIGNAL_HIGH[_WET_BULB]
    )
    has_dew_point = in_range(
        row.dew_point_c, _PLANT_SIGNAL_LOW[_DEW_POINT], _PLANT_SIGNAL_HIGH[_DEW_POINT]
    )
    absent = 0.0 * plant.work_value + np.nan
    always = plant.work_value == plant.work_value
    supply_most_c = supply_air_most_c(
        inlet_temp_max_c=site.inlet_temp_max_c,
        inlet_c=row.inlet_temp_max_c,
        supply_c=row.supply_air_temp_c,
        low_c=site.lever_low[SUPPLY],
    )
    tower_c = lower_of(row.wet_bulb_temp_c + TOWER_APPROACH_MIN_K, site.lever_high[CW])
    coolant_c = lower_of(row.dew_point_c + DEW_POINT_MARGIN_K, site.lever_high[CDU])
    gpu_margin_k = 0.0 * absent
    if control.has_lever[COOLANT[0]] or control.has_lever[COOLANT[1]]:
        gpu_margin_k = coolest_needed_k(batch=batch, control=control, t=t)
    for k in range(_LEVERS):
        value = action[k]
        if is_action:
            value = moved_setpoint(
                action=action[k],
                baseline=baseline[k],
                low=site.lever_low[k],
                high=site.lever_high[k],
                residual_ratio=PLANT_RESIDUAL_RATIO,
            )
        most, least, bit, is_known = absent, absent, 0, always
        if k == SUPPLY:
            most = supply_most_c
        if k == CW:
            least, bit, is_known = tower_c, WET_BULB_BIT, has_wet_bulb
        if k == CDU:
            least, bit, is_known = coolant_c, DEW_POINT_BIT, has_dew_point
        asked[k] = value
        is_colder = negated(always)
        if k in COOLANT:
            value, is_colder = coolant_lever(
                asked=value,
                now=row[k],
                low=site.lever_low[k],
                high=site.lever_high[k],
                cooling=site.cooling[k],
                gpu_margin_k=gpu_margin_k,
                hold_k=GPU_TEMP_HOLD_K,
            )
        safe, why = safe_lever(
            asked=value,
            now=row[k],
            low=site.lever_low[k],
            high=site.lever_high[k],
            rise=site.rise[k],
            fall=site.fall[k],
            cooling=site.cooling[k],
            is_blind=~is_seen,
            inlet_margin_k=site.inlet_temp_max_c - row.inlet_temp_max_c,
            most=most,
            least=least,
            least_bit=bit,
            is_least_known=is_known,
        )
        why = flagged(why, is_colder, GPU_TEMP_BIT)
        allowed[k], reasons[k] = safe, why
        plant.shielded_count += where(why != np.uint64(0), 1.0, 0.0)
    command_levers(i=lanes_of(batch.inputs[t]), allowed=allowed, has_lever=control.has_lever)


@law
def command_levers(i: Record, allowed: Record, has_lever: NDArray[np.bool_]) -> None:
    """Command the levers the site has; one that is not commanded keeps its value."""
    if has_lever[0]:
        value = allowed.supply_air_temp_setpoint_c
        i.supply_air_setpoint_c = where(is_nan(value), i.supply_air_setpoint_c, value)
    if has_lever[1]:
        value = allowed.chw_supply_temp_setpoint_c
        i.chw_setpoint_c = where(is_nan(value), i.chw_setpoint_c, value)
    if has_lever[2]:
        value = allowed.cw_supply_temp_setpoint_c
        i.cw_setpoint_c = where(is_nan(value), i.cw_setpoint_c, value)
    if has_lever[3]:
        value = allowed.air_flow_setpoint_ratio
        i.air_flow_setpoint_ratio = where(is_nan(value), i.air_flow_setpoint_ratio, value)
    if has_lever[4]:
        value = allowed.cdu_supply_temp_setpoint_c
        i.cdu_supply_setpoint_c = where(is_nan(value), i.cdu_supply_setpoint_c, value)
    if has_lever[5]:
        value = allowed.cdu_flow_setpoint_ratio
        i.cdu_flow_setpoint_ratio = where(is_nan(value), i.cdu_flow_setpoint_ratio, value)


@law
def note_before(batch: Batch, control: Control, t: int) -> None:
    """Keep the counters of tile ``t`` as they stand before a step."""
    lanes_of(control.plant[t]).facility_energy_j = lanes_of(batch.plant[t]).facility_energy_j
    for n in range(batch.groups.shape[1]):
        c, g = lanes_of(control.groups[t, n]), lanes_of(batch.groups[t, n])
        c.work_gpu_s = g.work_gpu_s
        c.it_energy_j = g.it_energy_j


@law
def move_rule(batch: Batch, control: Control, t: int) -> None:
    """Move the rule of tile ``t`` by one period."""
    site, row = control.limits[0], lanes_of(control.plant_readings[t])
    tuning, baseline = lanes_of(control.tuning[t]), lanes_of(control.baseline[t])
    hottest_c = row.inlet_temp_max_c
    requests = 0.0 * lanes_of(control.plant[t]).work_value
    hottest_gpu_c = requests + np.nan
    for n in range(batch.groups.shape[1]):
        c, reading = lanes_of(control.groups[t, n]), lanes_of(control.group_readings[t, n])
        limit = control.group_limits[n]
        c.baseline_cap_w = next_cap_w(
            cap_w=c.baseline_cap_w,
            row=reading,
            low_w=limit.power_cap_min_w,
            top_w=limit.power_cap_max_w,
            tuning=tuning,
        )
        requests += cooling_requests(
            inlet_temp_c=reading.inlet_temp_c,
            hottest_c=hottest_c,
            limit_c=site.inlet_temp_max_c,
            tuning=tuning,
        )
        hottest_gpu_c = higher_of(hottest_gpu_c, reading.gpu_temp_c)
    move_levers(
        levers=baseline,
        row=row,
        time_s=lanes_of(batch.plant[t]).time_s,
        requests=requests,
        hottest_gpu_c=hottest_gpu_c,
        limits=site,
        tuning=tuning,
        dt_s=site.step_s,
    )
    for k in range(_LEVERS):
        low, high = site.lever_low[k], site.lever_high[k]
        held = where(baseline[k] < low, low, baseline[k])
        baseline[k] = where(held > high, high, held)


@law
def observe(batch: Batch, control: Control, t: int, out: Outputs) -> None:
    """Encode what the plants of tile ``t`` show."""
    site, plant = control.limits[0], lanes_of(control.plant[t])
    count = min(batch.size - t * LANES, LANES)
    for n in range(batch.groups.shape[1]):
        features = lanes_of(control.group_features[t, n])
        write_group_features(
            features=features,
            row=lanes_of(control.group_readings[t, n]),
            baseline_cap_w=lanes_of(control.groups[t, n]).baseline_cap_w,
            group=control.group_limits[n],
            limits=site,
        )
        hold_features(features, GROUP_LOW, GROUP_HIGH, _GROUP_FEATURES)
        for k in range(count):
            for f in range(_GROUP_FEATURES):
                out.groups[t * LANES + k, n, f] = control.group_feature_values[t, n, f, k]
    for k in range(LANES):
        angle = batch.plant[t].time_s[k] * HOUR_ANGLE_PER_S
        control.plant[t].hour_sin[k] = math.sin(angle)
        control.plant[t].hour_cos[k] = math.cos(angle)
    features = lanes_of(control.plant_features[t])
    write_plant_features(
        features=features,
        row=lanes_of(control.plant_readings[t]),
        baseline=lanes_of(control.baseline[t]),
        hour_sin=plant.hour_sin,
        hour_cos=plant.hour_cos,
        work_value=plant.work_value,
        limits=site,
    )
    hold_features(features, PLANT_LOW, PLANT_HIGH, _PLANT_FEATURES)
    for k in range(count):
        for f in range(_PLANT_FEATURES):
            out.plant[t * LANES + k, f] = control.plant_feature_values[t, f, k]


@law
def reward_tile(batch: Batch, control: Control, t: int, out: Outputs) -> None:
    """Write the reward of the step that tile ``t`` just made."""
    site, plant, p = control.limits[0], lanes_of(control.plant[t]), lanes_of(batch.plant[t])
    facility_w = (p.facility_energy_j - plant.facility_energy_j) / site.step_s
    used_j = 0.0 * facility_w
    for n in range(batch.groups.shape[1]):
        used_j += lanes_of(batch.groups[t, n]).it_energy_j
        used_j = used_j - lanes_of(control.groups[t, n]).it_energy_j
    per_used_j = 1.0 / higher_of(used_j, 1e-6)
    work, cap_moved, hot, late = 0.0 * used_j, 0.0 * used_j, 0.0 * used_j, 0.0 * used_j
    count = min(batch.size - t * LANES, LANES)
    for n in range(batch.groups.shape[1]):
        g, c, limit = (
            lanes_of(batch.groups[t, n]),
            lanes_of(control.groups[t, n]),
            control.group_limits[n],
        )
        share = limit.share
        group_work = (g.work_gpu_s - c.work_gpu_s) / (site.step_s * limit.gpu_count)
        used_share = (g.it_energy_j - c.it_energy_j) * per_used_j
        moved = moved_ratio(
            asked=c.asked_cap_w,
            allowed=c.cap_w,
            low=limit.power_cap_min_w,
            high=limit.power_cap_max_w,
        )
        group_hot = heat_cost(g.hot_die_temp_c, g.hot_hbm_temp_c, site)
        group_late = latency_cost(g.latency_ratio)
        c.reward = group_reward(
            work_value=plant.work_value,
            work=group_work,
            energy=used_share * facility_w / (site.it_power_design_w * share),
            moved=moved,
            hot=group_hot,
            late=group_late,
            weights=site,
        )
        work += group_work * share
        cap_moved += moved * share
        hot += group_hot * share
        late += group_late * share
        for k in range(count):
            out.group_rewards[t * LANES + k, n] = control.groups[t, n].reward[k]
    lever_moved = 0.0 * used_j
    asked, allowed = lanes_of(control.asked[t]), lanes_of(control.allowed[t])
    for k in range(_LEVERS):
        lever_moved += moved_ratio(
            asked=asked[k],
            allowed=allowed[k],
            low=site.lever_low[k],
            high=site.lever_high[k],
        )
    r = lanes_of(control.reward[t])
    r.energy = facility_w / site.it_power_design_w
    r.work = work
    r.correction = cap_moved + lever_moved
    r.inlet_temp = excess_of(p.inlet_temp_max_c, site.inlet_temp_max_c)
    r.gpu_temp = hot
    r.latency = late
    r.total, r.plant = site_rewards(
        work_value=plant.work_value, terms=r, lever_moved=lever_moved, weights=site
    )


@law
def look_at(batch: Batch, control: Control, t: int, out: Outputs, has_moved: bool) -> None:
    """Read tile ``t``, move its rule if time has passed, and encode."""
    read_tile(
        batch=batch,
        t=t,
        groups_out=control.group_readings[t],
        plant_out=control.plant_readings[t],
        has_lever=control.has_lever,
        is_noisy=True,
    )
    if has_moved:
        move_rule(batch=batch, control=control, t=t)
    observe(batch=batch, control=control, t=t, out=out)


@kernel
def run_steps(
    batch: Batch,
    control: Control,
    asked: Asked,
    out: Outputs,
    is_action: bool,
    substeps: int,
    first: int,
    last: int,
) -> None:
    """Make one control step, or only look, with the tiles from ``first`` up to ``last``.

    Args:
        batch: The plants.
        control: Their control.
        asked: What is asked of them.
        out: Gets what they give.
        is_action: Whether actions are asked, or setpoints.
        substeps: Length of the step in substeps of 5 s; 0 only reads and encodes.
        first: First tile.
        last: Tile to stop before.
    """
    for t in range(first, last):
        if substeps > 0:
            take_asked(batch=batch, control=control, t=t, asked=asked)
            decide_caps(batch=batch, control=control, t=t, is_action=is_action)
            decide_levers(batch=batch, control=control, t=t, is_action=is_action)
            note_before(batch=batch, control=control, t=t)
            advance_tile(batch=batch, t=t, substeps=substeps)
        look_at(batch=batch, control=control, t=t, out=out, has_moved=substeps > 0)
        if substeps > 0:
            reward_tile(batch=batch, control=control, t=t, out=out)
