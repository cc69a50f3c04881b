"""Training: PPO on many sites at once, every agent a row, from settings and one seed.

A run is a sequence of segments. At each border everything random is seeded from the run's seed and
the segment's number, all episodes start anew, and a checkpoint is written; so a run that was
killed goes on from its last checkpoint to the same weights as one that was not.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule, set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.observation import SCHEMA_HASH
from coolcap_envs.episode import STEP_S, Days, Episodes, EpisodeSettings
from coolcap_envs.site import load_site
from coolcap_training.buffer import RoleRolloutBuffer
from coolcap_training.callbacks import Progress, SiteMetrics
from coolcap_training.checkpoint import CHECKPOINT, Checkpoint
from coolcap_training.config import TrainConfig
from coolcap_training.novelty import Novelty, fit
from coolcap_training.policy import SharedPolicy
from coolcap_training.vec_env import RowAgentsVecEnv

TORCH_THREADS = 1
"""Two threads gain little, cost up to 20 times on a busy machine, and change results."""
SEGMENT_UPDATES = 100
"""Updates between two checkpoints: some ten seconds to a minute."""
NOVELTY_SAMPLES = 120
"""Moments of each site that novelty is fitted to after training, over ``novelty_s``."""
RUN = "run.json"
"""Settings of a run, and at its end its speed."""


class RunError(CoolcapError):
    """A folder holds a run that cannot be continued with these settings."""


class SegmentedPPO(PPO):
    """PPO that learns in segments, with schedules over the whole run.

    Attributes:
        run_timesteps: Samples of the whole run.
    """

    run_timesteps: int

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        super()._update_current_progress_remaining(num_timesteps, self.run_timesteps)

    def start_segment(self, env: RowAgentsVecEnv, *, seed: int, segment: int) -> None:
        """Seed everything random for a segment and let its episodes start anew."""
        root = np.random.SeedSequence([seed, segment])
        env.reseed(root)
        set_random_seed(int(root.generate_state(1)[0]))
        self._last_obs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished run.

    Attributes:
        policy: The trained policy, on the CPU.
        novelty: Of observations, fitted to those of training.
        folder: Where checkpoint, settings and TensorBoard events are.
        num_timesteps: Samples taken, those before an interruption included.
        elapsed_s: Wall-clock time of learning since the last start.
        steps_per_s: Samples per second since then, rollouts and updates together.
    """

    policy: SharedPolicy
    novelty: Novelty
    folder: Path
    num_timesteps: int
    elapsed_s: float
    steps_per_s: float


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


def make_learner(
    env: VecEnv, config: TrainConfig, *, seed: int, kinds: NDArray[np.int64]
) -> SegmentedPPO:
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
    learner = SegmentedPPO(
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
    learner.run_timesteps = config.n_timesteps
    return learner


def policy_of(learner: PPO) -> SharedPolicy:
    """Return the learner's policy."""
    policy = learner.policy
    if not isinstance(policy, SharedPolicy):
        raise TypeError(f"the learner holds a {type(policy).__name__}, not a SharedPolicy")
    return policy


def train(config: TrainConfig, *, seed: int, folder: Path, progress: bool = False) -> TrainResult:
    """Train and leave checkpoint, settings and TensorBoard events in ``folder``.

    The same settings, seed and versions give the same weights, also if the run was interrupted
    and is started again on the same folder.

    Args:
        config: Settings.
        seed: Of weights, exploration and all episodes.
        folder: Where results go; made if needed. A run begun there is continued.
        progress: Show a bar on standard error.

    Raises:
        RunError: If the folder holds a run of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    env = make_env(config, seed=seed)
    learner = make_learner(env, config, seed=seed, kinds=env.kinds)
    segment = _continue(learner, folder, describe(config, seed=seed))
    learner.set_logger(configure(str(folder), ["tensorboard"]))
    callbacks: list[BaseCallback] = [SiteMetrics(env)]
    if progress:
        callbacks.append(Progress(config.n_timesteps))
    started_s, started_at = time.perf_counter(), learner.num_timesteps
    while (left := config.n_timesteps - learner.num_timesteps) > 0:
        learner.start_segment(env, seed=seed, segment=segment)
        samples = min(left, SEGMENT_UPDATES * config.n_steps * env.num_envs)
        learner.learn(samples, callback=CallbackList(callbacks), reset_num_timesteps=False)
        segment += 1
        _save(learner, folder, config, segment=segment, novelty=Novelty())
    elapsed_s = time.perf_counter() - started_s
    result = TrainResult(
        policy=policy_of(learner),
        novelty=_novelty_of(policy_of(learner), config, seed=seed),
        folder=folder,
        num_timesteps=learner.num_timesteps,
        elapsed_s=elapsed_s,
        steps_per_s=(learner.num_timesteps - started_at) / elapsed_s,
    )
    _save(learner, folder, config, segment=segment, novelty=result.novelty)
    done = describe(config, seed=seed) | {"steps_per_s": round(result.steps_per_s)}
    _write_run(folder, done)
    return result


def _continue(learner: PPO, folder: Path, settings: dict[str, object]) -> int:
    """Take up the run in ``folder``, or note that one begins; return the segment to do next."""
    try:
        held = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        _write_run(folder, settings)
        return 0
    held.pop("steps_per_s", None)
    wanted = json.loads(json.dumps(settings))
    if held != wanted:
        other = sorted(k for k in held.keys() | wanted.keys() if held.get(k) != wanted.get(k))
        raise RunError(
            f"{folder}: holds a run with other {', '.join(other)}: it can be continued only as it "
            "was begun; choose another folder or remove this one"
        )
    if not (folder / CHECKPOINT).exists():
        return 0
    checkpoint = Checkpoint.load(folder / CHECKPOINT)
    policy = policy_of(learner)
    policy.load_state_dict(checkpoint.policy)
    policy.optimizer.load_state_dict(checkpoint.optimizer)
    learner.num_timesteps = checkpoint.num_timesteps
    return checkpoint.segment


def _save(
    learner: PPO, folder: Path, config: TrainConfig, *, segment: int, novelty: Novelty
) -> None:
    policy = policy_of(learner)
    Checkpoint(
        policy=policy.state_dict(),
        optimizer=policy.optimizer.state_dict(),
        novelty=novelty.state_dict(),
        num_timesteps=learner.num_timesteps,
        segment=segment,
        net_width=config.net_width,
    ).save(folder / CHECKPOINT)


def _write_run(folder: Path, run: dict[str, object]) -> None:
    (folder / RUN).write_text(json.dumps(run, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _novelty_of(policy: SharedPolicy, config: TrainConfig, *, seed: int) -> Novelty:
    """Fit novelty to what the trained policy sees on plants of training."""
    env = make_env(replace(config, episode_s=config.novelty_s), seed=seed)
    steps = round(config.novelty_s / STEP_S)
    rows, seen = env.reset(), []
    for step in range(steps):
        if step % max(steps // NOVELTY_SAMPLES, 1) == 0:
            seen.append(rows)
        with torch.no_grad():
            actions = policy.mean_action(torch.as_tensor(rows)).numpy()
        env.step_async(actions)
        rows = np.asarray(env.step_wait()[0])
    return fit(np.concatenate(seen))


def describe(config: TrainConfig, *, seed: int) -> dict[str, object]:
    """Return what a bundle's manifest says of its training."""
    return {
        **asdict(config),
        "sites": dict(config.sites),
        "seed": seed,
        "schema_hash": SCHEMA_HASH,
        "torch_threads": TORCH_THREADS,
        "torch": torch.__version__,
    }
