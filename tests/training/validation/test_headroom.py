"""Tests of the study of what cooling can save at all."""

from dataclasses import replace

import numpy as np
import pytest

from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site, load_site
from coolcap_training.validation import headroom, headroom_grid
from coolcap_training.validation.headroom import check_headroom, steady


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return one climate, a coarse grid and few hours."""
    monkeypatch.setattr(headroom_grid, "SUPPLY_C", (23.0, 24.5))
    monkeypatch.setattr(headroom_grid, "CHW_C", (15.0, 18.0))
    monkeypatch.setattr(headroom_grid, "FLOW", (0.6, 0.7))
    monkeypatch.setattr(headroom, "_HOURS", 3)
    monkeypatch.setattr(headroom, "_DAYS", (105, 196))
    return replace(load_site("lab-16"), weathers=("greensboro",))


def test_colder_fixed_set_points_cost_more_and_the_optimum_least(small: Site) -> None:
    rows = check_headroom(small, is_long=False).headroom
    assert [row.controller for row in rows] == ["B0", "B1", "B2", "B3", "B4"]
    facility = {row.controller: row.facility_kwh for row in rows}
    assert facility["B0"] > facility["B1"] > facility["B2"] > facility["B4"]
    assert rows[-1].saves_facility_ratio == 0.0
    assert rows[-1].inlet_max_c <= headroom.INLET_MAX_C


def test_bounds_hold_and_alarms_are_judged(small: Site) -> None:
    checks = {check.name: check for check in check_headroom(small, is_long=False).checks}
    assert checks["Headroom of lab-16, greensboro: cooling energy"].target == headroom.COOLING_ALARM
    assert checks["lab-16: PUE never below 1 and losses"].status == "met"
    assert checks["lab-16: condenser water never too cold"].status == "met"


def test_with_liquid_the_optimum_keeps_gpus_below_their_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Coolant of 45 °C would cost least and is not taken; the wider alarm of liquid loops holds."""
    monkeypatch.setattr(headroom, "_HOURS", 2)
    monkeypatch.setattr(headroom, "_DAYS", (196, 288))
    monkeypatch.setattr(headroom_grid, "LIQUID_CHW_C", (18.0,))
    monkeypatch.setattr(headroom_grid, "LIQUID_AIR_FLOW", (0.7,))
    monkeypatch.setattr(headroom_grid, "COOLANT_C", (30.0, 37.0, 45.0))
    monkeypatch.setattr(headroom_grid, "COOLANT_FLOW", (0.6, 0.9))
    site = replace(load_site("dlc-rack-scale"), weathers=("greensboro",))
    found = check_headroom(site, is_long=False)
    facility = {row.controller: row.facility_kwh for row in found.headroom}
    assert facility["B0"] > facility["B2"] > facility["B4"]
    checks = {check.name: check for check in found.checks}
    assert (
        checks["Headroom of dlc-rack-scale, greensboro: cooling energy"].target
        == headroom.LIQUID_COOLING_ALARM
    )
    assert checks["dlc-rack-scale: cooling is never free"].status == "met"


def test_steady_demand_has_no_noise() -> None:
    site = steady(load_site("lab-16"))
    plant = SimulatedPlant(site, seed=1)
    rates = []
    for _ in range(20):
        plant.advance(30.0)
        rates.append(plant.read_truth().group("work_rate_ratio"))
    assert np.abs(np.diff(rates, axis=0)).max() < 1e-3
