"""What instruments report: state as readings, with bias and noise.

Noise is a counter-based hash of (key, step, place), so that reading twice gives the same, a copy of
a plant reads the same, and the size of a batch changes nothing. Keys come from NumPy's seeding.
Readings have the columns of the contract's signal tables; what a site has not stays NaN.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS, WORKLOAD_SIGNALS
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.constants import JOULE_PER_KWH, SECONDS_PER_HOUR, WATER_DENSITY_KG_PER_L
from coolcap_envs.physics.jit import kernel, law
from coolcap_envs.physics.lanes import (
    from_word,
    lanes_of,
    maximum,
    nearest_whole,
    where,
)
from coolcap_envs.physics.records import Record

GROUP_READING_DTYPE: Final = np.dtype([(s.name, np.float64) for s in GROUP_SIGNALS])
"""Readings of a group, in the order of ``GROUP_SIGNALS``."""
PLANT_READING_DTYPE: Final = np.dtype([(s.name, np.float64) for s in PLANT_SIGNALS])
"""Readings of a plant, in the order of ``PLANT_SIGNALS``."""

PLACES_PER_GROUP: Final = 3
_PLANT_PLACES: Final = 1 << 20
"""Places below belong to groups; a plant reading's place is its number above this."""
_METER_PLACE: Final = _PLANT_PLACES + 1000
"""Place of the facility's energy meter, whose bias powers and counters share."""

_ABSENT: Final = np.nan
_COLDEST_C: Final = -1e9

if WORKLOAD_SIGNALS != ("training_ratio", "prefill_ratio", "decode_ratio", "memory_bound_ratio"):
    raise ImportError("workload signals are not those that read_group writes")


