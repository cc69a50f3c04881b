"""The kernel: a whole batch of plants advanced by one control step.

A control step is a number of substeps of 5 s, six for the 30 s of the policy. The plants of a tile
advance together, one per lane. Plants do not interact, so neither the lane nor the thread a plant
runs in changes a bit of the result. Every step closes the energy balance over all streams and
stores: electricity in = heat to the atmosphere + change of stored heat.
"""

from typing import Any, Final, TypeVar

import numba
import numpy as np

from coolcap_envs.physics import air_side, group, humidity, liquid_side, water_side
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.constants import JOULE_PER_KWH, SECONDS_PER_HOUR
from coolcap_envs.physics.electrical import distribution_loss_w, ups_loss_w
from coolcap_envs.physics.jit import is_compiled, kernel, law, parallel_kernel
from coolcap_envs.physics.lanes import LANES, any_lane, lanes_of, maximum
from coolcap_envs.physics.rack import supply_shortage_ratio
from coolcap_envs.physics.records import SUBSTEP_S, Record

Tables = TypeVar("Tables", bound=Any)
"""A tuple of named arrays such as ``Batch``."""

YEAR_START_S: Final = 1_735_689_600.0
"""First row of hourly series: 2025-01-01 00:00 UTC, seconds since 1970. Years have 8760 hours."""


@law
def take_outside(plants: Record, hourly: Record, series: Record) -> None:
    """Set weather, price and carbon intensity of a tile from the hourly series of each plant.

    Weather is interpolated between hours; price and carbon hold for the hour.
    """
    hours = hourly.shape[1]
    for k in range(LANES):
        values = hourly[series[k]]
        at = ((plants.time_s[k] - YEAR_START_S) / SECONDS_PER_HOUR) % hours
        row = int(at)
        part = at - row
        row = row % hours
        after = row + 1 if row + 1 < hours else 0
        plants.outdoor_temp_c[k] = (1.0 - part) * values[row, 0] + part * values[after, 0]
        plants.wet_bulb_temp_c[k] = (1.0 - part) * values[row, 1] + part * values[after, 1]
        plants.price_usd_per_kwh[k] = values[row, 2]
        plants.grid_carbon_g_per_kwh[k] = values[row, 3]


@law
def take_work(batch: Batch, t: int, n: int) -> None:
    """Look up what class of work group ``n`` of each plant of tile ``t`` runs, if it is new."""
    g, i = lanes_of(batch.groups[t, n]), lanes_of(batch.group_inputs[t, n])
    if not any_lane(g.work_class != i.work_class):
        return
    for k in range(LANES):
        row = int(batch.group_inputs[t, n].work_class[k])
        for f in range(batch.work_values.shape[2]):
            value = batch.class_values[t, batch.model_of[n], row, f, k]
            batch.work_values[t, n, f, k] = value


@law
def stored_heat_j(batch: Batch, t: int) -> float:
    """Return all heat stored in each plant of tile ``t`` above 0 °C, that of vapour included."""
    p, q = lanes_of(batch.plant[t]), lanes_of(batch.parameters[t])
    total_j: float = air_side.stored_heat_j(p=p, q=q) + water_side.stored_heat_j(
        plants=batch.plant[t], p=p, q=q, cells_c=batch.pipes_c[t]
    )
    if batch.has_liquid:
        total_j += liquid_side.stored_heat_j(p=p, q=q)
    if batch.has_humidity:
        total_j += humidity.stored_heat_j(p=p, q=q)
    for n in range(batch.groups.shape[1]):
        total_j += group.stored_heat_j(
            g=lanes_of(batch.groups[t, n]),
            c=lanes_of(batch.group_parameters[t, n]),
            m=lanes_of(batch.models[t, batch.model_of[n]]),
        )
    return total_j


