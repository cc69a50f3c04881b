"""A plant agent's config: all problems at once, with file and key."""

from pathlib import Path

import pytest

from coolcap_agent.plant.config import read_plant_config
from coolcap_envs.contract.errors import ConfigError
from support.small_plant import PLANT_CONFIG, SUPPLY


def write(folder: Path, text: str) -> Path:
    path = folder / "plant.toml"
    path.write_text(text)
    return path


def test_config_is_read_with_its_own_limits(tmp_path: Path) -> None:
    config = read_plant_config(write(tmp_path, PLANT_CONFIG.format(top="")))

    limits = config.limits.of_lever[SUPPLY]
    assert (limits.low, limits.high, limits.default) == (16.0, 25.0, 19.0)
    assert (config.ramp_back, config.signal_age_max_s) == (True, 90.0)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    text = (
        PLANT_CONFIG.format(top="")
        .replace("low = 16.0", "low = 26.0")
        .replace("rise_max_per_min = 0.5", "")
        .replace("[limits.levers.air_flow_setpoint_ratio]", "[limits.levers.fan]")
        .replace('plant_id = "plant"', "")
    )

    with pytest.raises(ConfigError) as caught:
        read_plant_config(write(tmp_path, text))

    for part in (
        "plant_id is missing",
        "limits.levers.supply_air_temp_setpoint_c.low = 26 must not be above high = 25",
        "limits.levers.supply_air_temp_setpoint_c.default = 19 must lie from low to high",
        "limits.levers.supply_air_temp_setpoint_c.rise_max_per_min is missing",
        "unknown key 'limits.levers.fan'",
    ):
        assert part in str(caught.value)
    assert len(caught.value.problems) == 5
