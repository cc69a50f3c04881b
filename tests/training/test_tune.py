"""Of several trained seeds the one is kept whose worst validation is best."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coolcap_training import tune as tuning
from coolcap_training.config import TrainConfig, read_config
from coolcap_training.tune import SEARCH, SELECTION, Score, Trial, tune


def tiny() -> TrainConfig:
    settings = replace(
        read_config("smoke"), sites={"lab-16": 2}, n_steps=8, n_minibatches=2, novelty_s=3600.0
    )
    return replace(settings, n_timesteps=300)


def test_each_seed_is_trained_validated_on_every_plant_and_written_down(tmp_path: Path) -> None:
    best = tune(tiny(), seeds=[0, 1], folder=tmp_path, scenario_count=2, duration_s=3600.0)

    found = json.loads((tmp_path / SELECTION).read_text())
    assert [trial["seed"] for trial in found["trials"]] == [0, 1]
    assert set(found["trials"][0]["gains"]) == {"lab-16, mismatch 0", "lab-16, mismatch 1"}
    assert found["chosen"] == best.folder
    assert best.worst == max(min(trial["gains"].values()) for trial in found["trials"])
    assert (Path(best.folder) / "bundle" / "policy.onnx").exists()


def test_the_choice_looks_at_the_worst_plant_not_at_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains = {0: {"a": 9.0, "b": -1.0}, 1: {"a": 1.0, "b": 1.0}}
    monkeypatch.setattr(tuning, "run_trial", lambda trial: score(trial, gains[trial.seed]))

    assert tune(tiny(), seeds=[0, 1], folder=tmp_path).seed == 1


def test_a_search_goes_on_where_it_stopped_and_hands_its_best_settings_to_the_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Trial] = []

    def best_at_low_gamma(trial: Trial) -> Score:
        trained.append(trial)
        return score(trial, {"a": 1.0 - trial.config.gamma})

    monkeypatch.setattr(tuning, "run_trial", best_at_low_gamma)
    tune(tiny(), seeds=[0], folder=tmp_path, search_count=3)
    first = len(trained)
    tune(tiny(), seeds=[5], folder=tmp_path, search_count=4)

    draws = [trial.config.gamma for trial in trained if "draw" in trial.folder.name]
    assert first == 4
    assert len(draws) == 4, "three draws were kept, one was added"
    assert trained[-1].seed == 5
    assert trained[-1].config.gamma == pytest.approx(min(draws))
    assert all(SEARCH["gamma"].low <= gamma <= SEARCH["gamma"].high for gamma in draws)


def score(trial: Trial, gains: dict[str, float]) -> Score:
    return Score(
        folder=str(trial.folder), seed=trial.seed, settings={}, gains=gains, steps_per_s=1.0
    )
