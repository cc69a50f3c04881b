"""One substep of the water: chilled-water loop, economizer, chiller, condenser water, tower."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics import chiller, chiller_map, chw, tower
from coolcap_envs.physics.constants import WATER_SPECIFIC_HEAT_J_PER_KG_K
from coolcap_envs.physics.economizer import precooled_temp_c
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import LANES, maximum, minimum, where
from coolcap_envs.physics.local_loop import actuator_target, integral_next, slewed
from coolcap_envs.physics.pump import pump_power_w
from coolcap_envs.physics.records import PIPE_CELLS, SUBSTEP_S, Record
from coolcap_envs.physics.server import lag_ratio
from coolcap_envs.physics.water import evaporation_kg_per_s, makeup_kg_per_s

_COP_UNBOUNDED: Final = 1e3
_CONDENSER_FLOW_MIN_RATIO: Final = 0.3
"""Condenser-water flow below which a chiller's flow switch stops it. Assumption."""
_NONE: Final = 1e-9
"""Stands for no water where a law divides by it; the result is not used then."""


@law
def empty_pipes(
    plants: Record, p: Record, q: Record, cells_c: NDArray[np.float64], water_kg_per_s: float
) -> None:
    """Set the temperature of the water that reaches the coils in this substep.

    Cells of a pipe are an index, in which lanes differ, so that they are gone through one by one.
    """
    p.pipe_flow_cells = water_kg_per_s * (SUBSTEP_S * PIPE_CELLS) / q.chw_pipe_mass_kg
    for k in range(LANES):
        plants.chw_supply_temp_c[k] = chw.pipe_outlet_temp_c(
            cells_c=cells_c[:, k],
            head=np.int64(plants.pipe_head[k]),
            shift=plants.pipe_shift[k],
            flow_cells=plants.pipe_flow_cells[k],
        )


@law
def fill_pipes(plants: Record, cells_c: NDArray[np.float64]) -> None:
    """Let the water leaving the chillers into the pipes."""
    for k in range(LANES):
        head, shift, fill_c = chw.pipe_push(
            cells_c=cells_c[:, k],
            head=np.int64(plants.pipe_head[k]),
            shift=plants.pipe_shift[k],
            fill_temp_c=plants.pipe_fill_temp_c[k],
            flow_cells=plants.pipe_flow_cells[k],
            inlet_temp_c=plants.chw_leaving_temp_c[k],
        )
        plants.pipe_head[k] = head
        plants.pipe_shift[k] = shift
        plants.pipe_fill_temp_c[k] = fill_c


