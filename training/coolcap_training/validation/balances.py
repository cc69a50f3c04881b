"""Energy, water and work of a whole simulated plant over a stretch with faults."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    JOULE_PER_KWH,
    WATER_EVAPORATION_HEAT_J_PER_KG,
)
from coolcap_envs.plant_totals import Totals
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site
from coolcap_training.validation.check import Check, Found

_STEP_S: Final = 30.0
_STEPS_PER_CHANGE: Final = 40
_PLANTS: Final = 2
_ROUNDING: Final = 1e-12
TARGET: Final = 1e-6
_SOURCE: Final = "conservation laws"


@dataclass(slots=True, kw_only=True)
class _Worst:
    energy: float = 0.0
    water: float = 0.0
    work: float = 0.0


def _expected_water_kg(
    site: Site, *, tower_heat_j: FloatArray, step_s: float, pump_ratio: float
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the most make-up water that a step's heat to the atmosphere allows.

    Evaporation ``E = share*Q/hfg`` and blowdown ``E/(n-1)`` less the drift, which counts as part
    of it: both bounds are ``E*n/(n-1)``, as long as blowdown covers the drift. Where it does not,
    within some substep, up to the whole drift comes on top.
    """
    q = site.parameters
    evaporated = q["water_latent_heat_ratio"] * tower_heat_j / WATER_EVAPORATION_HEAT_J_PER_KG
    cycles = q["water_concentration_cycles"]
    drift = q["water_drift_ratio"] * q["cw_flow_design_kg_per_s"] * pump_ratio * step_s
    least = evaporated * cycles / (cycles - 1.0)
    covered = evaporated / (cycles - 1.0) > 2.0 * drift
    return least, least + np.where(covered, 0.0, drift)


def _pad_water_max_kg(site: Site, *, outdoor_c: FloatArray, wet_bulb_c: FloatArray) -> FloatArray:
    """Return the most water that pads can take in a step: all wet, with fans at full speed."""
    q = site.parameters
    if not site.is_liquid:
        return np.zeros_like(outdoor_c)
    cooled_k = q["dry_cooler_pad_effectiveness"] * np.maximum(outdoor_c - wet_bulb_c, 0.0)
    air_w_per_k = q["dry_cooler_air_flow_design_kg_per_s"] * AIR_SPECIFIC_HEAT_J_PER_KG_K
    cycles = q["dry_cooler_concentration_cycles"]
    evaporated = air_w_per_k * cooled_k * _STEP_S / WATER_EVAPORATION_HEAT_J_PER_KG
    return evaporated * cycles / (cycles - 1.0) * (1.0 + _ROUNDING)


def _change(site: Site, plant: SimulatedPlant, rng: np.random.Generator) -> float:
    """Move every set point at random and let devices fail; return the share of pumps that run."""
    layout = site.layout
    low, high = (
        np.where(layout.plant_levers, bound, 0.0)
        for bound in (site.limits.lever_low, site.limits.lever_high)
    )
    levers = rng.uniform(low, high, (_PLANTS, low.size))
    caps = (_PLANTS, layout.group_count)
    plant.apply(
        Setpoints(
            power_cap_w=rng.uniform(layout.power_limit_min_w, layout.power_limit_max_w, caps),
            sm_clock_max_mhz=np.full(caps, np.nan),
            plant=np.where(layout.plant_levers, levers, np.nan),
        )
    )
    shares = rng.choice([0.0, 0.5, 1.0], size=5, p=[0.05, 0.15, 0.8])
    crah, chiller, tower, pump, cdu = shares
    plant.set_available(crah=crah, chiller=chiller, tower=tower, pump=pump, cdu=cdu)
    return float(shares[3])


