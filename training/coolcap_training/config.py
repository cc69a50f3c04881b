"""Settings of a training run, read from ``hyperparams/*.yaml`` by environment id and name.

Keys follow rl-zoo where it has them. An unknown or missing key is an error; all problems are
reported at once with file and key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from coolcap_envs.contract.config import Table, shipped_sites
from coolcap_envs.contract.errors import ConfigError

ENV_ID: Final = "coolcap/DataCenter-v0"
HYPERPARAMS: Final = Path(__file__).parent / "hyperparams" / "ppo.yaml"
"""The shipped file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a run learns, beside its seed.

    Attributes:
        name: Name of these settings.
        sites: Copies of each site that are simulated side by side.
        n_timesteps: Samples (rows of agents) the run takes in all.
        n_steps: Control steps between two updates.
        n_minibatches: Gradient steps per pass over the samples of an update.
        n_epochs: Passes over the samples of an update.
        gamma: Discount per control step.
        gae_lambda: Trade of bias for variance in the advantage.
        learning_rate: At the start; falls linearly to ``learning_rate_final``.
        learning_rate_final: At the end.
        clip_range: Of the policy's probability ratio.
        ent_coef: Weight of the entropy bonus.
        net_width: Units of each of the two hidden layers.
        log_std_init: Logarithm of the initial deviation of an action in [-1, 1].
        group_reward_scale: Factor on what groups gain, so that returns are of order one.
        plant_reward_scale: The same for plants.
        episode_s: Length of an episode.
        novelty_s: Time on each site that novelty is fitted to after training; the rule needs
            hours from a site's defaults to where it stays, so a day is needed for real use.
        randomise_ratio: Domain randomisation: 0 for the nominal plant, 1 for its full ranges.
        work_value_low: Least ``work_value`` drawn per episode.
        work_value_high: Greatest.
    """

    name: str
    sites: Mapping[str, int]
    n_timesteps: int
    n_steps: int
    n_minibatches: int
    n_epochs: int
    gamma: float
    gae_lambda: float
    learning_rate: float
    learning_rate_final: float
    clip_range: float
    ent_coef: float
    net_width: int
    log_std_init: float
    group_reward_scale: float
    plant_reward_scale: float
    episode_s: float
    novelty_s: float
    randomise_ratio: float
    work_value_low: float
    work_value_high: float


def _read(table: Table, name: str) -> TrainConfig:
    sites_table = table.take_table("sites")
    table_keys = sites_table.keys()
    sites: dict[str, int] = {}
    for site in table_keys:
        if site not in shipped_sites() and not site.endswith(".toml"):
            known = ", ".join(shipped_sites())
            sites_table.complain(site, f"is no shipped site ({known}) and no path of a .toml file")
        sites[site] = sites_table.take_int(site, low=1, high=100_000)
    config = TrainConfig(
        name=name,
        sites=sites,
        n_timesteps=table.take_int("n_timesteps", low=1, high=10**12),
        n_steps=table.take_int("n_steps", low=1, high=100_000),
        n_minibatches=table.take_int("n_minibatches", low=1, high=100_000),
        n_epochs=table.take_int("n_epochs", low=1, high=1000),
        gamma=table.take_float("gamma", low=0.0, high=1.0, unit="(ratio)"),
        gae_lambda=table.take_float("gae_lambda", low=0.0, high=1.0, unit="(ratio)"),
        learning_rate=table.take_float("learning_rate", low=0.0, high=1.0, unit="(ratio)"),
        learning_rate_final=table.take_float(
            "learning_rate_final", low=0.0, high=1.0, unit="(ratio)"
        ),
        clip_range=table.take_float("clip_range", low=0.0, high=10.0, unit="(ratio)"),
        ent_coef=table.take_float("ent_coef", low=0.0, high=10.0, unit="(ratio)"),
        net_width=table.take_int("net_width", low=1, high=4096),
        log_std_init=table.take_float("log_std_init", low=-10.0, high=2.0, unit="(log)"),
        group_reward_scale=table.take_float(
            "group_reward_scale", low=1e-6, high=1e6, unit="(ratio)"
        ),
        plant_reward_scale=table.take_float(
            "plant_reward_scale", low=1e-6, high=1e6, unit="(ratio)"
        ),
        episode_s=table.take_float("episode_s", low=30.0, high=366 * 86400.0, unit="s"),
        novelty_s=table.take_float("novelty_s", low=3600.0, high=366 * 86400.0, unit="s"),
        randomise_ratio=table.take_float("randomise_ratio", low=0.0, high=1.0, unit="(ratio)"),
        work_value_low=table.take_float("work_value_low", low=0.0, high=5.0, unit="(ratio)"),
        work_value_high=table.take_float("work_value_high", low=0.0, high=5.0, unit="(ratio)"),
    )
    if not config.work_value_low <= config.work_value_high:
        table.complain("work_value_low", "must not exceed work_value_high")
    table.finish()
    return config


def read_config(name: str, *, path: Path = HYPERPARAMS, env_id: str = ENV_ID) -> TrainConfig:
    """Return the settings called ``name`` of an environment.

    Raises:
        ConfigError: If the file is unusable or has no such settings; lists every problem.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError(str(path), [f"is not valid YAML: {error}"]) from error
    environments = cast("dict[str, dict[str, dict[str, object]]]", data)
    if not isinstance(data, dict) or env_id not in environments:
        raise ConfigError(str(path), [f"has no settings for {env_id}"])
    named = environments[env_id]
    if name not in named:
        raise ConfigError(
            str(path), [f"has no {name!r} for {env_id}: known are {', '.join(named)}"]
        )
    problems: list[str] = []
    config = _read(Table(named[name], path=f"{env_id}.{name}", problems=problems), name)
    if problems:
        raise ConfigError(str(path), problems)
    return config
