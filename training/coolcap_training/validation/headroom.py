"""How much cooling can save at all: fixed set points, the rule, and the enumerated optimum.

Twins with equal demand, weather and units run through the same days, each with set points of its
own. B0 to B2 hold theirs, B3 is the rule as published, and a grid of several hundred others is what
B4 chooses from: for each hour the set points with the least energy at the facility's meter whose
inlets stay in bounds, heat left in store counted as energy owed. It knows the hour before it
happens and changes over for free, so that a controller that beats it found a fault of the model.

Demand has its daily course but no noise, bursts or changes of jobs: where load changes within the
hour, set points held for an hour are no optimum, and a rule that follows the load beats them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from coolcap_envs.baselines import FIXED_COOLING
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.physics.hall import YEAR_START_S
from coolcap_envs.safety.trim_respond import TrimRespond
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site
from coolcap_training.validation.check import Check, Found, HeadroomRow
from coolcap_training.validation.headroom_grid import CW, choices
from coolcap_training.validation.twins import Hours, Meter, command, joined, stacked, twins

INLET_MAX_C: Final = 26.0
"""What B4 keeps inlets below; the study this repeats used the same."""
GPU_MARGIN_K: Final = 2.0
"""Liquid cooling: what B4 keeps the hottest GPU below its limit by."""
COOLING_ALARM: Final = 0.15
LIQUID_COOLING_ALARM: Final = 0.30
FACILITY_ALARM: Final = 0.03
COOLING_SHARE_ALARM: Final = 0.6
"""Savings over the rule above which a model is suspected, not a controller praised: of cooling
energy, of facility energy, and of what cooling uses at all."""

COOLING_MIN: Final = 0.02
LIQUID_COOLING_MIN: Final = 0.01
"""Least cooling over IT energy, evaporative and dry liquid: plausibility bounds."""
BEATEN_BY_RULE_MAX: Final = 0.01
"""The grid has steps, so that the rule may be this much better between them."""
_WARM_S: Final = 43_200.0
"""The rule needs half a day from default set points to where it stays."""
_SETTLE_S: Final = 10_800.0
_DAY_S: Final = 86_400.0
_JOB_FOR_EVER_H: Final = 1e4
_GRID_STEP_S: Final = 300.0
_STEP_S: Final = 30.0
_HOURS: Final = 24
_DAYS: Final = (15, 105, 196, 288)
"""Mid-January, April, July, October."""
_HFG_KWH_PER_KG: Final = 2.43 / 3.6
_EXACT: Final = 1e-9


def steady(site: Site) -> Site:
    """Return ``site`` with demand that follows its daily course and nothing else."""
    calm = {
        "noise_ratio": 0.0,
        "burst_per_h": 0.0,
        "pause_per_h": 0.0,
        "job_mean_h": _JOB_FOR_EVER_H,
    }
    workload = {name: {**work, **calm} for name, work in site.workload.items()}
    return replace(site, workload=workload)


class _RulePlant:
    """One plant under the rule as published."""

    def __init__(self, site: Site, *, weather: str, start_time_s: float) -> None:
        self._site = site
        self._rule = TrimRespond(site.layout, site.limits, batch=(1,))
        levers = site.limits.lever_default[None, :]
        self.plant = twins(site, levers, weather=weather, seed=1, start_time_s=start_time_s)

    def step(self) -> Telemetry:
        """Let the rule decide once and a step pass."""
        levers = self._rule.update(self.plant.read(), dt_s=_STEP_S).plant
        command(self._site, self.plant, levers)
        self.plant.advance(_STEP_S)
        return self.plant.read_truth()


class _GridPlants:
    """Copies of one plant, each at set points of its own."""

    def __init__(self, site: Site, plant: SimulatedPlant) -> None:
        self._site = site
        self._levers, self._approach_k = choices(site)
        self.plant = SimulatedPlant(site, batch_size=len(self._levers))
        for k in range(len(self._levers)):
            self.plant.copy_from(plant, target=k)

    def step(self) -> Telemetry:
        """Let condenser water follow the wet bulb and a longer step pass."""
        limits, levers = self._site.limits, self._levers
        followed_c = self.plant.read_truth().of_plant("wet_bulb_temp_c") + self._approach_k
        held_c = np.clip(followed_c, limits.lever_low[CW], limits.lever_high[CW])
        levers[:, CW] = np.where(np.isnan(held_c), levers[:, CW], held_c)
        command(self._site, self.plant, levers)
        self.plant.advance(_GRID_STEP_S)
        return self.plant.read_truth()


def _measured(of: _RulePlant | _GridPlants, *, step_s: float) -> Hours:
    rows: list[FloatArray] = []
    for _ in range(_HOURS):
        meter = Meter(of.plant)
        for _ in range(round(3600.0 / step_s)):
            meter.note(of.step())
        rows.append(meter.read())
    return stacked(rows)


def _run_day(site: Site, *, weather: str, day: int) -> tuple[Hours, Hours]:
    """Return what the grid and the rule used on a day of the year."""
    start_s = YEAR_START_S + _DAY_S * day - _WARM_S
    rule = _RulePlant(site, weather=weather, start_time_s=start_s)
    for _ in range(round((_WARM_S - _SETTLE_S) / _STEP_S)):
        rule.step()
    grid = _GridPlants(site, rule.plant)
    for _ in range(round(_SETTLE_S / _GRID_STEP_S)):
        grid.step()
    for _ in range(round(_SETTLE_S / _STEP_S)):
        rule.step()
    return _measured(grid, step_s=_GRID_STEP_S), _measured(rule, step_s=_STEP_S)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Climate:
    grid: Hours
    rule: Hours
    best: FloatArray
    """Which twin of the grid B4 takes in each hour."""


def _study(site: Site, *, weather: str, days: Sequence[int]) -> _Climate:
    pairs = [_run_day(site, weather=weather, day=day) for day in days]
    grid, rule = joined([g for g, _ in pairs]), joined([r for _, r in pairs])
    allowed = grid.inlet_max_c <= INLET_MAX_C
    if site.is_liquid:
        allowed &= grid.gpu_max_c <= site.limits.gpu_temp_max_c - GPU_MARGIN_K
    if not allowed.any(axis=1).all():
        raise RuntimeError(f"{site.name}: no set points of the grid keep inlets in {weather}")
    best = np.argmin(np.where(allowed, grid.owed_kwh, np.inf), axis=1)
    return _Climate(grid=grid, rule=rule, best=best)


def _rows(site: str, weather: str, climate: _Climate) -> list[HeadroomRow]:
    hours = np.arange(len(climate.best))
    grid, rule = climate.grid, climate.rule

    def taken(of: Hours, column: FloatArray) -> dict[str, float]:
        def pick(values: FloatArray) -> FloatArray:
            return np.asarray(values[hours, column.astype(np.int64)])

        inlet_c = pick(of.inlet_max_c)
        owed = pick(of.stored_kwh * of.cooling_kwh / of.it_kwh)
        return {
            "it": float(pick(of.it_kwh).sum()),
            "cooling": float((pick(of.cooling_kwh) + owed).sum()),
            "facility": float((pick(of.facility_kwh) + owed).sum()),
            "loss": float(pick(of.loss_kwh).sum()),
            "inlet_mean": float(inlet_c.mean()),
            "inlet_max": float(inlet_c.max()),
        }

    found = {
        name: taken(grid, np.full(hours.size, float(k))) for k, name in enumerate(FIXED_COOLING)
    }
    found["B3"] = taken(rule, np.zeros(hours.size))
    found["B4"] = optimum = taken(grid, climate.best.astype(np.float64))
    return [
        HeadroomRow(
            site=site,
            climate=weather,
            controller=name,
            pue=row["facility"] / row["it"],
            cooling_kwh=row["cooling"],
            facility_kwh=row["facility"],
            inlet_mean_c=row["inlet_mean"],
            inlet_max_c=row["inlet_max"],
            saves_cooling_ratio=1.0 - optimum["cooling"] / row["cooling"],
            saves_facility_ratio=1.0 - optimum["facility"] / row["facility"],
            loss_share=row["loss"] / row["it"],
        )
        for name, row in found.items()
    ]


def _alarms(site: Site, rows: Sequence[HeadroomRow], *, hours: int, note: str) -> list[Check]:
    checks: list[Check] = []
    alarm = LIQUID_COOLING_ALARM if site.is_liquid else COOLING_ALARM
    prefix = f"Headroom of {site.name}"
    source = "plausibility bounds; static optimum of an earlier study: 2 to 15 % of cooling"
    for row in rows:
        if row.controller == "B3":
            share = COOLING_SHARE_ALARM * (row.pue - 1.0 - row.loss_share)
            for what, value, target in (
                ("cooling", row.saves_cooling_ratio, alarm),
                ("facility", row.saves_facility_ratio, min(FACILITY_ALARM, share)),
            ):
                checks.append(
                    Check(
                        name=f"{prefix}, {row.climate}: {what} energy",
                        source=source,
                        metric=f"share of {what} energy the static optimum saves over the rule",
                        value=value,
                        target=target,
                        rows=hours,
                        note=note,
                    )
                )
            checks.append(
                Check(
                    name=f"{prefix}, {row.climate}: the rule does not beat the optimum",
                    source=source,
                    metric="share of cooling energy the static optimum saves over the rule",
                    value=row.saves_cooling_ratio,
                    target=-BEATEN_BY_RULE_MAX,
                    is_upper=False,
                    rows=hours,
                    note="what beats the optimum found a fault of the model",
                )
            )
    return checks


def _plausible(site: Site, grids: Sequence[Hours]) -> list[Check]:
    """Return bounds over every hour of every twin, not only of sensible ones."""
    all_hours = joined(grids)
    it_kwh = all_hours.it_kwh
    rows = it_kwh.size
    cooling = all_hours.cooling_kwh / it_kwh
    pue_excess = (all_hours.facility_kwh - all_hours.loss_kwh) / it_kwh - 1.0
    free = LIQUID_COOLING_MIN if site.is_liquid else COOLING_MIN
    water = all_hours.water_kg * _HFG_KWH_PER_KG / (it_kwh - np.maximum(all_hours.stored_kwh, 0.0))
    return [
        Check(
            name=f"{site.name}: {name}",
            source="plausibility bounds",
            metric=metric,
            value=float(values.min()),
            target=target,
            is_upper=False,
            rows=rows,
            note="over every hour of every set point enumerated",
        )
        for name, metric, values, target in (
            ("PUE never below 1 and losses", "least PUE - 1 - losses", pue_excess, 0.0),
            ("cooling is never free", "least cooling over IT energy", cooling, free),
            (
                "condenser water never too cold",
                "least approach, K",
                all_hours.approach_min_k,
                1.1 - _EXACT,
            ),
            ("evaporated water", "least make-up over heat as vapour", water, 0.5),
        )
        if not (site.is_liquid and name == "evaporated water")  # dry coolers evaporate none
    ]


def check_headroom(site: Site, *, is_long: bool) -> Found:
    """Run the study in every climate of ``site``.

    Args:
        site: The site.
        is_long: Four days of the year instead of two.
    """
    days = _DAYS if is_long else _DAYS[::2]
    rows: list[HeadroomRow] = []
    grids: list[Hours] = []
    for weather in site.weathers:
        climate = _study(steady(site), weather=weather, days=days)
        rows += _rows(site.name, weather, climate)
        grids.append(climate.grid)
    count = grids[0].it_kwh.shape[1]
    note = (
        f"{site.name}, {len(days)} days of the year after half a day of warm-up, caps at their "
        f"highest; optimum of {count} set points for each hour with inlets to {INLET_MAX_C:g} °C"
    )
    hours = _HOURS * len(days)
    checks = [*_alarms(site, rows, hours=hours, note=note), *_plausible(site, grids)]
    return Found(checks=checks, headroom=rows)
