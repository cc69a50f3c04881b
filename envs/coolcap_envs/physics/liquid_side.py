"""One substep of liquid cooling: coolant loop, CDU, facility water, dry cooler.

Coolant leaves the supply volume to the racks at its temperature at the start of the substep and is
mixed into the return volume; the exchanger takes from there. The facility loop is the same once
more. Volumes that are left at their old temperature are advanced explicitly, those that are left at
their new one implicitly, so that every stream has one temperature and energy is conserved.
"""

from coolcap_envs.physics import dry_cooler, tower
from coolcap_envs.physics.cdu import (
    exchanger_conductance_ratio,
    guarded_setpoint_c,
    volume_temp_next_c,
)
from coolcap_envs.physics.chw import mixed_temp_next_c
from coolcap_envs.physics.cold_plate import leaving_temp_c
from coolcap_envs.physics.constants import (
    PG25_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_SPECIFIC_HEAT_J_PER_KG_K,
)
from coolcap_envs.physics.crah import counterflow_effectiveness, equal_percentage_flow_ratio
from coolcap_envs.physics.facility_water import supply_setpoint_c
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum
from coolcap_envs.physics.local_loop import actuator_target, integral_next, slewed
from coolcap_envs.physics.pump import pump_power_w
from coolcap_envs.physics.records import SUBSTEP_S, Record


@law
def coolant_flow_ratio(p: Record, q: Record, i: Record) -> float:
    """Let the coolant pumps follow their set point; return flow over design, of all units."""
    p.cdu_pump_ratio = slewed(
        value=p.cdu_pump_ratio,
        wanted=i.cdu_flow_setpoint_ratio,
        step_max=SUBSTEP_S / q.cdu_pump_ramp_s,
    )
    flow_ratio: float = p.cdu_pump_ratio * i.cdu_available_ratio
    return flow_ratio


@law
def advance(
    p: Record, q: Record, i: Record, flow_ratio: float, heat_w: float
) -> tuple[float, float, float, float]:
    """Advance all loops by one substep under ``heat_w`` from the cold plates.

    Returns:
        Heat rejected to the atmosphere, W; fan power, W; pump power, W; make-up water, kg/s.
    """
    coolant_w_per_k = q.cdu_flow_design_kg_per_s * flow_ratio * PG25_SPECIFIC_HEAT_J_PER_KG_K
    coolant_pump_w = i.cdu_available_ratio * pump_power_w(
        flow_ratio=p.cdu_pump_ratio,
        design_power_w=q.cdu_pump_power_design_w,
        min_flow_ratio=0.0,
        exponent=q.cdu_pump_exponent,
    )
    coolant_return_c = mixed_temp_next_c(
        temp_c=p.cdu_return_temp_c,
        capacity_w_per_k=q.cdu_return_mass_kg * (PG25_SPECIFIC_HEAT_J_PER_KG_K / SUBSTEP_S),
        flow_w_per_k=coolant_w_per_k,
        inlet_temp_c=leaving_temp_c(
            entering_temp_c=p.cdu_supply_temp_c, heat_w=heat_w, coolant_w_per_k=coolant_w_per_k
        ),
        heat_w=coolant_pump_w,
    )
    setpoint_c = guarded_setpoint_c(
        setpoint_c=i.cdu_supply_setpoint_c,
        dew_point_c=p.dew_point_c,
        margin_k=q.cdu_dew_point_margin_k,
    )
    water_ratio = i.pump_available_ratio * move_valve(p=p, q=q, setpoint_c=setpoint_c)
    water_w_per_k = (
        q.facility_water_flow_design_kg_per_s * water_ratio * WATER_SPECIFIC_HEAT_J_PER_KG_K
    )
    c_min = minimum(coolant_w_per_k, water_w_per_k)
    moved_w = (
        counterflow_effectiveness(
            conductance_w_per_k=q.cdu_conductance_design_w_per_k
            * exchanger_conductance_ratio(
                coolant_flow_ratio=flow_ratio, water_flow_ratio=water_ratio
            ),
            c_one=coolant_w_per_k,
            c_two=water_w_per_k,
        )
        * c_min
        * (coolant_return_c - p.facility_supply_temp_c)
    )
    p.cdu_return_temp_c = coolant_return_c
    p.cdu_supply_temp_c = volume_temp_next_c(
        temp_c=p.cdu_supply_temp_c,
        capacity_w_per_k=q.cdu_supply_mass_kg * (PG25_SPECIFIC_HEAT_J_PER_KG_K / SUBSTEP_S),
        flow_w_per_k=coolant_w_per_k,
        inlet_temp_c=coolant_return_c - moved_w / maximum(coolant_w_per_k, 1e-9),
    )
    rejected_w, fan_w, water_pump_w, makeup = reject(
        p=p, q=q, i=i, setpoint_c=setpoint_c, water_ratio=water_ratio, moved_w=moved_w
    )
    return rejected_w, fan_w, coolant_pump_w + water_pump_w, makeup


