"""Monotonicities and bounds that any plant keeps, whoever built it."""

from typing import Final

import numpy as np

from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.chiller import coefficient_of_performance
from coolcap_envs.physics.tower import leaving_temp_c
from coolcap_envs.site import Site
from coolcap_training.validation.check import Check, Found
from coolcap_training.validation.twins import twins

COP_MAX: Final = 18.0
_SETTLE_S: Final = 7200.0
_MEASURE_S: Final = 3600.0
_MIDDAY_S: Final = 1_744_030_800.0
"""7 April 2025, 13:00 UTC: neither summer nor winter."""


def _cops(site: Site) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return chilled-water and condenser temperatures and the site's COP over both."""
    q = site.parameters
    chw = np.linspace(5.0, 25.0, 41)
    condenser = np.linspace(16.0, 40.0, 49)
    cops = [
        [
            coefficient_of_performance(
                chw_leaving_temp_c=float(one),
                cw_leaving_temp_c=float(other),
                evaporator_approach_k=q["chiller_evaporator_approach_k"],
                condenser_approach_k=q["chiller_condenser_approach_k"],
                lift_min_k=q["chiller_lift_min_k"],
                lift_loss_k=q["chiller_lift_loss_k"],
                carnot_scale=q["chiller_carnot_scale"],
                part_load=1.0,
                cop_max=q["chiller_cop_max"],
            )
            for other in condenser
        ]
        for one in chw
    ]
    return chw, condenser, np.array(cops)


def _chiller(site: Site) -> list[Check]:
    chw, condenser, cop = _cops(site)
    source = "second law; plausibility bounds of large chillers"
    rows = chw.size * condenser.size
    return [
        Check(
            name=f"{site.name}: COP falls with condenser temperature",
            source=source,
            metric="largest rise of COP per step to warmer condenser water",
            value=float(np.diff(cop, axis=1).max()),
            target=1e-9,
            rows=rows,
        ),
        Check(
            name=f"{site.name}: COP rises with chilled-water temperature",
            source=source,
            metric="largest fall of COP per step to warmer chilled water",
            value=float(-np.diff(cop, axis=0).min()),
            target=1e-9,
            rows=rows,
        ),
        Check(
            name=f"{site.name}: COP is bounded",
            source=source,
            metric="largest COP from 5 to 25 °C over 16 to 40 °C",
            value=float(cop.max()),
            target=COP_MAX,
            rows=rows,
        ),
    ]


def check_tower_bound() -> Found:
    """Check the tower's law over all weather, loads and fan speeds."""
    lowest = np.inf
    rows = 0
    for wet_bulb_c in np.linspace(-30.0, 30.0, 31):
        for above_k in np.linspace(1.2, 50.0, 26):
            for air in np.linspace(0.0, 1.0, 6):
                leaving_c = leaving_temp_c(
                    entering_temp_c=float(wet_bulb_c + above_k),
                    wet_bulb_c=float(wet_bulb_c),
                    water_flow_ratio=1.0,
                    air_flow_ratio=float(air),
                )
                lowest = min(lowest, leaving_c - wet_bulb_c)
                rows += 1
    check = Check(
        name="Tower never below the wet bulb",
        source="second law; least approach of the York correlation 1.1 K",
        metric="smallest approach, K",
        value=float(lowest),
        target=1.1 - 1e-9,
        is_upper=False,
        rows=rows,
        note="water that enters warmer than that",
    )
    return Found(checks=[check])


def _levers(site: Site, count: int, **values: FloatArray | float) -> FloatArray:
    levers = np.tile(site.limits.lever_default, (count, 1))
    for name, value in values.items():
        levers[:, PLANT_LEVER_COLUMN[name]] = value
    return levers


def _held_hour(
    site: Site, levers: FloatArray, *, weather: str | None = None
) -> dict[str, FloatArray]:
    """Return energies of an hour after two hours of settling, and temperatures at its end."""
    year = weather or site.weathers[0]
    plant = twins(site, levers, weather=year, seed=3, start_time_s=_MIDDAY_S)
    plant.advance(_SETTLE_S)
    before = plant.totals()
    plant.advance(_MEASURE_S)
    after = plant.totals()
    work, truth = after.work_gpu_h - before.work_gpu_h, plant.read_truth()
    return {
        "it": (after.it_energy_kwh - before.it_energy_kwh) / work,
        "facility": (after.facility_energy_kwh - before.facility_energy_kwh) / work,
        "inlet": truth.of_plant("inlet_temp_max_c"),
        "coolant": truth.of_plant("cdu_supply_temp_c"),
        "dew_point": truth.of_plant("dew_point_c"),
        "wet_bulb": truth.of_plant("wet_bulb_temp_c"),
    }


