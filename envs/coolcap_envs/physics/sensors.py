"""What instruments report: state as readings, with bias and noise.

Noise is a counter-based hash of (key, step, place), so that reading twice gives the same, a copy of
a plant reads the same, and the size of a batch changes nothing. Keys come from NumPy's seeding.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics.constants import JOULE_PER_KWH, SECONDS_PER_HOUR, WATER_DENSITY_KG_PER_L
from coolcap_envs.physics.jit import kernel, law
from coolcap_envs.physics.records import Record

GROUP_READINGS: Final = (
    "gpu_power_w",
    "it_power_w",
    "power_limit_w",
    "sm_clock_mhz",
    "gpu_util_ratio",
    "mem_util_ratio",
    "gpu_temp_c",
    "hbm_temp_c",
    "inlet_temp_c",
    "work_rate_ratio",
    "latency_ratio",
    "training_ratio",
    "prefill_ratio",
    "decode_ratio",
    "memory_bound_ratio",
    "it_energy_kwh",
    "work_gpu_h",
)
"""Order of readings in :func:`read_groups`; ``columns`` says where each one goes."""

PLANT_READINGS: Final = (
    "supply_air_temp_setpoint_c",
    "chw_supply_temp_setpoint_c",
    "cw_supply_temp_setpoint_c",
    "air_flow_setpoint_ratio",
    "supply_air_temp_c",
    "return_air_temp_c",
    "inlet_temp_max_c",
    "dew_point_c",
    "air_flow_ratio",
    "chw_supply_temp_c",
    "chw_return_temp_c",
    "cw_supply_temp_c",
    "cw_return_temp_c",
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "it_power_w",
    "crah_fan_power_w",
    "chiller_power_w",
    "pump_power_w",
    "tower_fan_power_w",
    "loss_power_w",
    "facility_power_w",
    "it_energy_kwh",
    "cooling_energy_kwh",
    "facility_energy_kwh",
    "makeup_water_l",
    "crah_available_ratio",
    "chiller_available_ratio",
    "price_usd_per_kwh",
    "grid_carbon_g_per_kwh",
)
"""Order of readings in :func:`read_plants`."""

_PLANT_PLACES: Final = 1 << 20
"""Places below belong to groups; a plant reading's place is its number above this."""
_METER_PLACE: Final = _PLANT_PLACES + 1000
"""Place of the facility's energy meter, whose bias powers and counters share."""


