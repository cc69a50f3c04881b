"""Drivers are found by name, and what is wrong with a name is said."""

from pathlib import Path

import pytest

from coolcap_agent.drivers import registry
from coolcap_agent.drivers.nvml import NvmlDriver
from coolcap_agent.drivers.registry import read_cooling_driver, read_gpu_driver
from coolcap_envs.contract.config import Table


def table(**data: object) -> Table:
    return Table(data, path="driver", problems=[])


def test_driver_is_made_from_its_own_options(tmp_path: Path) -> None:
    given = table(name="nvml", nvml={"assume_rights": True})

    name, driver = read_gpu_driver(given, node_id="node-01", folder=tmp_path)

    assert name == "nvml"
    assert isinstance(driver, NvmlDriver)
    assert given.problems == []


def test_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    given = table(name="nvlm")

    assert read_gpu_driver(given, node_id="node-01", folder=tmp_path) == ("nvlm", None)
    assert given.problems == [
        "driver.name = 'nvlm' is not allowed: one of nvml, simulated is needed"
    ]


def test_unknown_option_is_an_error(tmp_path: Path) -> None:
    given = table(name="nvml", nvml={"asume_rights": True})

    read_gpu_driver(given, node_id="node-01", folder=tmp_path)

    assert given.problems == ["unknown key 'driver.nvml.asume_rights'"]


def test_missing_option_is_named(tmp_path: Path) -> None:
    given = table(name="simulated")

    read_cooling_driver(given, plant_id="plant", folder=tmp_path)

    assert given.problems == ["driver.simulated.hall is missing: a text is needed"]


def test_missing_package_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.COOLING_DRIVERS, "exotic", "no_such_package_here.driver")
    given = table(name="exotic")

    read_cooling_driver(given, plant_id="plant", folder=tmp_path)

    assert given.problems == [
        "driver.name = 'exotic' needs the package no_such_package_here: install it, for example "
        "with pip install 'coolcap[plant]'"
    ]