@law
def advance_tile(batch: Batch, t: int, substeps: int) -> None:
    """Advance the plants of tile ``t`` by one control step of ``substeps`` substeps."""
    plants, cells_c = batch.plant[t], batch.pipes_c[t]
    p, q, i = lanes_of(plants), lanes_of(batch.parameters[t]), lanes_of(batch.inputs[t])
    group_count = batch.groups.shape[1]
    take_outside(plants=plants, hourly=batch.hourly, series=batch.series[t])
    if batch.has_humidity:
        p.outdoor_humidity_ratio = humidity.outdoor_ratio(
            dry_bulb_c=p.outdoor_temp_c, wet_bulb_c=p.wet_bulb_temp_c
        )
    for n in range(group_count):
        take_work(batch=batch, t=t, n=n)
        group.begin_step(
            g=lanes_of(batch.groups[t, n]),
            c=lanes_of(batch.group_parameters[t, n]),
            i=lanes_of(batch.group_inputs[t, n]),
        )
    it_w = crah_w = chiller_w = pump_w = tower_w = loss_w = chiller_load_w = economizer_w = 0.0
    rejected_w = makeup_kg = pad_kg = dry_w = moisture_w = coolant_flow = 0.0
    part = 1.0 / substeps
    step_s = substeps * SUBSTEP_S

    for _ in range(substeps):
        supply_kg_per_s, fan_w = air_side.move_fans(p=p, q=q, i=i)
        water_kg_per_s = air_side.move_valves(p=p, q=q, i=i)
        shortage = supply_shortage_ratio(
            supply_kg_per_s=supply_kg_per_s, cold_demand_kg_per_s=p.cold_demand_kg_per_s
        )
        if batch.has_liquid:
            coolant_flow = liquid_side.coolant_flow_ratio(p=p, q=q, i=i)
        heat_w = 0.0
        coolant_w = 0.0
        input_w = 0.0
        demand_kg_per_s = 0.0
        for n in range(group_count):
            g_heat_w, g_input_w, g_air_kg_per_s, g_coolant_w = group.substep(
                g=lanes_of(batch.groups[t, n]),
                c=lanes_of(batch.group_parameters[t, n]),
                i=lanes_of(batch.group_inputs[t, n]),
                m=lanes_of(batch.models[t, batch.model_of[n]]),
                work=lanes_of(batch.work[t, n]),
                q=q,
                cold_temp_c=p.cold_temp_c,
                hot_temp_c=p.hot_temp_c,
                shortage_ratio=shortage,
                part=part,
                coolant_temp_c=p.cdu_supply_temp_c,
                coolant_flow_ratio=coolant_flow,
                has_liquid=batch.has_liquid,
            )
            coolant_w += g_coolant_w
            heat_w += g_heat_w
            input_w += g_input_w
            demand_kg_per_s += g_air_kg_per_s
        p.cold_demand_kg_per_s = demand_kg_per_s
        cable_w = distribution_loss_w(
            load_w=input_w, loss_share=q.electrical_distribution_loss_ratio
        )
        ups_w = ups_loss_w(
            load_w=input_w + cable_w,
            rated_w=q.electrical_ups_rated_w,
            fixed_share=q.electrical_ups_fixed_loss_ratio,
            linear_share=q.electrical_ups_linear_loss_ratio,
            square_share=q.electrical_ups_square_loss_ratio,
        )

        water_side.empty_pipes(
            plants=plants, p=p, q=q, cells_c=cells_c, water_kg_per_s=water_kg_per_s
        )
        coil_w = air_side.exchange(
            p=p,
            q=q,
            i=i,
            supply_kg_per_s=supply_kg_per_s,
            water_kg_per_s=water_kg_per_s,
            water_temp_c=p.chw_supply_temp_c,
            fan_w=fan_w,
            heat_w=heat_w + cable_w,
        )
        if batch.has_humidity:
            latent_w, brought_w = humidity.advance(
                p=p, q=q, supply_kg_per_s=supply_kg_per_s, water_kg_per_s=water_kg_per_s
            )
            coil_w += latent_w
            moisture_w += brought_w
        eco_w, load_w, compressor_w, chw_pump_w = water_side.chilled_water(
            p=p,
            q=q,
            i=i,
            water_kg_per_s=water_kg_per_s,
            coil_heat_w=coil_w,
            has_map=batch.has_chiller_map,
        )
        water_side.fill_pipes(plants=plants, cells_c=cells_c)
        out_w, tower_fan_w, cw_pump_w, makeup = water_side.condenser_water(
            p=p, q=q, i=i, economizer_w=eco_w, condenser_w=load_w + compressor_w
        )

        if batch.has_liquid:
            liquid_w, cooler_fan_w, liquid_pump_w, pad = liquid_side.advance(
                p=p, q=q, i=i, flow_ratio=coolant_flow, heat_w=coolant_w
            )
            dry_w += liquid_w
            out_w += liquid_w
            tower_fan_w += cooler_fan_w
            pump_w += liquid_pump_w
            pad_kg += pad * SUBSTEP_S

        it_w += input_w
        crah_w += fan_w
        chiller_w += compressor_w
        pump_w += chw_pump_w + cw_pump_w
        tower_w += tower_fan_w
        loss_w += cable_w + ups_w
        chiller_load_w += load_w
        economizer_w += eco_w
        # UPS losses, tower fans and the rest of the building heat the atmosphere directly.
        rejected_w += out_w + ups_w + tower_fan_w + q.electrical_other_power_w
        makeup_kg += makeup * SUBSTEP_S

    record_step(
        p=p,
        it_w=it_w * part,
        crah_w=crah_w * part,
        chiller_w=chiller_w * part,
        pump_w=pump_w * part,
        tower_w=tower_w * part,
        loss_w=loss_w * part,
        other_w=q.electrical_other_power_w,
        step_s=step_s,
    )
    p.chiller_load_w = chiller_load_w * part
    p.economizer_load_w = economizer_w * part
    p.makeup_water_kg += makeup_kg + pad_kg
    p.pad_water_kg += pad_kg
    p.dry_cooler_heat_j += dry_w * SUBSTEP_S
    p.moisture_heat_j += moisture_w * SUBSTEP_S
    inlet_c = lanes_of(batch.groups[t, 0]).inlet_temp_c
    for n in range(group_count):
        g = lanes_of(batch.groups[t, n])
        group.end_step(
            g=g,
            c=lanes_of(batch.group_parameters[t, n]),
            i=lanes_of(batch.group_inputs[t, n]),
            m=lanes_of(batch.models[t, batch.model_of[n]]),
            work=lanes_of(batch.work[t, n]),
            q=q,
            step_s=step_s,
        )
        inlet_c = maximum(inlet_c, g.inlet_temp_c)
    p.inlet_temp_max_c = inlet_c

    stored_j = stored_heat_j(batch=batch, t=t)
    in_j = p.facility_power_w * step_s + moisture_w * SUBSTEP_S
    out_j = rejected_w * SUBSTEP_S
    p.energy_residual_ratio = (in_j - out_j - (stored_j - p.stored_heat_j)) / in_j
    p.stored_heat_j = stored_j
    p.time_s += step_s
    p.step += 1


