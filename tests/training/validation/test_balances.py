"""Tests of the balances over a stretch with faults."""

from dataclasses import replace

import pytest

from coolcap_envs.site import Site, load_site
from coolcap_training.validation import balances
from coolcap_training.validation.balances import check_balances


@pytest.mark.parametrize("site", ["lab-16", "air-1mw", "dlc-rack-scale"])
def test_energy_water_and_work_balance_in_every_step(site: str) -> None:
    found = check_balances(load_site(site), days=0.25)
    assert [check.status for check in found.checks] == ["met"] * 3
    assert all(check.rows == 1440 for check in found.checks)


def test_water_that_follows_another_law_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expectation is computed apart from the plant: a part in ten thousand shows."""
    expected = balances._expected_water_kg

    def other(site: Site, **given: object) -> object:
        parameters = {**site.parameters}
        parameters["water_latent_heat_ratio"] *= 1.0001
        return expected(replace(site, parameters=parameters), **given)  # type: ignore[arg-type]

    monkeypatch.setattr(balances, "_expected_water_kg", other)
    water = check_balances(load_site("lab-16"), days=0.05).checks[1]
    assert water.name == "lab-16: water balance"
    assert water.status == "missed"
