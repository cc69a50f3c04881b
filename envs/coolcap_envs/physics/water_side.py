"""One substep of the water: chilled-water loop, economizer, chiller, condenser water, tower."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics import chiller, chw, tower
from coolcap_envs.physics.constants import WATER_SPECIFIC_HEAT_J_PER_KG_K
from coolcap_envs.physics.economizer import precooled_temp_c
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.local_loop import actuator_target, integral_next, slewed
from coolcap_envs.physics.pump import pump_power_w
from coolcap_envs.physics.records import SUBSTEP_S, Record
from coolcap_envs.physics.server import lag_ratio
from coolcap_envs.physics.water import evaporation_kg_per_s, makeup_kg_per_s

_CONDENSER_FLOW_MIN_RATIO: Final = 0.3
"""Condenser-water flow below which a chiller's flow switch stops it. Assumption."""


@law
def coil_water_temp_c(
    p: Record,
    q: Record,
    cells_c: NDArray[np.float64],
    water_kg_per_s: float,
) -> float:
    """Return the temperature of the water that reaches the coils in this substep."""
    p.chw_supply_temp_c = chw.pipe_outlet_temp_c(
        cells_c=cells_c,
        head=p.pipe_head,
        shift=p.pipe_shift,
        flow_cells=water_kg_per_s * SUBSTEP_S * cells_c.shape[0] / q.chw_pipe_mass_kg,
    )
    return float(p.chw_supply_temp_c)


@law
def chilled_water(
    p: Record,
    q: Record,
    i: Record,
    cells_c: NDArray[np.float64],
    water_kg_per_s: float,
    coil_heat_w: float,
) -> tuple[float, float, float, float]:
    """Advance the chilled-water loop.

    Returns:
        Heat taken by the economizer, W; by the chiller, W; chiller power, W; pump power, W.
    """
    flow_w_per_k = water_kg_per_s * WATER_SPECIFIC_HEAT_J_PER_KG_K
    pump_w = pump_power_w(
        flow_ratio=water_kg_per_s / q.crah_water_flow_design_kg_per_s,
        design_power_w=q.chw_pump_power_design_w,
        min_flow_ratio=q.chw_pump_min_flow_ratio,
        exponent=q.chw_pump_exponent,
    )
    coil_out_c = p.chw_supply_temp_c
    if flow_w_per_k > 0.0:
        coil_out_c += coil_heat_w / flow_w_per_k
    p.chw_return_temp_c = chw.mixed_temp_next_c(
        temp_c=p.chw_return_temp_c,
        capacity_w_per_k=q.chw_return_mass_kg * WATER_SPECIFIC_HEAT_J_PER_KG_K / SUBSTEP_S,
        flow_w_per_k=flow_w_per_k,
        inlet_temp_c=coil_out_c,
        heat_w=pump_w,
    )

    p.chw_wanted_temp_c += lag_ratio(dt_s=SUBSTEP_S, time_constant_s=q.chiller_setpoint_lag_s) * (
        i.chw_setpoint_c - p.chw_wanted_temp_c
    )
    precooled_c = precooled_temp_c(
        return_temp_c=p.chw_return_temp_c,
        tower_water_temp_c=p.basin_temp_c,
        setpoint_c=p.chw_wanted_temp_c,
        effectiveness=q.economizer_effectiveness,
        chw_w_per_k=flow_w_per_k,
        cw_w_per_k=condenser_flow_w_per_k(q=q, i=i),
        min_difference_k=q.economizer_min_difference_k,
    )
    capacity_w = run_chiller(p=p, q=q, i=i, entering_temp_c=precooled_c)
    p.chw_leaving_temp_c = chiller.leaving_temp_c(
        entering_temp_c=precooled_c,
        wanted_temp_c=p.chw_wanted_temp_c,
        capacity_w=capacity_w,
        flow_w_per_k=flow_w_per_k,
    )
    economizer_w = flow_w_per_k * (p.chw_return_temp_c - precooled_c)
    chiller_w = flow_w_per_k * (precooled_c - p.chw_leaving_temp_c)
    power_w = 0.0
    if chiller_w > 0.0:
        load_ratio = chiller_w / (q.chiller_capacity_w * i.chiller_available_ratio)
        cop = chiller.coefficient_of_performance(
            chw_leaving_temp_c=p.chw_leaving_temp_c,
            cw_leaving_temp_c=p.cw_leaving_temp_c,
            evaporator_approach_k=q.chiller_evaporator_approach_k,
            condenser_approach_k=q.chiller_condenser_approach_k,
            lift_min_k=q.chiller_lift_min_k,
            lift_loss_k=q.chiller_lift_loss_k,
            carnot_scale=q.chiller_carnot_scale,
            part_load=chiller.part_load_factor(
                load_ratio=max(load_ratio, q.chiller_load_min_ratio),
                best_load_ratio=q.chiller_best_load_ratio,
                curvature=q.chiller_part_load_curvature,
            ),
            cop_max=q.chiller_cop_max,
        )
        power_w = chiller_w / cop
    p.pipe_head, p.pipe_shift, p.pipe_fill_temp_c = chw.pipe_push(
        cells_c=cells_c,
        head=p.pipe_head,
        shift=p.pipe_shift,
        fill_temp_c=p.pipe_fill_temp_c,
        flow_cells=water_kg_per_s * SUBSTEP_S * cells_c.shape[0] / q.chw_pipe_mass_kg,
        inlet_temp_c=p.chw_leaving_temp_c,
    )
    return economizer_w, chiller_w, power_w, pump_w