@law
def move_valve(p: Record, q: Record, setpoint_c: float) -> float:
    """Let the CDU's valve hold the coolant's temperature; return water flow over design."""
    error_k = p.cdu_supply_temp_c - setpoint_c
    p.cdu_valve_integral = integral_next(
        integral=p.cdu_valve_integral,
        error_k=error_k,
        gain_per_k=q.cdu_loop_gain_per_k,
        integral_time_s=q.cdu_loop_integral_time_s,
        dt_s=SUBSTEP_S,
    )
    p.cdu_valve_ratio = slewed(
        value=p.cdu_valve_ratio,
        wanted=actuator_target(
            integral=p.cdu_valve_integral, error_k=error_k, gain_per_k=q.cdu_loop_gain_per_k
        ),
        step_max=SUBSTEP_S / q.cdu_valve_stroke_s,
    )
    return equal_percentage_flow_ratio(
        valve_ratio=p.cdu_valve_ratio, rangeability=q.cdu_valve_rangeability
    )


@law
def reject(
    p: Record, q: Record, i: Record, setpoint_c: float, water_ratio: float, moved_w: float
) -> tuple[float, float, float, float]:
    """Advance facility water and dry cooler under ``moved_w`` from the CDU.

    Returns:
        Heat rejected, W; fan power, W; pump power, W; make-up water, kg/s.
    """
    water_w_per_k = (
        q.facility_water_flow_design_kg_per_s * water_ratio * WATER_SPECIFIC_HEAT_J_PER_KG_K
    )
    pump_w = i.pump_available_ratio * pump_power_w(
        flow_ratio=water_ratio,
        design_power_w=q.facility_water_pump_power_design_w,
        min_flow_ratio=q.facility_water_pump_min_flow_ratio,
        exponent=q.facility_water_pump_exponent,
    )
    return_c = mixed_temp_next_c(
        temp_c=p.facility_return_temp_c,
        capacity_w_per_k=q.facility_water_return_mass_kg
        * (WATER_SPECIFIC_HEAT_J_PER_KG_K / SUBSTEP_S),
        flow_w_per_k=water_w_per_k,
        inlet_temp_c=leaving_temp_c(
            entering_temp_c=p.facility_supply_temp_c, heat_w=moved_w, coolant_w_per_k=water_w_per_k
        ),
        heat_w=pump_w,
    )
    p.facility_return_temp_c = return_c

    held_c = supply_setpoint_c(
        coolant_setpoint_c=setpoint_c,
        approach_k=q.facility_water_approach_k,
        low_c=q.facility_water_supply_temp_min_c,
        high_c=q.facility_water_supply_temp_max_c,
    )
    move_fans(p=p, q=q, error_k=p.facility_supply_temp_c - held_c)
    fan_w = i.tower_available_ratio * tower.fan_power_w(
        speed_ratio=p.dry_cooler_fan_ratio,
        design_power_w=q.dry_cooler_fan_power_design_w,
        min_speed_ratio=q.dry_cooler_fan_min_speed_ratio,
    )
    air_ratio = maximum(
        p.dry_cooler_fan_ratio * i.tower_available_ratio, dry_cooler.FREE_CONVECTION_AIR_RATIO
    )
    air_c = dry_cooler.air_entering_temp_c(
        outdoor_temp_c=p.outdoor_temp_c,
        wet_bulb_c=p.wet_bulb_temp_c,
        effectiveness=q.dry_cooler_pad_effectiveness,
        wetted=dry_cooler.wetted_share(
            outdoor_temp_c=p.outdoor_temp_c,
            setpoint_c=held_c,
            start_below_k=q.dry_cooler_wet_start_k,
            ramp_k=q.dry_cooler_wet_ramp_k,
        ),
    )
    air_kg_per_s = q.dry_cooler_air_flow_design_kg_per_s * air_ratio
    air_w_per_k = dry_cooler.air_w_per_k(air_kg_per_s)
    cooled_c = dry_cooler.leaving_temp_c(
        entering_temp_c=return_c,
        air_temp_c=air_c,
        setpoint_c=held_c,
        effectiveness=dry_cooler.crossflow_effectiveness(
            conductance_w_per_k=q.dry_cooler_conductance_design_w_per_k
            * dry_cooler.conductance_ratio(air_flow_ratio=air_ratio, water_flow_ratio=water_ratio),
            c_one=water_w_per_k,
            c_two=air_w_per_k,
        ),
        water_w_per_k=water_w_per_k,
        air_w_per_k=air_w_per_k,
    )
    rejected_w = water_w_per_k * (return_c - cooled_c)
    p.facility_supply_temp_c = volume_temp_next_c(
        temp_c=p.facility_supply_temp_c,
        capacity_w_per_k=q.facility_water_supply_mass_kg
        * (WATER_SPECIFIC_HEAT_J_PER_KG_K / SUBSTEP_S),
        flow_w_per_k=water_w_per_k,
        inlet_temp_c=cooled_c,
    )
    makeup = dry_cooler.makeup_kg_per_s(
        evaporation=dry_cooler.evaporation_kg_per_s(
            air_kg_per_s=air_kg_per_s, cooled_k=p.outdoor_temp_c - air_c
        ),
        concentration_cycles=q.dry_cooler_concentration_cycles,
    )
    return rejected_w, fan_w, pump_w, makeup


