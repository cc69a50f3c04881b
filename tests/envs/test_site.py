"""Tests of site files: what is shipped loads, what is wrong is reported at once."""

import re
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.config import site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.gpu_models import load_gpu_model, shipped_gpu_models
from coolcap_envs.physics.parameters import PLANT_PARAMETERS, WORKLOAD_CLASSES
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site
from support.epw_files import epw

SITES = ["lab-16", "air-1mw", "dlc-rack-scale"]
LAB = site_path("lab-16").read_text(encoding="utf-8")


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "groups", "gpus"),
    [("lab-16", 16, 16), ("air-1mw", 128, 1024), ("dlc-rack-scale", 144, 576)],
)
def test_shipped_sites_load(name: str, groups: int, gpus: int) -> None:
    site = load_site(name)
    assert site.name == name
    assert site.layout.group_count == groups
    assert site.layout.gpu_count.sum() == gpus
    assert len(site.parameters) == len(PLANT_PARAMETERS)


@pytest.mark.parametrize("name", SITES)
def test_every_number_of_a_shipped_simulation_has_a_source(name: str) -> None:
    text = site_path(name).read_text(encoding="utf-8")
    simulation = text[text.index("[simulation.weather]") :]
    numbers = re.findall(r"^.* = \{ (?:value|low) = .*$", simulation, re.MULTILINE)
    assert len(numbers) > 120
    for line in numbers:
        assert re.search(r'source = "[^"]{8,}" \}$', line), line


def test_design_power_of_shipped_sites_covers_their_worst_case() -> None:
    """Uncapped GPUs, hosts at work, fans at design speed, supply losses: not above design."""
    for name in SITES:
        site = load_site(name)
        (model, server), *others = site.servers.items()
        assert not others
        cap_w = site.gpu_models[model].limits["power_limit_max_w"]
        output_w = cap_w + server["server_host_idle_w"] + server["server_host_dynamic_w"]
        worst_w = (output_w + server["server_fan_power_design_w"]) / 0.955
        assert worst_w * site.layout.gpu_count.sum() <= site.layout.it_power_design_w


DLC = site_path("dlc-rack-scale").read_text(encoding="utf-8")


def without(text: str, table: str) -> str:
    return re.sub(rf"\n\[simulation\.{table}\]\n(?:[^\[\n].*\n)+", "\n", text)


def test_liquid_cooling_takes_all_of_its_tables(tmp_path: Path) -> None:
    text = without(DLC, "dry_cooler").replace(
        "supply_mass_kg = { value = 600.0", "supply_mass_kg = { value = 60.0"
    )
    text = text.replace("plate_resistance_k_per_w = {", "plate_k_per_w = {")
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text))
    message = str(caught.value)
    assert "simulation.cdu needs dry_cooler beside it" in message
    assert "simulation.cdu.supply_mass_kg = 60 kg is less than the 185 kg" in message
    assert "simulation.server.b300-sxm.plate_resistance_k_per_w is missing" in message


def test_levers_of_devices_that_are_not_there_are_refused(tmp_path: Path) -> None:
    text = DLC
    for table in ("cdu", "facility_water", "dry_cooler"):
        text = without(text, table)
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text))
    message = str(caught.value)
    assert "cdu_flow_setpoint_ratio is a lever of the layout, but the site has no" in message


def test_a_lever_that_is_not_handed_out_must_be_held_somewhere(tmp_path: Path) -> None:
    text = re.sub(r"\[limits\.levers\.cw_supply_temp_setpoint_c\]\n(?:[^\[\n].*\n)+", "", LAB)
    text = text.replace('  "cw_supply_temp_setpoint_c",\n', "")
    with pytest.raises(ConfigError, match=r"simulation.held.cw_supply_temp_setpoint_c is missing"):
        load_site(write(tmp_path, text))
    held = (
        '[simulation.held]\ncw_supply_temp_setpoint_c = { value = 22.0, source = "controls" }\n\n'
    )
    text = text.replace("[simulation.weather]", held + "[simulation.weather]")
    site = load_site(write(tmp_path, text))
    assert site.held == {"cw_supply_temp_setpoint_c": 22.0}
    plant = SimulatedPlant(site, seed=1)
    plant.advance(1800.0)
    assert plant.read_truth().of_plant("cw_supply_temp_c") == pytest.approx(22.0, abs=4.0)
    assert np.isnan(plant.read_truth().of_plant("cw_supply_temp_setpoint_c"))


def test_all_problems_come_in_one_message_with_their_keys(tmp_path: Path) -> None:
    text = LAB.replace("fan_exponent = {", "fan_exponnt = {")
    text = re.sub(r"capacity_w = \{ value = [0-9.]+", "capacity_w = { value = -1.0", text)
    text = text.replace(
        'lift_min_k = { value = 9.0, source = "8 to 10 K: head-pressure control" }',
        "lift_min_k = { value = 9.0 }",
    )
    text = text.replace('years = ["greensboro", "miami", "sand-point"]', 'years = ["atlantis"]')
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    message = str(caught.value)
    assert str(path) in message
    assert "simulation.crah.fan_exponent is missing" in message
    assert "unknown key 'simulation.crah.fan_exponnt'" in message
    assert "simulation.chiller.capacity_w.value = -1 W is outside 1000 to 1e+09 W" in message
    assert "simulation.chiller.lift_min_k.source is missing" in message
    assert "'atlantis': allowed are greensboro, miami, sand-point" in message
    assert len(caught.value.problems) == 5