@law
def run_chiller(p: Record, q: Record, i: Record, entering_temp_c: float) -> float:
    """Start, ramp or stop the chiller; return the cooling it can give now, W."""
    running = p.chiller_running != 0
    p.chiller_since_change_s += SUBSTEP_S
    wanted = chiller.wanted_running(
        running=running,
        since_change_s=p.chiller_since_change_s,
        hold_s=q.chiller_hold_s,
        entering_temp_c=entering_temp_c,
        setpoint_c=p.chw_wanted_temp_c,
        start_band_k=q.chiller_start_band_k,
        stop_band_k=q.chiller_stop_band_k,
    )
    if wanted != running:
        p.chiller_running = 1 if wanted else 0
        p.chiller_since_change_s = 0.0
        p.chiller_ramp_ratio = 0.0
    fit = i.chiller_available_ratio > 0.0 and i.pump_available_ratio >= _CONDENSER_FLOW_MIN_RATIO
    if p.chiller_running == 0 or not fit:
        p.chiller_ramp_ratio = 0.0
        return 0.0
    p.chiller_ramp_ratio = min(p.chiller_ramp_ratio + SUBSTEP_S / q.chiller_start_ramp_s, 1.0)
    return float(q.chiller_capacity_w * i.chiller_available_ratio * p.chiller_ramp_ratio)


@law
def condenser_flow_w_per_k(q: Record, i: Record) -> float:
    """Return the capacity rate of the condenser water; its pumps run at constant speed."""
    return float(
        q.cw_flow_design_kg_per_s * i.pump_available_ratio * WATER_SPECIFIC_HEAT_J_PER_KG_K
    )


@law
def condenser_water(
    p: Record,
    q: Record,
    i: Record,
    economizer_w: float,
    condenser_w: float,
) -> tuple[float, float, float, float]:
    """Advance condenser water and tower.

    Economizer and condenser stand in series, the economizer first.

    Returns:
        Heat rejected to the atmosphere, W; fan power, W; pump power, W; make-up water, kg/s.
    """
    setpoint_c = max(i.cw_setpoint_c, q.cw_supply_temp_min_c)
    error_k = p.basin_temp_c - setpoint_c
    p.tower_integral = integral_next(
        integral=p.tower_integral,
        error_k=error_k,
        gain_per_k=q.tower_loop_gain_per_k,
        integral_time_s=q.tower_loop_integral_time_s,
        dt_s=SUBSTEP_S,
    )
    p.tower_fan_ratio = slewed(
        value=p.tower_fan_ratio,
        wanted=actuator_target(
            integral=p.tower_integral, error_k=error_k, gain_per_k=q.tower_loop_gain_per_k
        ),
        step_max=SUBSTEP_S / q.tower_fan_ramp_s,
    )
    fan_w = i.tower_available_ratio * tower.fan_power_w(
        speed_ratio=p.tower_fan_ratio,
        design_power_w=q.tower_fan_power_design_w,
        min_speed_ratio=q.tower_fan_min_speed_ratio,
    )
    flow_w_per_k = condenser_flow_w_per_k(q=q, i=i)
    if flow_w_per_k <= 0.0:
        return 0.0, fan_w, 0.0, 0.0
    pump_w = q.cw_pump_power_design_w * i.pump_available_ratio
    p.cw_leaving_temp_c = p.basin_temp_c + (economizer_w + condenser_w + pump_w) / flow_w_per_k
    cooled_c = tower.leaving_temp_c(
        entering_temp_c=p.cw_leaving_temp_c,
        wet_bulb_c=p.wet_bulb_temp_c,
        water_flow_ratio=i.pump_available_ratio,
        air_flow_ratio=p.tower_fan_ratio * i.tower_available_ratio,
    )
    rejected_w = flow_w_per_k * (p.cw_leaving_temp_c - cooled_c)
    # Explicit Euler, for what left the basin in this substep did so at its old temperature.
    gained_j = (economizer_w + condenser_w + pump_w - rejected_w) * SUBSTEP_S
    p.basin_temp_c += gained_j / (q.cw_basin_mass_kg * WATER_SPECIFIC_HEAT_J_PER_KG_K)
    makeup = makeup_kg_per_s(
        evaporation=evaporation_kg_per_s(heat_w=rejected_w, latent_share=q.water_latent_heat_ratio),
        water_flow_kg_per_s=q.cw_flow_design_kg_per_s * i.pump_available_ratio,
        drift_share=q.water_drift_ratio,
        concentration_cycles=q.water_concentration_cycles,
    )
    return rejected_w, fan_w, pump_w, makeup


@law
def stored_heat_j(p: Record, q: Record, cells_c: NDArray[np.float64]) -> float:
    """Return the heat of all water above 0 °C."""
    pipe_c = chw.pipe_mean_temp_c(
        cells_c=cells_c, head=p.pipe_head, shift=p.pipe_shift, fill_temp_c=p.pipe_fill_temp_c
    )
    return float(
        WATER_SPECIFIC_HEAT_J_PER_KG_K
        * (
            q.chw_pipe_mass_kg * pipe_c
            + q.chw_return_mass_kg * p.chw_return_temp_c
            + q.cw_basin_mass_kg * p.basin_temp_c
        )
    )
