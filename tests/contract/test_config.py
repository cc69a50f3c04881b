"""Tests of reading site files: every problem at once, with file and key."""

from pathlib import Path

import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.safety.site_limits import load_site_limits
from support.small_site import SMALL_SITE, small_site


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    return path


def test_every_problem_of_a_site_file_is_reported_at_once(tmp_path: Path) -> None:
    text = (
        SMALL_SITE.replace("inlet_temp_max_c = 27.0", "inlet_temp_mx_c = 27.0")
        .replace("default = 20.0", "default = 40.0")
        .replace('racks = ["rack-01"]', 'racks = ["rack-09"]')
        .replace('gpu_model = "test"', "gpu_model = 3")
    )
    with pytest.raises(ConfigError) as caught:
        load_site_limits(write(tmp_path, text))
    message = str(caught.value)
    assert "site.toml: " in message
    for part in (
        "unknown key 'limits.inlet_temp_mx_c'",
        "limits.inlet_temp_max_c is missing: a number from 10 to 60 °C is needed",
        "limits.levers.supply_air_temp_setpoint_c.default = 40 °C is outside 10 to 35 °C",
        "budgets[1].racks has unknown rack-09: allowed are '*' or rack-01, rack-02",
        "layout.nodes[0].gpu_model = 3 is not allowed: a text is needed",
    ):
        assert part in message


def test_a_number_given_as_true_is_refused(tmp_path: Path) -> None:
    """TOML's true is an int to Python; it must not become 1 °C."""
    text = SMALL_SITE.replace("inlet_temp_max_c = 27.0", "inlet_temp_max_c = true")
    with pytest.raises(ConfigError, match="inlet_temp_max_c = True is not a number"):
        load_site_limits(write(tmp_path, text))


def test_a_nan_limit_is_refused(tmp_path: Path) -> None:
    text = SMALL_SITE.replace("inlet_temp_max_c = 27.0", "inlet_temp_max_c = nan")
    with pytest.raises(ConfigError, match="inlet_temp_max_c = nan °C is outside"):
        load_site_limits(write(tmp_path, text))


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_site_limits(write(tmp_path, "[layout\n"))


def test_an_unknown_site_lists_those_that_are_shipped() -> None:
    with pytest.raises(ConfigError, match=r"mars: is no shipped site \(.*lab-16.*\)"):
        load_site_limits("mars")


def test_groups_are_numbered_over_nodes_and_racks() -> None:
    layout, _ = small_site()
    assert layout.group_names == ("node-1/0", "node-1/1", "node-2/0", "node-2/1")
    assert layout.rack_names == ("rack-01", "rack-01", "rack-02", "rack-02")
    assert layout.gpu_indices == ((0,), (1,), (0,), (1,))
    assert layout.gpu_count.tolist() == [1, 1, 1, 1]


def test_two_blocks_with_one_name_are_refused(tmp_path: Path) -> None:
    block = SMALL_SITE[SMALL_SITE.index("[[layout.nodes]]") : SMALL_SITE.index("[limits]")]
    text = SMALL_SITE.replace("[limits]", block + "[limits]", 1)
    with pytest.raises(ConfigError, match="give two nodes the same name"):
        load_site_limits(write(tmp_path, text))


def test_the_cap_floor_is_the_higher_of_device_and_site() -> None:
    _, limits = small_site()
    assert limits.power_cap_min_w.tolist() == [200.0] * 4