def test_a_bare_number_without_source_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"lift_min_k = \{.*\}", "lift_min_k = 9.0", LAB)
    with pytest.raises(ConfigError, match="lift_min_k must be a table"):
        load_site(write(tmp_path, text))


@pytest.mark.parametrize("source", ['""', '"  "', "7"])
def test_a_source_that_says_nothing_is_refused(tmp_path: Path, source: str) -> None:
    text = re.sub(r"(lift_min_k = \{ value = 9.0, source = )[^}]*", rf"\g<1>{source} ", LAB)
    with pytest.raises(ConfigError, match=r"simulation\.chiller\.lift_min_k\.source"):
        load_site(write(tmp_path, text))


def test_randomising_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    text = LAB.replace('"chiller.carnot_scale" =', '"chiller.magic" =')
    with pytest.raises(ConfigError, match=r'"chiller.magic" is no parameter; there are electrical'):
        load_site(write(tmp_path, text))


def test_a_gpu_that_cannot_be_simulated_is_named_with_those_that_can(tmp_path: Path) -> None:
    text = LAB.replace('gpu_model = "h100-sxm"', 'gpu_model = "abacus"')
    with pytest.raises(ConfigError, match="abacus: is no GPU model that can be simulated"):
        load_site(write(tmp_path, text))


def test_a_missing_simulation_table_is_said(tmp_path: Path) -> None:
    text = LAB[: LAB.index("[simulation.weather]")]
    with pytest.raises(ConfigError, match=r"\[simulation\] is missing"):
        load_site(write(tmp_path, text))


def test_an_epw_path_is_taken_relative_to_the_site_file(tmp_path: Path) -> None:
    text = LAB.replace('years = ["greensboro", "miami", "sand-point"]', 'years = ["here.epw"]')
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match="there is no such EPW file"):
        load_site(path)
    epw(tmp_path, name="here.epw")
    assert load_site(path).weathers == (str(tmp_path / "here.epw"),)


def test_limits_that_the_device_does_not_have_are_refused(tmp_path: Path) -> None:
    text = LAB.replace("power_limit_min_w = 200.0", "power_limit_min_w = 50.0")
    text = text.replace("sm_clock_max_mhz = 1980.0", "sm_clock_max_mhz = 3000.0")
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text))
    assert list(caught.value.problems) == [
        "layout.nodes.power_limit_min_w = 50 is below the 200 of h100-sxm (GPU model)",
        "layout.nodes.sm_clock_max_mhz = 3000 is above the 1980 of h100-sxm (GPU model)",
    ]


def test_the_gpus_of_the_last_five_years_come_with_the_package() -> None:
    assert {"a100-sxm", "h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "l40s"} == set(
        shipped_gpu_models()
    )


@pytest.mark.parametrize("name", shipped_gpu_models())
def test_shipped_gpu_models_load_with_every_class(name: str) -> None:
    model = load_gpu_model(name)
    assert tuple(model.classes) == WORKLOAD_CLASSES
    assert model.device["device_idle_power_w"] < 0.35 * model.limits["power_limit_max_w"]
    for work in model.classes.values():
        assert work["full_power_w"] <= model.limits["power_limit_max_w"]


@pytest.mark.parametrize("name", shipped_gpu_models())
def test_every_number_of_a_gpu_model_has_a_source(name: str) -> None:
    text = (site_path("lab-16").parent / "gpus" / f"{name}.toml").read_text(encoding="utf-8")
    numbers = re.findall(r"^.* = \{ value = .*$", text, re.MULTILINE)
    assert len(numbers) == 58
    for line in numbers:
        assert re.search(r'source = "[^"]{8,}" \}$', line), line


def test_problems_of_a_gpu_model_come_in_one_message(tmp_path: Path) -> None:
    text = (site_path("lab-16").parent / "gpus" / "b200-sxm.toml").read_text(encoding="utf-8")
    text = text.replace("idle_power_w = { value = 130.0", "idle_power_w = { value = -130.0")
    text = text.replace(
        "power_limit_default_w = { value = 1000.0", "power_limit_default_w = { value = 2000.0"
    )
    text = text.replace("[classes.decode]", "[classes.decoding]")
    path = tmp_path / "b200-sxm.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_gpu_model("b200-sxm", path=path)
    message = str(caught.value)
    assert str(path) in message
    assert "device.idle_power_w.value = -130 W is outside 1 to 1000 W" in message
    assert "limits.power_limit_default_w must lie from power_limit_min_w to _max_w" in message
    assert "[classes.decode] is missing" in message
    assert "unknown key 'classes.decoding'" in message


def test_a_gpu_model_whose_power_curve_bends_down_is_refused(tmp_path: Path) -> None:
    text = Path(str(site_path("lab-16").parent / "gpus" / "h100-sxm.toml")).read_text(
        encoding="utf-8"
    )
    path = tmp_path / "bent.toml"
    path.write_text(text.replace("slope_low = { value = 0.579", "slope_low = { value = 1.2"))
    with pytest.raises(ConfigError, match=r"classes.training has power 1.172 at its knee"):
        load_gpu_model("bent", path=path)