def _tower_heat_j(
    site: Site, *, before: Totals, after: Totals, loss_w: FloatArray, fan_w: FloatArray
) -> FloatArray:
    """Return the heat a step gave to the atmosphere by water, from the energy balance.

    What enters, as electricity or as vapour in make-up air, and is neither stored nor leaves dry:
    losses of the UPS, fans outdoors and the rest of the building heat the atmosphere directly, and
    so do dry coolers.
    """
    entered = after.facility_energy_kwh - before.facility_energy_kwh
    entered = entered + after.moisture_heat_kwh - before.moisture_heat_kwh
    entered = entered - (after.dry_cooler_heat_kwh - before.dry_cooler_heat_kwh)
    stored = after.stored_heat_kwh - before.stored_heat_kwh
    it_j = (after.it_energy_kwh - before.it_energy_kwh) * JOULE_PER_KWH
    cables_j = site.parameters["electrical_distribution_loss_ratio"] * it_j
    other_w = fan_w + site.parameters["electrical_other_power_w"]
    dry_j = loss_w * _STEP_S - cables_j + other_w * _STEP_S
    return (entered - stored) * JOULE_PER_KWH - dry_j


def _run(site: Site, *, days: float, seed: int) -> tuple[_Worst, int]:
    plant = SimulatedPlant(site, batch_size=_PLANTS, seed=seed)
    rng = np.random.default_rng(seed)
    worst = _Worst()
    before = plant.totals()
    pump_ratio = 1.0
    steps = round(days * 86_400.0 / _STEP_S)
    for step in range(steps):
        if step % _STEPS_PER_CHANGE == 0:
            pump_ratio = _change(site, plant, rng)
        plant.advance(_STEP_S)
        after, truth = plant.totals(), plant.read_truth()
        worst.energy = max(worst.energy, float(np.abs(after.energy_residual_ratio).max()))
        least, most = _expected_water_kg(
            site,
            tower_heat_j=_tower_heat_j(
                site,
                before=before,
                after=after,
                loss_w=truth.of_plant("loss_power_w"),
                fan_w=truth.of_plant("tower_fan_power_w"),
            ),
            step_s=_STEP_S,
            pump_ratio=pump_ratio,
        )
        pads = after.pad_water_kg - before.pad_water_kg
        drawn = after.makeup_water_kg - before.makeup_water_kg - pads
        wettest = _pad_water_max_kg(
            site,
            outdoor_c=truth.of_plant("outdoor_temp_c"),
            wet_bulb_c=truth.of_plant("wet_bulb_temp_c"),
        )
        entered_j = (after.facility_energy_kwh - before.facility_energy_kwh) * JOULE_PER_KWH
        missed = np.maximum(least - drawn, 0.0) + np.maximum(drawn - most, 0.0)
        missed += np.maximum(pads - wettest, 0.0) + np.maximum(-pads, 0.0)
        as_heat = missed * WATER_EVAPORATION_HEAT_J_PER_KG / entered_j
        worst.water = max(worst.water, float(as_heat.max()))
        offered = after.offered_gpu_h
        accounted = after.work_gpu_h + after.lost_gpu_h + after.waiting_gpu_h
        worst.work = max(worst.work, float((np.abs(accounted - offered) / offered).max()))
        before = after
    return worst, steps * _PLANTS


def check_balances(site: Site, *, days: float, seed: int = 1) -> Found:
    """Check that nothing appears or vanishes in any step.

    Args:
        site: The site.
        days: Length; set points and faults change every 20 minutes.
        seed: Of everything.
    """
    worst, steps = _run(site, days=days, seed=seed)
    note = (
        f"{_PLANTS} plants, days: {days:g}, every step; set points jump and devices of every "
        "kind fail each 20 minutes"
    )
    return Found(
        checks=[
            Check(
                name=f"{site.name}: {what} balance",
                source=_SOURCE,
                metric=metric,
                value=value,
                target=TARGET,
                rows=steps,
                note=note + remark,
            )
            for what, metric, value, remark in (
                ("energy", "largest residual over energy that entered", worst.energy, ""),
                (
                    "water",
                    "largest residual, as latent heat over energy that entered",
                    worst.water,
                    "; heat to the atmosphere is taken from the energy balance, not from the tower",
                ),
                ("work", "largest residual over work offered", worst.work, ""),
            )
        ]
    )
