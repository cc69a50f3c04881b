"""Tests of the command that fits the generator of work to recordings."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.workload.profile import load_profile
from coolcap_training.cli import app
from coolcap_training.workload import fit_workload
from support.reference_data import FOLDER, reference_file


def test_the_fit_is_printed_and_written(tmp_path: Path) -> None:
    reference_file("workload/v2023_openb_pod_list_default.csv")
    written = tmp_path / "fit.toml"

    result = CliRunner().invoke(app, ["workload", "--data", str(FOLDER), "--write", str(written)])

    assert result.exit_code == 0
    assert "decode.burst_per_h = 18.15" in result.output
    assert "recorded variation_ratio 1.29" in result.output
    assert load_profile(str(written)) == load_profile("recorded-2023")


def test_recordings_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"has no workload/Azure.*; has no workload/v2023_openb_pod"
    ):
        fit_workload(tmp_path, "lab-16")
