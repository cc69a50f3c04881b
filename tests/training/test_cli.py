"""``coolcap-train``: every command answers with one JSON object, errors are one line."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from coolcap_envs.contract.observation import SCHEMA_HASH
from coolcap_envs.contract.policy import PolicyBundle
from coolcap_training.cli import app, main
from coolcap_training.config import ENV_ID, HYPERPARAMS


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A file of settings for a run of a second."""
    settings = yaml.safe_load(HYPERPARAMS.read_text())[ENV_ID]["smoke"]
    settings |= {"sites": {"lab-16": 2}, "n_timesteps": 500, "n_steps": 8, "n_minibatches": 2}
    settings |= {"novelty_s": 3600.0}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({ENV_ID: {"tiny": settings}}))
    return path


def test_train_then_export_then_evaluate(tiny: Path, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"

    trained = call("train", "--config", "tiny", "--file", str(tiny), "--out", str(run), "--json")
    exported = call("export", str(run), "--out", str(bundle), "--scenarios", "0", "--json")

    assert json.loads(trained.stdout)["num_timesteps"] >= 500
    assert json.loads(exported.stdout)["schema_hash"] == SCHEMA_HASH
    loaded = PolicyBundle.load(bundle)
    assert (loaded.name, loaded.manifest.sites) == ("run", ("lab-16",))
    assert loaded.manifest.training["n_timesteps"] == 500


def test_bench_gives_the_three_speeds() -> None:
    done = call("bench", "--seconds", "0.2", "--samples", "2000", "--calls", "100", "--json")

    speed = json.loads(done.stdout)
    assert speed["env_steps_per_s"] == speed["env_steps_per_s_by_site"]["lab-16"] > 0.0
    assert speed["env_steps_per_s_by_site"]["air-1mw"] > 0.0
    costs = speed["env"]["dlc-rack-scale"]
    assert all(costs[name] > 0.0 for name in ("physics_us", "first_call_s", "memory_mb"))
    assert speed["train_steps_per_s"] > 0.0
    assert speed["policy_p99_ms"] >= speed["policy_p50_ms"] > 0.0


def test_errors_are_one_line_and_exit_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["coolcap-train", "export", str(tmp_path), "--out", str(tmp_path / "b")]
    )

    with pytest.raises(SystemExit) as ended:
        main()

    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert err.startswith(f"coolcap-train: {tmp_path}: is no finished run: ")
    assert err.count("\n") == 1


def test_wrong_usage_has_exit_status_two() -> None:
    assert call("evaluate", "--scenarios", "1").exit_code == 2
