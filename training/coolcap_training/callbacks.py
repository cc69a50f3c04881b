"""What happens beside learning: checkpoints, metrics for TensorBoard, progress."""

import os
from pathlib import Path
from typing import Final, Never

import torch
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from coolcap_training.policy import ACTION_SPACE, ROW_SPACE, SharedPolicy
from coolcap_training.vec_env import RowAgentsVecEnv

CHECKPOINT: Final = "checkpoint.pt"
"""Weights of policy and optimizer; tensors only, loaded without unpickling objects."""


def save_checkpoint(
    policy: SharedPolicy, path: Path, *, num_timesteps: int, net_width: int
) -> None:
    """Write weights so that an interrupted write leaves the older file whole."""
    state = {
        "policy": policy.state_dict(),
        "optimizer": policy.optimizer.state_dict(),
        "num_timesteps": num_timesteps,
        "net_width": net_width,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def new_policy(net_width: int, *, log_std_init: float = 0.0) -> SharedPolicy:
    """Return an untrained policy."""
    return SharedPolicy(
        ROW_SPACE,
        ACTION_SPACE,
        lambda _: 0.0,
        net_arch=[net_width, net_width],
        log_std_init=log_std_init,
    )


def load_checkpoint(path: Path) -> SharedPolicy:
    """Return the policy of a checkpoint."""
    state = torch.load(path, weights_only=True)
    policy = new_policy(state["net_width"])
    policy.load_state_dict(state["policy"])
    return policy


class Checkpoints(BaseCallback):
    """Saves a checkpoint after every ``every`` updates and at the end."""

    def __init__(self, folder: Path, *, every: int, net_width: int) -> None:
        super().__init__()
        self._path = folder / CHECKPOINT
        self._every = every
        self._net_width = net_width
        self._count = 0

    def _save(self) -> None:
        policy = self.model.policy
        if isinstance(policy, SharedPolicy):
            save_checkpoint(
                policy,
                self._path,
                num_timesteps=self.num_timesteps,
                net_width=self._net_width,
            )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._count += 1
        if self._count % self._every == 0:
            self._save()

    def _on_training_end(self) -> None:
        self._save()


class SiteMetrics(BaseCallback):
    """Logs the mean of every reward term and constraint cost over each rollout, per site."""

    def __init__(self, env: RowAgentsVecEnv) -> None:
        super().__init__()
        self._env = env

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        for name, value in self._env.take_metrics().items():
            self.logger.record(name, value)


class Progress(BaseCallback):
    """Shows a progress bar on standard error."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._bar: tqdm[Never] | None = None

    def _on_training_start(self) -> None:
        self._bar = tqdm(total=self._total, unit="sample", unit_scale=True, desc="training")

    def _on_step(self) -> bool:
        if self._bar is not None:
            self._bar.update(self.training_env.num_envs)
        return True

    def _on_training_end(self) -> None:
        if self._bar is not None:
            self._bar.close()
