"""Tests of monotonicities and bounds of the plant."""

from dataclasses import replace

import pytest

from coolcap_envs.site import load_site
from coolcap_training.validation.bounds import check_bounds, check_tower_bound


@pytest.mark.parametrize("site", ["lab-16", "air-1mw", "dlc-rack-scale"])
def test_shipped_sites_keep_every_bound(site: str) -> None:
    checks = check_bounds(load_site(site)).checks
    assert [check.name for check in checks if check.status != "met"] == []


def test_water_never_leaves_the_tower_below_the_wet_bulb() -> None:
    assert check_tower_bound().checks[0].status == "met"


def test_server_fans_that_race_with_the_inlet_are_noticed() -> None:
    """The published simulators' 6.7 % per kelvin would not pass."""
    site = load_site("lab-16")
    servers = {
        name: {**server, "server_fan_slope_per_k": 0.05} for name, server in site.servers.items()
    }
    checks = check_bounds(replace(site, servers=servers)).checks
    assert "lab-16: warm inlets cost IT energy, at most" in [
        check.name for check in checks if check.status == "missed"
    ]
