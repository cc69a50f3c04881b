"""Hyperparameters are data: shipped ones can be read, faulty ones are named all at once."""

from pathlib import Path

import pytest
import yaml

from coolcap_envs.contract.errors import ConfigError
from coolcap_training.config import ENV_ID, HYPERPARAMS, read_config


def test_all_shipped_settings_can_be_read() -> None:
    named = yaml.safe_load(HYPERPARAMS.read_text())[ENV_ID]

    assert [read_config(name).name for name in named] == list(named)


def test_shipped_settings_say_whether_they_were_tuned() -> None:
    text = HYPERPARAMS.read_text()
    named = yaml.safe_load(text)[ENV_ID]

    for name in named:
        line = next(row for row in text.splitlines() if row.startswith(f"  {name}:"))
        assert "# Default" in line or "# Tuned 2" in line


def test_every_problem_is_reported_with_file_and_key(tmp_path: Path) -> None:
    data = yaml.safe_load(HYPERPARAMS.read_text())
    smoke = data[ENV_ID]["smoke"]
    smoke["gama"] = smoke.pop("gamma")
    smoke["sites"] = {"lab-17": 1}
    smoke["work_value_low"] = 4.5
    path = tmp_path / "ppo.yaml"
    path.write_text(yaml.safe_dump(data))

    with pytest.raises(ConfigError) as caught:
        read_config("smoke", path=path)

    text = str(caught.value)
    assert str(path) in text
    assert "smoke.gamma is missing" in text
    assert "unknown key 'coolcap/DataCenter-v0.smoke.gama'" in text
    assert "sites.lab-17 is no shipped site (" in text
    assert "work_value_low must not exceed work_value_high" in text


def test_unknown_settings_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="has no 'smok' for coolcap/DataCenter-v0: known are"):
        read_config("smok")