def _servers(site: Site) -> list[Check]:
    supply = np.arange(21.0, 31.0, 0.5)
    levers = _levers(
        site,
        supply.size,
        supply_air_temp_setpoint_c=supply,
        chw_supply_temp_setpoint_c=10.0,
    )
    held = _held_hour(site, levers)
    inside = (held["inlet"] >= 22.9) & (held["inlet"] <= 30.1)
    slope = np.polyfit(held["inlet"][inside], np.log(held["it"][inside]), 1)[0]
    source = "Coroama 2025 (arXiv 2509.26163): 0.35 to 0.5 % per kelvin, 23 to 30 °C"
    metric = "rise of IT energy per work and kelvin of inlet"
    return [
        Check(
            name=f"{site.name}: warm inlets cost IT energy, {word}",
            source=source,
            metric=metric,
            value=float(slope),
            target=target,
            is_upper=is_upper,
            rows=int(inside.sum()),
            note="server fans and leakage of twins that differ in supply air only, slope of the "
            "logarithm",
        )
        for word, target, is_upper in (("at least", 0.0035, False), ("at most", 0.005, True))
    ]


def _containment(site: Site) -> Check:
    flow = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    held = _held_hour(site, _levers(site, flow.size, air_flow_setpoint_ratio=flow))
    broken = held["inlet"] > held["inlet"][0] + 4.0
    best = float(held["facility"][~broken].min())
    worst = float(held["facility"][broken].min()) if broken.any() else np.nan
    return Check(
        name=f"{site.name}: no reward for breaking containment",
        source="containment reversal",
        metric="facility energy per work with too little air over the best with enough",
        value=worst / best,
        target=1.0,
        is_upper=False,
        rows=flow.size,
        note=f"{int(broken.sum())} of {flow.size} flows let inlets rise by more than 4 K",
    )


def _liquid(site: Site) -> list[Check]:
    """Return what coolant must keep to: dew point, leakage, a price for every kind of cooling."""
    coolant = np.array([22.0, 30.0, 36.0, 42.0])
    levers = _levers(
        site,
        coolant.size,
        cdu_supply_temp_setpoint_c=coolant,
        chw_supply_temp_setpoint_c=18.0,
        supply_air_temp_setpoint_c=25.0,
    )
    held = _held_hour(site, levers, weather="miami" if "miami" in site.weathers else None)
    slope = np.polyfit(held["coolant"], np.log(held["it"]), 1)[0]
    leakage = max(model.device["device_leakage_per_k"] for model in site.gpu_models.values())
    rows = coolant.size
    return [
        Check(
            name=f"{site.name}: {name}",
            source=source,
            metric=metric,
            value=float(value),
            target=target,
            is_upper=is_upper,
            rows=rows,
            note=note,
        )
        for name, source, metric, value, target, is_upper, note in (
            (
                "coolant stays above the dew point",
                "ASHRAE TC 9.9, liquid cooling: at least 2 K; 0.2 K for the loop that holds it",
                "least margin of coolant over the hall's dew point, K",
                (held["coolant"] - held["dew_point"]).min(),
                1.8,
                False,
                "chilled water at its warmest, so that coils dry the hall least",
            ),
            (
                "warm coolant costs IT energy",
                "leakage of the GPU model",
                "rise of IT energy per work and kelvin of coolant",
                slope,
                0.0,
                False,
                "",
            ),
            (
                "warm coolant costs no more than leakage",
                "leakage of the GPU model",
                "the same over leakage per kelvin",
                slope / leakage,
                1.0,
                True,
                "GPUs are a part of IT power",
            ),
            (
                "coolant never below the wet bulb",
                "second law",
                "least coolant less outdoor wet bulb, K",
                (held["coolant"] - held["wet_bulb"]).min(),
                0.0,
                False,
                "dry coolers with pads cannot pass the wet bulb",
            ),
        )
    ]


def check_bounds(site: Site) -> Found:
    """Check laws and the whole plant of ``site``."""
    of_racks = _liquid(site) if site.is_liquid else _servers(site)
    return Found(checks=[*_chiller(site), *of_racks, _containment(site)])
