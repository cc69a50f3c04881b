"""Choosing what is shipped: several seeds, and settings if asked, judged by their worst case.

Each trial trains once and is validated on plants that are those of no training and of no final
evaluation: every site, nominal, at the edge of the training draw and beyond it. Its score is the
*least* gain over the rule among them, because a policy is shipped to plants nobody has seen.
Settings are drawn by Optuna, which keeps its journal in the study's folder and resumes from it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coolcap_envs.episode import Days
from coolcap_training.checkpoint import CHECKPOINT
from coolcap_training.config import TrainConfig
from coolcap_training.evaluate import evaluate
from coolcap_training.release import VALIDATION_MISMATCHES, VALIDATION_SEED, release
from coolcap_training.train import RUN, train
from coolcap_training.trials import run_trials

if TYPE_CHECKING:
    import optuna

SELECTION: Final = "selection.json"
"""What the study found: every trial with its validation, and which was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRange:
    """Where a setting is searched; rates on a logarithmic scale."""

    low: float
    high: float
    is_log: bool = False


SEARCH: Final[Mapping[str, SearchRange]] = {
    "learning_rate": SearchRange(low=3e-4, high=3e-3, is_log=True),
    "gamma": SearchRange(low=0.9, high=0.99),
    "gae_lambda": SearchRange(low=0.9, high=1.0),
    "log_std_init": SearchRange(low=-2.0, high=-0.5),
    "plant_reward_scale": SearchRange(low=3.0, high=30.0, is_log=True),
}
"""Settings that are searched; the others stay as configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training with its validation, runnable anywhere.

    Attributes:
        config: Settings.
        seed: Of the training.
        folder: Where the run goes.
        scenario_count: Validation scenarios per site and mismatch.
        duration_s: Length of a scenario.
    """

    config: TrainConfig
    seed: int
    folder: Path
    scenario_count: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a trial's policy does on validation plants.

    Attributes:
        folder: Of its run.
        seed: Of its training.
        settings: What was searched, with the values drawn.
        gains: Mean reward over that of the rule, by validation plant.
        steps_per_s: Speed of the training.
    """

    folder: str
    seed: int
    settings: dict[str, float]
    gains: dict[str, float]
    steps_per_s: float

    @property
    def worst(self) -> float:
        """Return the least gain: what the trial is judged by."""
        return min(self.gains.values())


def run_trial(trial: Trial) -> Score:
    """Train, unless the folder holds a finished run of the same settings, and validate."""
    run = trial.folder / RUN
    if not (run.exists() and (trial.folder / CHECKPOINT).exists()):
        train(trial.config, seed=trial.seed, folder=trial.folder)
    done = json.loads(run.read_text(encoding="utf-8"))
    bundle = release(
        trial.folder, trial.folder / "bundle", name=trial.folder.name, scenario_count=0
    )
    gains = {
        f"{site}, mismatch {mismatch:g}": evaluate(
            bundle,
            site,
            scenario_count=trial.scenario_count,
            references=("rule",),
            days=Days.VALIDATION,
            seed=VALIDATION_SEED,
            randomise_ratio=mismatch,
            duration_s=trial.duration_s,
        )
        .comparisons[0]
        .absolute["reward_mean"]
        .mean
        for site in trial.config.sites
        for mismatch in VALIDATION_MISMATCHES
    }
    return Score(
        folder=str(trial.folder),
        seed=trial.seed,
        settings={name: float(getattr(trial.config, name)) for name in SEARCH},
        gains=gains,
        steps_per_s=float(done["steps_per_s"]),
    )


def tune(
    config: TrainConfig,
    *,
    seeds: Sequence[int],
    folder: Path,
    search_count: int = 0,
    scenario_count: int = 6,
    duration_s: float = 86_400.0,
    workers: int = 1,
    ray_address: str | None = None,
    tell: Callable[[Score], None] = lambda _: None,
) -> Score:
    """Train and validate every seed, search settings first if asked, and return the best trial.

    Args:
        config: Settings to start from.
        seeds: Seeds the best settings are trained with.
        folder: Of the study; what is finished there is not done again.
        search_count: Draws of settings to try with the first seed; 0 keeps ``config``.
        scenario_count: Validation scenarios per site and mismatch.
        duration_s: Length of a scenario.
        workers: Trials side by side on this machine.
        ray_address: Ray cluster to use in place of this machine.
        tell: Is given each trial's score as it comes in.
    """

    def trials_of(configs: Mapping[str, tuple[TrainConfig, int]]) -> list[Trial]:
        return [
            Trial(
                config=settings,
                seed=seed,
                folder=folder / name,
                scenario_count=scenario_count,
                duration_s=duration_s,
            )
            for name, (settings, seed) in configs.items()
        ]

    folder.mkdir(parents=True, exist_ok=True)
    scores: list[Score] = []

    def run(trials: Sequence[Trial]) -> Iterator[tuple[int, Score]]:
        for number, score in run_trials(
            run_trial, trials, workers=workers, ray_address=ray_address
        ):
            scores.append(score)
            tell(score)
            yield number, score

    if search_count:
        config = _search(config, folder, search_count, workers, lambda c: run(trials_of(c)))
    for _ in run(trials_of({f"seed-{seed}": (config, seed) for seed in seeds})):
        pass
    best = max(scores, key=lambda score: score.worst)
    found = {
        "chosen": best.folder,
        "trials": [asdict(score) | {"worst": score.worst} for score in scores],
    }
    text = json.dumps(found, indent=2, sort_keys=True)
    (folder / SELECTION).write_text(text + "\n", encoding="utf-8")
    return best


def _search(
    config: TrainConfig,
    folder: Path,
    count: int,
    workers: int,
    run: Callable[[Mapping[str, tuple[TrainConfig, int]]], Iterator[tuple[int, Score]]],
) -> TrainConfig:
    """Return the settings with the best worst case among ``count`` draws."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=config.name,
        storage=JournalStorage(JournalFileBackend(str(folder / "search.journal"))),
        sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True),
        direction="maximize",
        load_if_exists=True,
    )
    complete = optuna.trial.TrialState.COMPLETE
    while (left := count - len(study.get_trials(states=(complete,)))) > 0:
        asked = [study.ask() for _ in range(min(workers, left))]
        drawn = {f"draw-{trial.number}": (_drawn(config, trial), 0) for trial in asked}
        for number, score in run(drawn):
            study.tell(asked[number], score.worst)
    return _with(config, study.best_params)


def _drawn(config: TrainConfig, trial: "optuna.Trial") -> TrainConfig:
    return _with(
        config,
        {
            name: trial.suggest_float(name, where.low, where.high, log=where.is_log)
            for name, where in SEARCH.items()
        },
    )


def _with(config: TrainConfig, settings: Mapping[str, float]) -> TrainConfig:
    return replace(config, **dict(settings))  # type: ignore[arg-type]