@law
def standard_normal(key: int, step: int, place: int) -> float:
    """Return a number that is standard normal over keys, steps and places, within ±3.46.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of a counter gives 64 bits; the sum of four
    16-bit uniforms, scaled to variance 1, is close to normal.
    """
    z = (
        np.uint64(key)
        + np.uint64(step + 1) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(place) * np.uint64(0xD1B54A32D192ED03)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    low = np.uint64(0xFFFF)
    total = (
        float(z & low)
        + float((z >> np.uint64(16)) & low)
        + float((z >> np.uint64(32)) & low)
        + float(z >> np.uint64(48))
    )
    return (total / 65535.0 - 2.0) * 1.7320508075688772  # four uniforms: variance 4/12


@law
def biased(value: float, key: int, step: int, place: int, bias: float, noise: float) -> float:
    """Return ``value + bias*z0 + noise*z``, where z0 stays and z changes with every step."""
    fixed = standard_normal(key=key, step=-1, place=place)
    return value + bias * fixed + noise * standard_normal(key=key, step=step, place=place)


@law
def _read_group(
    out: Record,
    columns: Record,
    g: Record,
    c: Record,
    i: Record,
    q: Record,
    key: int,
    step: int,
    first_place: int,
    is_noisy: bool,
) -> None:
    power_gain = 1.0
    it_gain = 1.0
    it_bias = 1.0
    die_c = g.hot_die_temp_c
    hbm_c = g.hot_hbm_temp_c
    inlet_c = g.inlet_temp_c
    if is_noisy:
        bias, noise = q.sensors_power_bias_ratio, q.sensors_power_noise_ratio
        it = first_place + 1
        power_gain = biased(
            value=1.0, key=key, step=step, place=first_place, bias=bias, noise=noise
        )
        it_bias = biased(value=1.0, key=key, step=step, place=it, bias=bias, noise=0.0)
        it_gain = biased(value=1.0, key=key, step=step, place=it, bias=bias, noise=noise)
        inlet_c = biased(
            value=inlet_c,
            key=key,
            step=step,
            place=first_place + 2,
            bias=q.sensors_temp_bias_k,
            noise=q.sensors_temp_noise_k,
        )
        die_c = np.rint(die_c)  # NVML reports whole degrees
        hbm_c = np.rint(hbm_c)
    out[columns[0]] = g.gpu_power_w * power_gain
    out[columns[1]] = g.it_power_w * it_gain
    out[columns[2]] = i.power_cap_w
    out[columns[3]] = g.clock_ratio * c.sm_clock_max_mhz
    out[columns[4]] = g.util_ratio
    out[columns[5]] = g.memory_busy_ratio
    out[columns[6]] = die_c
    out[columns[7]] = hbm_c
    out[columns[8]] = inlet_c
    out[columns[9]] = g.work_rate_ratio
    out[columns[10]] = g.latency_ratio
    for k in range(4):
        out[columns[11 + k]] = 1.0 if g.work_class == k else 0.0
    out[columns[15]] = g.it_energy_j / JOULE_PER_KWH * it_bias
    out[columns[16]] = g.work_gpu_s / SECONDS_PER_HOUR


@law
def _read_plant(
    out: Record,
    columns: Record,
    p: Record,
    q: Record,
    i: Record,
    has_lever: Record,
    key: int,
    is_noisy: bool,
    inlet_max_c: float,
) -> None:
    step = p.step
    temp_bias = q.sensors_temp_bias_k if is_noisy else 0.0
    temp_noise = q.sensors_temp_noise_k if is_noisy else 0.0
    power_noise = q.sensors_power_noise_ratio if is_noisy else 0.0
    flow_noise = q.sensors_flow_noise_ratio if is_noisy else 0.0
    power_bias = q.sensors_power_bias_ratio if is_noisy else 0.0
    meter = biased(value=1.0, key=key, step=step, place=_METER_PLACE, bias=power_bias, noise=0.0)
    levers = (
        i.supply_air_setpoint_c,
        i.chw_setpoint_c,
        i.cw_setpoint_c,
        i.air_flow_setpoint_ratio,
    )
    for k in range(4):
        out[columns[k]] = levers[k] if has_lever[k] else np.nan
    temps = (
        p.supply_air_temp_c,
        p.hot_temp_c,
        inlet_max_c,
        q.hall_dew_point_c,
        0.0,
        p.chw_supply_temp_c,
        p.chw_return_temp_c,
        p.basin_temp_c,
        p.cw_leaving_temp_c,
        p.outdoor_temp_c,
        p.wet_bulb_temp_c,
    )
    for k in range(11):
        place = _PLANT_PLACES + k
        out[columns[4 + k]] = biased(
            value=temps[k], key=key, step=step, place=place, bias=temp_bias, noise=temp_noise
        )
    out[columns[6]] = inlet_max_c  # the hottest of the inlet sensors, not a sensor of its own
    flow = p.crah_fan_ratio * i.crah_available_ratio
    flow_gain = biased(
        value=1.0, key=key, step=step, place=_PLANT_PLACES + 4, bias=0.0, noise=flow_noise
    )
    out[columns[8]] = max(flow * flow_gain, 0.0)
    powers = (
        p.it_power_w,
        p.crah_fan_power_w,
        p.chiller_power_w,
        p.pump_power_w,
        p.tower_fan_power_w,
        p.loss_power_w,
        p.facility_power_w,
    )
    for k in range(7):
        place = _PLANT_PLACES + 20 + k
        gain = biased(value=meter, key=key, step=step, place=place, bias=0.0, noise=power_noise)
        out[columns[15 + k]] = powers[k] * gain
    out[columns[22]] = p.it_energy_j / JOULE_PER_KWH * meter
    out[columns[23]] = p.cooling_energy_j / JOULE_PER_KWH * meter
    out[columns[24]] = p.facility_energy_j / JOULE_PER_KWH * meter
    out[columns[25]] = p.makeup_water_kg / WATER_DENSITY_KG_PER_L
    out[columns[26]] = i.crah_available_ratio
    out[columns[27]] = i.chiller_available_ratio
    out[columns[28]] = p.price_usd_per_kwh
    out[columns[29]] = p.grid_carbon_g_per_kwh


@kernel
def read_out(
    groups_out: NDArray[np.float64],
    plant_out: NDArray[np.float64],
    group_columns: NDArray[np.int64],
    plant_columns: NDArray[np.int64],
    has_lever: NDArray[np.bool_],
    plant: Record,
    groups: Record,
    parameters: Record,
    group_parameters: Record,
    inputs: Record,
    group_inputs: Record,
    keys: NDArray[np.uint64],
    is_noisy: bool,
) -> None:
    """Write readings of a batch to ``groups_out`` (``[B, N, S]``) and ``plant_out`` (``[B, P]``).

    Args:
        groups_out: Gets the readings of groups.
        plant_out: Gets the readings of plants.
        group_columns: Column of each of ``GROUP_READINGS``.
        plant_columns: Column of each of ``PLANT_READINGS``.
        has_lever: Which of the first four plant readings, the levers, the site has.
        plant: State of the plants.
        groups: State of the groups.
        parameters: Parameters of the plants.
        group_parameters: Parameters of the groups.
        inputs: Inputs of the plants.
        group_inputs: Inputs of the groups.
        keys: Noise key of each plant.
        is_noisy: False for the truth.
    """
    for b in range(plant.shape[0]):
        q = parameters[b]
        key = keys[b]
        inlet_max_c = -1e9
        for n in range(groups.shape[1]):
            _read_group(
                out=groups_out[b, n],
                columns=group_columns,
                g=groups[b, n],
                c=group_parameters[b, n],
                i=group_inputs[b, n],
                q=q,
                key=key,
                step=plant[b].step,
                first_place=3 * n,
                is_noisy=is_noisy,
            )
            inlet_max_c = max(inlet_max_c, groups_out[b, n, group_columns[8]])
        _read_plant(
            out=plant_out[b],
            columns=plant_columns,
            p=plant[b],
            q=q,
            i=inputs[b],
            has_lever=has_lever,
            key=key,
            is_noisy=is_noisy,
            inlet_max_c=inlet_max_c,
        )