@law
def record_step(
    p: Record,
    it_w: float,
    crah_w: float,
    chiller_w: float,
    pump_w: float,
    tower_w: float,
    loss_w: float,
    other_w: float,
    step_s: float,
) -> None:
    """Write the step's mean powers to plant ``p`` and add them to its counters."""
    cooling_w = crah_w + chiller_w + pump_w + tower_w
    p.it_power_w = it_w
    p.crah_fan_power_w = crah_w
    p.chiller_power_w = chiller_w
    p.pump_power_w = pump_w
    p.tower_fan_power_w = tower_w
    p.loss_power_w = loss_w
    p.facility_power_w = it_w + cooling_w + loss_w + other_w
    p.it_energy_j += it_w * step_s
    p.cooling_energy_j += cooling_w * step_s
    energy_j = p.facility_power_w * step_s
    p.facility_energy_j += energy_j
    p.cost_usd += energy_j / JOULE_PER_KWH * p.price_usd_per_kwh
    p.carbon_g += energy_j / JOULE_PER_KWH * p.grid_carbon_g_per_kwh


@kernel
def _settle(batch: Batch) -> None:
    for t in range(batch.plant.shape[0]):
        take_outside(plants=batch.plant[t], hourly=batch.hourly, series=batch.series[t])
        lanes_of(batch.plant[t]).stored_heat_j = stored_heat_j(batch=batch, t=t)


@kernel
def _advance_serial(batch: Batch, substeps: int) -> None:
    for t in range(batch.plant.shape[0]):
        advance_tile(batch=batch, t=t, substeps=substeps)


@parallel_kernel
def _advance_parallel(batch: Batch, substeps: int) -> None:
    for t in numba.prange(batch.plant.shape[0]):
        advance_tile(batch=batch, t=t, substeps=substeps)


def readable(batch: Tables) -> Tables:
    """Return tables as kernels need them: with named fields when run uncompiled to debug."""
    if is_compiled():
        return batch
    named: dict[str, Any] = {
        name: value.view(np.recarray)
        for name, value in batch._asdict().items()
        if isinstance(value, np.ndarray) and value.dtype.names
    }
    result: Tables = batch._replace(**named)
    return result


def settle(batch: Batch) -> None:
    """Set weather and stored heat after the state was set by hand."""
    _settle(readable(batch))


def advance(batch: Batch, *, substeps: int, parallel: bool = False) -> None:
    """Advance every plant of a batch by one control step, in place.

    Args:
        batch: The plants, their parameters and inputs.
        substeps: Length of the step in substeps of 5 s.
        parallel: Spread tiles over Numba's threads; the result is the same bit for bit.
    """
    run = _advance_parallel if parallel and is_compiled() else _advance_serial
    run(readable(batch), substeps)
