"""The smoke settings, shortened: training improves on the rule it starts from."""

from dataclasses import replace
from pathlib import Path

import pytest

from coolcap_training.config import read_config
from coolcap_training.evaluate import evaluate
from coolcap_training.export import export
from coolcap_training.train import train


@pytest.mark.slow
def test_training_improves_on_its_start_in_scenarios_it_never_saw(tmp_path: Path) -> None:
    """
    An untrained policy is the rule, so better than the rule is better than the start. Days and
    seeds of evaluation are not those of training; a quarter of the smoke run is enough.
    """
    config = replace(read_config("smoke"), n_timesteps=600_000)
    trained = train(config, seed=0, folder=tmp_path / "run").policy
    bundle = export(
        trained, tmp_path / "bundle", name="smoke", sites=("lab-16",), training={}, metrics={}
    )

    report = evaluate(bundle, "lab-16", scenario_count=6, references=("rule",))

    (against,) = report.comparisons
    assert against.absolute["reward_mean"].low > 0.0
    assert against.relative["energy_per_work_kwh_per_gpu_h"].high < 0.0