@law
def chilled_water(
    p: Record,
    q: Record,
    i: Record,
    water_kg_per_s: float,
    coil_heat_w: float,
    has_map: bool,
) -> tuple[float, float, float, float]:
    """Advance the chilled-water loop up to the water leaving the chiller.

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
    warmed_k = coil_heat_w / maximum(flow_w_per_k, _NONE)
    coil_out_c = p.chw_supply_temp_c + where(flow_w_per_k > 0.0, warmed_k, 0.0)
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
    load_ratio = maximum(
        chiller_w / maximum(q.chiller_capacity_w * i.chiller_available_ratio, _NONE),
        q.chiller_load_min_ratio,
    )
    cop = carnot_cop(
        q=q,
        chw_c=p.chw_leaving_temp_c,
        cw_c=p.cw_leaving_temp_c,
        load_ratio=load_ratio,
        cop_max=q.chiller_cop_max,
    )
    if has_map:
        cop = mapped_cop(p=p, q=q, load_ratio=load_ratio)
    power_w = where(chiller_w > 0.0, chiller_w / cop, 0.0)
    return economizer_w, chiller_w, power_w, pump_w


@law
def carnot_cop(q: Record, chw_c: float, cw_c: float, load_ratio: float, cop_max: float) -> float:
    """Return the coefficient of performance by the law of lift."""
    return chiller.coefficient_of_performance(
        chw_leaving_temp_c=chw_c,
        cw_leaving_temp_c=cw_c,
        evaporator_approach_k=q.chiller_evaporator_approach_k,
        condenser_approach_k=q.chiller_condenser_approach_k,
        lift_min_k=q.chiller_lift_min_k,
        lift_loss_k=q.chiller_lift_loss_k,
        carnot_scale=q.chiller_carnot_scale,
        part_load=chiller.part_load_factor(
            load_ratio=load_ratio,
            best_load_ratio=q.chiller_best_load_ratio,
            curvature=q.chiller_part_load_curvature,
        ),
        cop_max=cop_max,
    )


@law
def mapped_cop(p: Record, q: Record, load_ratio: float) -> float:
    """Return the coefficient of performance by the catalogue map, carried on beyond its bounds."""
    chw_c = minimum(maximum(p.chw_leaving_temp_c, q.chiller_map_chw_min_c), q.chiller_map_chw_max_c)
    cw_c = minimum(maximum(p.cw_leaving_temp_c, q.chiller_map_cw_min_c), q.chiller_map_cw_max_c)
    return chiller_map.extended_cop(
        energy_input_ratio_inside=chiller_map.energy_input_ratio(
            chw_leaving_temp_c=chw_c,
            cw_leaving_temp_c=cw_c,
            load_ratio=load_ratio,
            constant=q.chiller_map_constant,
            chw=q.chiller_map_chw,
            chw_square=q.chiller_map_chw_square,
            cw=q.chiller_map_cw,
            cw_square=q.chiller_map_cw_square,
            product=q.chiller_map_product,
            part_linear=q.chiller_map_part_linear,
            part_square=q.chiller_map_part_square,
        ),
        carnot_cop=carnot_cop(
            q=q,
            chw_c=p.chw_leaving_temp_c,
            cw_c=p.cw_leaving_temp_c,
            load_ratio=load_ratio,
            cop_max=_COP_UNBOUNDED,
        ),
        carnot_cop_inside=carnot_cop(
            q=q, chw_c=chw_c, cw_c=cw_c, load_ratio=load_ratio, cop_max=_COP_UNBOUNDED
        ),
        cop_max=q.chiller_cop_max,
    )


@law
def run_chiller(p: Record, q: Record, i: Record, entering_temp_c: float) -> float:
    """Start, ramp or stop the chiller; return the cooling it can give now, W."""
    running = p.chiller_running != 0.0
    since_change_s = p.chiller_since_change_s + SUBSTEP_S
    wanted = chiller.wanted_running(
        running=running,
        since_change_s=since_change_s,
        hold_s=q.chiller_hold_s,
        entering_temp_c=entering_temp_c,
        setpoint_c=p.chw_wanted_temp_c,
        start_band_k=q.chiller_start_band_k,
        stop_band_k=q.chiller_stop_band_k,
    )
    has_changed = wanted != running
    p.chiller_running = where(wanted, 1.0, 0.0)
    p.chiller_since_change_s = where(has_changed, 0.0, since_change_s)
    fit = (i.chiller_available_ratio > 0.0) & (i.pump_available_ratio >= _CONDENSER_FLOW_MIN_RATIO)
    before = where(has_changed, 0.0, p.chiller_ramp_ratio)
    ramp = minimum(before + SUBSTEP_S / q.chiller_start_ramp_s, 1.0)
    p.chiller_ramp_ratio = where(wanted & fit, ramp, 0.0)
    capacity_w: float = q.chiller_capacity_w * i.chiller_available_ratio * p.chiller_ramp_ratio
    return capacity_w


@law
def condenser_flow_w_per_k(q: Record, i: Record) -> float:
    """Return the capacity rate of the condenser water; its pumps run at constant speed."""
    flow_w_per_k: float = (
        q.cw_flow_design_kg_per_s * i.pump_available_ratio * WATER_SPECIFIC_HEAT_J_PER_KG_K
    )
    return flow_w_per_k


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
    setpoint_c = maximum(i.cw_setpoint_c, q.cw_supply_temp_min_c)
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
    flows = flow_w_per_k > 0.0
    pump_w = q.cw_pump_power_design_w * i.pump_available_ratio
    heat_w = economizer_w + condenser_w + pump_w
    warmed_c = p.basin_temp_c + heat_w / maximum(flow_w_per_k, _NONE)
    p.cw_leaving_temp_c = where(flows, warmed_c, p.cw_leaving_temp_c)
    cooled_c = tower.leaving_temp_c(
        entering_temp_c=p.cw_leaving_temp_c,
        wet_bulb_c=p.wet_bulb_temp_c,
        water_flow_ratio=i.pump_available_ratio,
        air_flow_ratio=p.tower_fan_ratio * i.tower_available_ratio,
    )
    rejected_w = flow_w_per_k * (p.cw_leaving_temp_c - cooled_c)
    # Explicit Euler, for what left the basin in this substep did so at its old temperature.
    gained_j = where(flows, heat_w - rejected_w, 0.0) * SUBSTEP_S
    p.basin_temp_c += gained_j / (q.cw_basin_mass_kg * WATER_SPECIFIC_HEAT_J_PER_KG_K)
    makeup = makeup_kg_per_s(
        evaporation=evaporation_kg_per_s(heat_w=rejected_w, latent_share=q.water_latent_heat_ratio),
        water_flow_kg_per_s=q.cw_flow_design_kg_per_s * i.pump_available_ratio,
        drift_share=q.water_drift_ratio,
        concentration_cycles=q.water_concentration_cycles,
    )
    return where(flows, rejected_w, 0.0), fan_w, pump_w, where(flows, makeup, 0.0)


@law
def stored_heat_j(plants: Record, p: Record, q: Record, cells_c: NDArray[np.float64]) -> float:
    """Return the heat of all water above 0 °C."""
    for k in range(LANES):
        plants.pipe_mean_temp_c[k] = chw.pipe_mean_temp_c(
            cells_c=cells_c[:, k],
            head=np.int64(plants.pipe_head[k]),
            shift=plants.pipe_shift[k],
            fill_temp_c=plants.pipe_fill_temp_c[k],
        )
    stored_j: float = WATER_SPECIFIC_HEAT_J_PER_KG_K * (
        q.chw_pipe_mass_kg * p.pipe_mean_temp_c
        + q.chw_return_mass_kg * p.chw_return_temp_c
        + q.cw_basin_mass_kg * p.basin_temp_c
    )
    return stored_j
