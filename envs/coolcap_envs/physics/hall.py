"""The kernel: a whole batch of plants advanced by one control step.

A control step is a number of substeps of 5 s, six for the 30 s of the policy. Plants do not
interact, so running them on several threads changes no bit of the result. Every step closes the
energy balance over all streams and stores: electricity in = heat to the atmosphere + change of
stored heat.
"""

from typing import Final

import numba
import numpy as np

from coolcap_envs.physics import air_side, group, water_side
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.constants import JOULE_PER_KWH, SECONDS_PER_HOUR
from coolcap_envs.physics.electrical import distribution_loss_w, ups_loss_w
from coolcap_envs.physics.jit import is_compiled, kernel, law, parallel_kernel
from coolcap_envs.physics.rack import supply_shortage_ratio
from coolcap_envs.physics.records import SUBSTEP_S, Record, Records

YEAR_START_S: Final = 1_735_689_600.0
"""First row of hourly series: 2025-01-01 00:00 UTC, seconds since 1970. Years have 8760 hours."""


@law
def take_outside(p: Record, hourly: Record) -> None:
    """Set weather, price and carbon intensity of plant ``p`` from its hourly series.

    Weather is interpolated between hours; price and carbon hold for the hour.
    """
    hours = hourly.shape[0]
    at = ((p.time_s - YEAR_START_S) / SECONDS_PER_HOUR) % hours
    row = int(at)
    part = at - row
    row = row % hours
    after = (row + 1) % hours
    p.outdoor_temp_c = (1.0 - part) * hourly[row, 0] + part * hourly[after, 0]
    p.wet_bulb_temp_c = (1.0 - part) * hourly[row, 1] + part * hourly[after, 1]
    p.price_usd_per_kwh = hourly[row, 2]
    p.grid_carbon_g_per_kwh = hourly[row, 3]


@law
def stored_heat_j(
    p: Record,
    q: Record,
    cells_c: Record,
    groups: Record,
    group_parameters: Record,
    models: Record,
) -> float:
    """Return all heat stored in a plant above 0 °C."""
    total = air_side.stored_heat_j(p=p, q=q) + water_side.stored_heat_j(p=p, q=q, cells_c=cells_c)
    for n in range(groups.shape[0]):
        c = group_parameters[n]
        total += group.stored_heat_j(g=groups[n], c=c, m=models[c.model])
    return total


@law
def advance_one(
    p: Record,
    cells_c: Record,
    groups: Record,
    q: Record,
    group_parameters: Record,
    models: Record,
    classes: Record,
    i: Record,
    group_inputs: Record,
    hourly: Record,
    substeps: int,
) -> None:
    """Advance one plant by one control step of ``substeps`` substeps."""
    take_outside(p=p, hourly=hourly)
    for n in range(groups.shape[0]):
        group.begin_step(g=groups[n], c=group_parameters[n], i=group_inputs[n])
    it_w = crah_w = chiller_w = pump_w = tower_w = loss_w = chiller_load_w = economizer_w = 0.0
    rejected_w = makeup_kg = 0.0
    part = 1.0 / substeps
    step_s = substeps * SUBSTEP_S

    for _ in range(substeps):
        supply_kg_per_s, fan_w = air_side.move_fans(p=p, q=q, i=i)
        water_kg_per_s = air_side.move_valves(p=p, q=q, i=i)
        shortage = supply_shortage_ratio(
            supply_kg_per_s=supply_kg_per_s, cold_demand_kg_per_s=p.cold_demand_kg_per_s
        )
        heat_w = 0.0
        input_w = 0.0
        demand_kg_per_s = 0.0
        for n in range(groups.shape[0]):
            c = group_parameters[n]
            g_heat_w, g_input_w, g_air_kg_per_s = group.substep(
                g=groups[n],
                c=c,
                i=group_inputs[n],
                m=models[c.model],
                work=classes[c.model, group_inputs[n].work_class],
                q=q,
                cold_temp_c=p.cold_temp_c,
                hot_temp_c=p.hot_temp_c,
                shortage_ratio=shortage,
                part=part,
            )
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

        water_temp_c = water_side.coil_water_temp_c(
            p=p, q=q, cells_c=cells_c, water_kg_per_s=water_kg_per_s
        )
        coil_w = air_side.exchange(
            p=p,
            q=q,
            i=i,
            supply_kg_per_s=supply_kg_per_s,
            water_kg_per_s=water_kg_per_s,
            water_temp_c=water_temp_c,
            fan_w=fan_w,
            heat_w=heat_w + cable_w,
        )
        eco_w, load_w, compressor_w, chw_pump_w = water_side.chilled_water(
            p=p, q=q, i=i, cells_c=cells_c, water_kg_per_s=water_kg_per_s, coil_heat_w=coil_w
        )
        out_w, tower_fan_w, cw_pump_w, makeup = water_side.condenser_water(
            p=p, q=q, i=i, economizer_w=eco_w, condenser_w=load_w + compressor_w
        )

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
    p.makeup_water_kg += makeup_kg
    inlet_c = groups[0].inlet_temp_c
    for n in range(groups.shape[0]):
        c = group_parameters[n]
        group.end_step(
            g=groups[n],
            c=c,
            i=group_inputs[n],
            m=models[c.model],
            work=classes[c.model, group_inputs[n].work_class],
            q=q,
            step_s=step_s,
        )
        inlet_c = max(inlet_c, groups[n].inlet_temp_c)
    p.inlet_temp_max_c = inlet_c

    stored_j = stored_heat_j(
        p=p,
        q=q,
        cells_c=cells_c,
        groups=groups,
        group_parameters=group_parameters,
        models=models,
    )
    in_j = p.facility_power_w * step_s
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
def _settle(
    plant: Record,
    pipes_c: Record,
    groups: Record,
    parameters: Record,
    group_parameters: Record,
    models: Record,
    hourly: Record,
    series: Record,
) -> None:
    for b in range(plant.shape[0]):
        take_outside(p=plant[b], hourly=hourly[series[b]])
        plant[b].stored_heat_j = stored_heat_j(
            p=plant[b],
            q=parameters[b],
            cells_c=pipes_c[b],
            groups=groups[b],
            group_parameters=group_parameters[b],
            models=models[b],
        )