@law
def move_fans(p: Record, q: Record, error_k: float) -> None:
    """Let the fans of the dry cooler hold the facility water's temperature."""
    p.dry_cooler_integral = integral_next(
        integral=p.dry_cooler_integral,
        error_k=error_k,
        gain_per_k=q.dry_cooler_loop_gain_per_k,
        integral_time_s=q.dry_cooler_loop_integral_time_s,
        dt_s=SUBSTEP_S,
    )
    p.dry_cooler_fan_ratio = slewed(
        value=p.dry_cooler_fan_ratio,
        wanted=actuator_target(
            integral=p.dry_cooler_integral,
            error_k=error_k,
            gain_per_k=q.dry_cooler_loop_gain_per_k,
        ),
        step_max=SUBSTEP_S / q.dry_cooler_fan_ramp_s,
    )


@law
def stored_heat_j(p: Record, q: Record) -> float:
    """Return the heat of all coolant and facility water above 0 °C."""
    stored_j: float = PG25_SPECIFIC_HEAT_J_PER_KG_K * (
        q.cdu_supply_mass_kg * p.cdu_supply_temp_c + q.cdu_return_mass_kg * p.cdu_return_temp_c
    ) + WATER_SPECIFIC_HEAT_J_PER_KG_K * (
        q.facility_water_supply_mass_kg * p.facility_supply_temp_c
        + q.facility_water_return_mass_kg * p.facility_return_temp_c
    )
    return stored_j