@law
def standard_normal(key: np.uint64, count: np.uint64, place: int) -> float:
    """Return a number that is standard normal over keys, counts and places, within ±3.46.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of a counter gives 64 bits; the sum of four
    16-bit uniforms, scaled to variance 1, is close to normal. All three are unsigned.
    """
    z = (
        key
        + count * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(place) * np.uint64(0xD1B54A32D192ED03)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    low = np.uint64(0xFFFF)
    four = (
        (z & low)
        + ((z >> np.uint64(16)) & low)
        + ((z >> np.uint64(32)) & low)
        + (z >> np.uint64(48))
    )
    # Four uniforms have a variance of 4/12.
    normal: float = (from_word(four) / 65535.0 - 2.0) * 1.7320508075688772
    return normal


@law
def biased(
    value: float, key: np.uint64, step: np.uint64, place: int, bias: float, noise: float
) -> float:
    """Return ``value + bias*z0 + noise*z``, where z0 stays and z changes with every step."""
    fixed = standard_normal(key=key, count=np.uint64(0), place=place)
    fresh = standard_normal(key=key, count=step + np.uint64(1), place=place)
    return value + bias * fixed + noise * fresh


@law
def read_group(
    out: Record, g: Record, c: Record, i: Record, p: Record, q: Record, place: int, is_noisy: bool
) -> None:
    """Write the readings of a group.

    Args:
        out: Gets them.
        g: State of the group.
        c: Parameters of the group.
        i: Inputs of the group.
        p: State of the plant.
        q: Parameters of the plant.
        place: First of its ``PLACES_PER_GROUP`` places of noise.
        is_noisy: False for the truth.
    """
    power_w = g.gpu_power_w
    it_power_w = g.it_power_w
    it_energy_j = g.it_energy_j
    die_c = g.hot_die_temp_c
    hbm_c = g.hot_hbm_temp_c
    inlet_c = g.inlet_temp_c
    if is_noisy:
        key, step = p.noise_key, p.step
        bias, noise = q.sensors_power_bias_ratio, q.sensors_power_noise_ratio
        power_w *= biased(value=1.0, key=key, step=step, place=place, bias=bias, noise=noise)
        it_energy_j *= biased(value=1.0, key=key, step=step, place=place + 1, bias=bias, noise=0.0)
        it_power_w *= biased(value=1.0, key=key, step=step, place=place + 1, bias=bias, noise=noise)
        inlet_c = biased(
            value=inlet_c,
            key=key,
            step=step,
            place=place + 2,
            bias=q.sensors_temp_bias_k,
            noise=q.sensors_temp_noise_k,
        )
        die_c = nearest_whole(die_c)  # NVML reports whole degrees
        hbm_c = nearest_whole(hbm_c)
    out.gpu_power_w = power_w
    out.it_power_w = it_power_w
    out.power_limit_w = i.power_cap_w
    out.sm_clock_mhz = g.clock_ratio * c.sm_clock_max_mhz
    out.gpu_util_ratio = g.util_ratio
    out.mem_util_ratio = g.memory_busy_ratio
    out.gpu_temp_c = die_c
    out.hbm_temp_c = hbm_c
    out.inlet_temp_c = inlet_c
    out.work_rate_ratio = g.work_rate_ratio
    out.latency_ratio = g.latency_ratio
    work_class = g.work_class
    out.training_ratio = where(work_class == 0.0, 1.0, 0.0)
    out.prefill_ratio = where(work_class == 1.0, 1.0, 0.0)
    out.decode_ratio = where(work_class == 2.0, 1.0, 0.0)
    out.memory_bound_ratio = where(work_class == 3.0, 1.0, 0.0)
    out.it_energy_kwh = it_energy_j * (1.0 / JOULE_PER_KWH)
    out.work_gpu_h = g.work_gpu_s * (1.0 / SECONDS_PER_HOUR)


@law
def _temp_c(value: float, p: Record, q: Record, sensor: int, is_noisy: bool) -> float:
    """Return what temperature sensor number ``sensor`` of the plant shows."""
    if not is_noisy:
        return value
    return biased(
        value=value,
        key=p.noise_key,
        step=p.step,
        place=_PLANT_PLACES + sensor,
        bias=q.sensors_temp_bias_k,
        noise=q.sensors_temp_noise_k,
    )


@law
def _gain(p: Record, meter: float, sensor: int, noise: float, is_noisy: bool) -> float:
    """Return what meter or flow sensor number ``sensor`` shows over the truth."""
    if not is_noisy:
        return meter
    count = p.step + np.uint64(1)
    place = _PLANT_PLACES + sensor
    return meter + noise * standard_normal(key=p.noise_key, count=count, place=place)


@law
def read_plant(
    out: Record,
    p: Record,
    q: Record,
    i: Record,
    has_lever: NDArray[np.bool_],
    inlet_max_c: float,
    has_liquid: bool,
    is_noisy: bool,
) -> None:
    """Write the readings of a plant.

    Args:
        out: Gets them.
        p: State of the plant.
        q: Parameters of the plant.
        i: Inputs of the plant.
        has_lever: Which of ``PLANT_LEVERS`` the site has.
        inlet_max_c: Highest reading of the groups' inlet sensors; the plant has none of its own.
        has_liquid: Whether there is coolant to be read.
        is_noisy: False for the truth.
    """
    out.supply_air_temp_setpoint_c = i.supply_air_setpoint_c if has_lever[0] else _ABSENT
    out.chw_supply_temp_setpoint_c = i.chw_setpoint_c if has_lever[1] else _ABSENT
    out.cw_supply_temp_setpoint_c = i.cw_setpoint_c if has_lever[2] else _ABSENT
    out.air_flow_setpoint_ratio = i.air_flow_setpoint_ratio if has_lever[3] else _ABSENT
    out.cdu_supply_temp_setpoint_c = i.cdu_supply_setpoint_c if has_lever[4] else _ABSENT
    out.cdu_flow_setpoint_ratio = i.cdu_flow_setpoint_ratio if has_lever[5] else _ABSENT

    out.supply_air_temp_c = _temp_c(p.supply_air_temp_c, p, q, 0, is_noisy)
    out.return_air_temp_c = _temp_c(p.hot_temp_c, p, q, 1, is_noisy)
    out.inlet_temp_max_c = inlet_max_c
    out.dew_point_c = _temp_c(p.dew_point_c, p, q, 3, is_noisy)
    out.chw_supply_temp_c = _temp_c(p.chw_supply_temp_c, p, q, 5, is_noisy)
    out.chw_return_temp_c = _temp_c(p.chw_return_temp_c, p, q, 6, is_noisy)
    out.cw_supply_temp_c = _temp_c(p.basin_temp_c, p, q, 7, is_noisy)
    out.cw_return_temp_c = _temp_c(p.cw_leaving_temp_c, p, q, 8, is_noisy)
    out.outdoor_temp_c = _temp_c(p.outdoor_temp_c, p, q, 9, is_noisy)
    out.wet_bulb_temp_c = _temp_c(p.wet_bulb_temp_c, p, q, 10, is_noisy)
    out.cdu_supply_temp_c = _ABSENT
    out.cdu_return_temp_c = _ABSENT
    out.cdu_flow_ratio = _ABSENT
    if has_liquid:
        out.cdu_supply_temp_c = _temp_c(p.cdu_supply_temp_c, p, q, 11, is_noisy)
        out.cdu_return_temp_c = _temp_c(p.cdu_return_temp_c, p, q, 12, is_noisy)
        coolant = p.cdu_pump_ratio * i.cdu_available_ratio
        coolant_gain = _gain(p, 1.0, 13, q.sensors_flow_noise_ratio, is_noisy)
        out.cdu_flow_ratio = maximum(coolant * coolant_gain, 0.0)

    flow = p.crah_fan_ratio * i.crah_available_ratio
    flow_gain = _gain(p, 1.0, 4, q.sensors_flow_noise_ratio, is_noisy)
    out.air_flow_ratio = maximum(flow * flow_gain, 0.0)
    meter = 1.0
    noise = q.sensors_power_noise_ratio
    if is_noisy:
        bias = q.sensors_power_bias_ratio
        fixed = standard_normal(key=p.noise_key, count=np.uint64(0), place=_METER_PLACE)
        meter = 1.0 + bias * fixed
    out.it_power_w = p.it_power_w * _gain(p, meter, 20, noise, is_noisy)
    out.crah_fan_power_w = p.crah_fan_power_w * _gain(p, meter, 21, noise, is_noisy)
    out.chiller_power_w = p.chiller_power_w * _gain(p, meter, 22, noise, is_noisy)
    out.pump_power_w = p.pump_power_w * _gain(p, meter, 23, noise, is_noisy)
    out.tower_fan_power_w = p.tower_fan_power_w * _gain(p, meter, 24, noise, is_noisy)
    out.loss_power_w = p.loss_power_w * _gain(p, meter, 25, noise, is_noisy)
    out.facility_power_w = p.facility_power_w * _gain(p, meter, 26, noise, is_noisy)
    out.it_energy_kwh = p.it_energy_j * (1.0 / JOULE_PER_KWH) * meter
    out.cooling_energy_kwh = p.cooling_energy_j * (1.0 / JOULE_PER_KWH) * meter
    out.facility_energy_kwh = p.facility_energy_j * (1.0 / JOULE_PER_KWH) * meter
    out.makeup_water_l = p.makeup_water_kg * (1.0 / WATER_DENSITY_KG_PER_L)
    out.crah_available_ratio = i.crah_available_ratio
    out.chiller_available_ratio = i.chiller_available_ratio
    out.price_usd_per_kwh = p.price_usd_per_kwh
    out.grid_carbon_g_per_kwh = p.grid_carbon_g_per_kwh


@law
def read_tile(
    batch: Batch,
    t: int,
    groups_out: Record,
    plant_out: Record,
    has_lever: NDArray[np.bool_],
    is_noisy: bool,
) -> None:
    """Write the readings of tile ``t`` to rows of ``GROUP_`` and ``PLANT_READING_DTYPE``."""
    p, q = lanes_of(batch.plant[t]), lanes_of(batch.parameters[t])
    inlet_max_c = _COLDEST_C
    for n in range(batch.groups.shape[1]):
        out = lanes_of(groups_out[n])
        read_group(
            out=out,
            g=lanes_of(batch.groups[t, n]),
            c=lanes_of(batch.group_parameters[t, n]),
            i=lanes_of(batch.group_inputs[t, n]),
            p=p,
            q=q,
            place=PLACES_PER_GROUP * n,
            is_noisy=is_noisy,
        )
        inlet_max_c = maximum(out.inlet_temp_c, inlet_max_c)
    read_plant(
        out=lanes_of(plant_out),
        p=p,
        q=q,
        i=lanes_of(batch.inputs[t]),
        has_lever=has_lever,
        inlet_max_c=inlet_max_c,
        has_liquid=batch.has_liquid,
        is_noisy=is_noisy,
    )


@kernel
def read_out(
    batch: Batch,
    groups_out: Record,
    plant_out: Record,
    has_lever: NDArray[np.bool_],
    is_noisy: bool,
) -> None:
    """Write the readings of a batch.

    Args:
        batch: The plants.
        groups_out: ``GROUP_READING_DTYPE`` in lanes, shape ``[T, N]``.
        plant_out: ``PLANT_READING_DTYPE`` in lanes, shape ``[T]``.
        has_lever: Which of ``PLANT_LEVERS`` the site has.
        is_noisy: False for the truth.
    """
    for t in range(batch.plant.shape[0]):
        read_tile(
            batch=batch,
            t=t,
            groups_out=groups_out[t],
            plant_out=plant_out[t],
            has_lever=has_lever,
            is_noisy=is_noisy,
        )