@kernel
def _advance_serial(
    plant: Record,
    pipes_c: Record,
    groups: Record,
    parameters: Record,
    group_parameters: Record,
    models: Record,
    classes: Record,
    inputs: Record,
    group_inputs: Record,
    hourly: Record,
    series: Record,
    substeps: int,
) -> None:
    for b in range(plant.shape[0]):
        advance_one(
            p=plant[b],
            cells_c=pipes_c[b],
            groups=groups[b],
            q=parameters[b],
            group_parameters=group_parameters[b],
            models=models[b],
            classes=classes[b],
            i=inputs[b],
            group_inputs=group_inputs[b],
            hourly=hourly[series[b]],
            substeps=substeps,
        )


@parallel_kernel
def _advance_parallel(
    plant: Record,
    pipes_c: Record,
    groups: Record,
    parameters: Record,
    group_parameters: Record,
    models: Record,
    classes: Record,
    inputs: Record,
    group_inputs: Record,
    hourly: Record,
    series: Record,
    substeps: int,
) -> None:
    for b in numba.prange(plant.shape[0]):
        advance_one(
            p=plant[b],
            cells_c=pipes_c[b],
            groups=groups[b],
            q=parameters[b],
            group_parameters=group_parameters[b],
            models=models[b],
            classes=classes[b],
            i=inputs[b],
            group_inputs=group_inputs[b],
            hourly=hourly[series[b]],
            substeps=substeps,
        )


def readable(records: Records) -> Records:
    """Return ``records`` as kernels need them: with named fields when run uncompiled to debug."""
    return records if is_compiled() else records.view(np.recarray)


def settle(batch: Batch) -> None:
    """Set weather and stored heat after the state was set by hand."""
    _settle(
        readable(batch.plant),
        batch.pipes_c,
        readable(batch.groups),
        readable(batch.parameters),
        readable(batch.group_parameters),
        readable(batch.models),
        batch.hourly,
        batch.series,
    )


def advance(batch: Batch, *, substeps: int, parallel: bool = False) -> None:
    """Advance every plant of a batch by one control step, in place.

    Args:
        batch: The plants, their parameters and inputs.
        substeps: Length of the step in substeps of 5 s.
        parallel: Spread plants over Numba's threads; the result is the same bit for bit.
    """
    run = _advance_parallel if parallel and is_compiled() else _advance_serial
    run(
        readable(batch.plant),
        batch.pipes_c,
        readable(batch.groups),
        readable(batch.parameters),
        readable(batch.group_parameters),
        readable(batch.models),
        readable(batch.classes),
        readable(batch.inputs),
        readable(batch.group_inputs),
        batch.hourly,
        batch.series,
        substeps,
    )
