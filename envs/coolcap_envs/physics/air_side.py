"""One substep of the hall's air: CRAH fans and coils, cold and hot aisle."""

from typing import Final

from coolcap_envs.physics import rack
from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_SPECIFIC_HEAT_J_PER_KG_K,
)
from coolcap_envs.physics.crah import (
    conductance_ratio,
    counterflow_effectiveness,
    equal_percentage_flow_ratio,
    fan_power_w,
)
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, where
from coolcap_envs.physics.local_loop import actuator_target, integral_next, slewed
from coolcap_envs.physics.records import SUBSTEP_S, Record

_NONE: Final = 1e-9
"""Stands for no air or water where a law divides by it; the result is not used then."""


@law
def move_fans(p: Record, q: Record, i: Record) -> tuple[float, float]:
    """Let the fans follow their set point; return supply air, kg/s, and fan power, W.

    Units that are out neither move air nor draw power; their dampers are shut.
    """
    p.crah_fan_ratio = slewed(
        value=p.crah_fan_ratio,
        wanted=i.air_flow_setpoint_ratio,
        step_max=SUBSTEP_S / q.crah_fan_ramp_s,
    )
    supply_kg_per_s = q.crah_air_flow_design_kg_per_s * p.crah_fan_ratio * i.crah_available_ratio
    power_w = i.crah_available_ratio * fan_power_w(
        speed_ratio=p.crah_fan_ratio,
        design_power_w=q.crah_fan_power_design_w,
        exponent=q.crah_fan_exponent,
    )
    return supply_kg_per_s, power_w


@law
def move_valves(p: Record, q: Record, i: Record) -> float:
    """Let the coil valves follow the supply-air set point; return chilled-water flow, kg/s."""
    error_k = p.supply_air_temp_c - i.supply_air_setpoint_c
    p.valve_integral = integral_next(
        integral=p.valve_integral,
        error_k=error_k,
        gain_per_k=q.crah_loop_gain_per_k,
        integral_time_s=q.crah_loop_integral_time_s,
        dt_s=SUBSTEP_S,
    )
    p.valve_ratio = slewed(
        value=p.valve_ratio,
        wanted=actuator_target(
            integral=p.valve_integral, error_k=error_k, gain_per_k=q.crah_loop_gain_per_k
        ),
        step_max=SUBSTEP_S / q.crah_valve_stroke_s,
    )
    opened = equal_percentage_flow_ratio(
        valve_ratio=p.valve_ratio, rangeability=q.crah_valve_rangeability
    )
    water_kg_per_s: float = (
        q.crah_water_flow_design_kg_per_s * opened * i.crah_available_ratio * i.pump_available_ratio
    )
    return water_kg_per_s


@law
def exchange(
    p: Record,
    q: Record,
    i: Record,
    supply_kg_per_s: float,
    water_kg_per_s: float,
    water_temp_c: float,
    fan_w: float,
    heat_w: float,
) -> float:
    """Advance both aisles under ``heat_w``; return the heat the coils take, W.

    Args:
        p: State of the plant.
        q: Parameters of the plant.
        i: Inputs of the plant.
        supply_kg_per_s: Air through the CRAH.
        water_kg_per_s: Water through the coils.
        water_temp_c: Temperature of that water as it enters.
        fan_w: CRAH fan power; it warms the supply air.
        heat_w: Heat given to the air of the hall.
    """
    air_w_per_k = supply_kg_per_s * AIR_SPECIFIC_HEAT_J_PER_KG_K
    water_w_per_k = water_kg_per_s * WATER_SPECIFIC_HEAT_J_PER_KG_K
    is_blown = air_w_per_k > 0.0
    is_cooled = is_blown & (water_kg_per_s > 0.0)
    per_unit = 1.0 / maximum(i.crah_available_ratio, _NONE)
    conductance_w_per_k = (
        q.crah_conductance_design_w_per_k
        * i.crah_available_ratio
        * conductance_ratio(
            air_flow_ratio=maximum(p.crah_fan_ratio, _NONE),
            water_flow_ratio=maximum(
                per_unit * water_kg_per_s / q.crah_water_flow_design_kg_per_s, _NONE
            ),
        )
    )
    transferred_w_per_k = counterflow_effectiveness(
        conductance_w_per_k=conductance_w_per_k, c_one=air_w_per_k, c_two=water_w_per_k
    ) * minimum(air_w_per_k, water_w_per_k)
    coil_w_per_k = where(is_cooled, transferred_w_per_k, 0.0)
    per_air = 1.0 / maximum(air_w_per_k, _NONE)
    slope = where(is_blown, 1.0 - coil_w_per_k * per_air, 1.0)
    offset_c = where(is_blown, (coil_w_per_k * water_temp_c + fan_w) * per_air, 0.0)
    p.cold_temp_c, p.hot_temp_c = rack.hall_temps_next_c(
        cold_temp_c=p.cold_temp_c,
        hot_temp_c=p.hot_temp_c,
        cold_capacity_w_per_k=q.hall_cold_aisle_capacity_j_per_k / SUBSTEP_S,
        hot_capacity_w_per_k=q.hall_hot_aisle_capacity_j_per_k / SUBSTEP_S,
        supply_w_per_k=air_w_per_k,
        heat_w=heat_w,
        supply_slope=slope,
        supply_offset_c=offset_c,
    )
    p.supply_air_temp_c = slope * p.hot_temp_c + offset_c
    taken_w: float = coil_w_per_k * (p.hot_temp_c - water_temp_c)
    return taken_w


@law
def stored_heat_j(p: Record, q: Record) -> float:
    """Return the heat of both aisles above 0 °C."""
    stored_j: float = (
        q.hall_cold_aisle_capacity_j_per_k * p.cold_temp_c
        + q.hall_hot_aisle_capacity_j_per_k * p.hot_temp_c
    )
    return stored_j
