"""Training: PPO on many sites at once, every agent a row, from settings and one seed."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from coolcap_envs.contract.observation import SCHEMA_HASH
from coolcap_envs.episode import Days, Episodes, EpisodeSettings
from coolcap_envs.site import load_site
from coolcap_training.buffer import RoleRolloutBuffer
from coolcap_training.callbacks import CHECKPOINT, Checkpoints, Progress, SiteMetrics
from coolcap_training.config import TrainConfig
from coolcap_training.policy import SharedPolicy
from coolcap_training.vec_env import RowAgentsVecEnv

TORCH_THREADS = 1
"""Two threads gain little, cost up to 20 times on a busy machine, and change results."""
CHECKPOINT_EVERY = 10
RUN = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished run.

    Attributes:
        policy: The trained policy, on the CPU.
        folder: Where checkpoint, settings and TensorBoard events are.
        num_timesteps: Samples taken.
        elapsed_s: Wall-clock time of learning.
    """

    policy: SharedPolicy
    folder: Path
    num_timesteps: int
    elapsed_s: float

    @property
    def steps_per_s(self) -> float:
        """Return samples per second, rollouts and updates together."""
        return self.num_timesteps / self.elapsed_s


def make_env(config: TrainConfig, *, seed: int) -> RowAgentsVecEnv:
    """Return the environment of a run: its sites side by side."""
    settings = EpisodeSettings(
        duration_s=config.episode_s,
        work_value=(config.work_value_low, config.work_value_high),
        randomise_ratio=config.randomise_ratio,
        days=Days.TRAINING,
        any_hour=True,
    )
    batches = [
        Episodes(load_site(site), batch_size=count, settings=settings)
        for site, count in config.sites.items()
    ]
    return RowAgentsVecEnv(
        batches,
        seed=seed,
        group_reward_scale=config.group_reward_scale,
        plant_reward_scale=config.plant_reward_scale,
    )


def make_learner(env: VecEnv, config: TrainConfig, *, seed: int, kinds: NDArray[np.int64]) -> PPO:
    """Return PPO on ``env``; sets the number of torch threads of the process.

    Args:
        env: Rows of agents.
        config: Settings.
        seed: Of weights and exploration.
        kinds: Kind of each row; advantages are standardised within each.

    Raises:
        ValueError: If minibatches do not divide the samples of an update.
    """
    torch.set_num_threads(TORCH_THREADS)
    samples = config.n_steps * env.num_envs
    if samples % config.n_minibatches:
        raise ValueError(
            f"n_minibatches = {config.n_minibatches} does not divide the {samples} samples of an "
            f"update (n_steps {config.n_steps} times {env.num_envs} rows): choose a divisor"
        )
    return PPO(
        SharedPolicy,
        env,
        learning_rate=LinearSchedule(config.learning_rate, config.learning_rate_final, 1.0),
        n_steps=config.n_steps,
        batch_size=samples // config.n_minibatches,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.ent_coef,
        normalize_advantage=False,  # the buffer did, kind by kind
        rollout_buffer_class=RoleRolloutBuffer,
        rollout_buffer_kwargs={"kinds": kinds},
        policy_kwargs={
            "net_arch": [config.net_width, config.net_width],
            "log_std_init": config.log_std_init,
        },
        seed=seed,
        device="cpu",
    )


def policy_of(learner: PPO) -> SharedPolicy:
    """Return the learner's policy."""
    policy = learner.policy
    if not isinstance(policy, SharedPolicy):
        raise TypeError(f"the learner holds a {type(policy).__name__}, not a SharedPolicy")
    return policy


def train(config: TrainConfig, *, seed: int, folder: Path, progress: bool = False) -> TrainResult:
    """Train and leave checkpoint, settings and TensorBoard events in ``folder``.

    The same settings, seed and versions give the same weights.

    Args:
        config: Settings.
        seed: Of weights, exploration and all episodes.
        folder: Where results go; made if needed.
        progress: Show a bar on standard error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    env = make_env(config, seed=seed)
    learner = make_learner(env, config, seed=seed, kinds=env.kinds)
    learner.set_logger(configure(str(folder), ["tensorboard"]))
    callbacks: list[BaseCallback] = [
        Checkpoints(folder, every=CHECKPOINT_EVERY, net_width=config.net_width),
        SiteMetrics(env),
    ]
    if progress:
        callbacks.append(Progress(config.n_timesteps))
    started_s = time.perf_counter()
    learner.learn(config.n_timesteps, callback=CallbackList(callbacks))
    result = TrainResult(
        policy=policy_of(learner),
        folder=folder,
        num_timesteps=learner.num_timesteps,
        elapsed_s=time.perf_counter() - started_s,
    )
    run = describe(config, seed=seed) | {"steps_per_s": round(result.steps_per_s)}
    (folder / RUN).write_text(json.dumps(run, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return result


def describe(config: TrainConfig, *, seed: int) -> dict[str, object]:
    """Return what a bundle's manifest says of its training."""
    return {
        **asdict(config),
        "sites": dict(config.sites),
        "seed": seed,
        "schema_hash": SCHEMA_HASH,
        "torch_threads": TORCH_THREADS,
        "torch": torch.__version__,
        "checkpoint": CHECKPOINT,
    }
