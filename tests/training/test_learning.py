"""The learner learns, and learns the same from the same seed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecEnv

from coolcap_envs.contract.observation import ACTION_WIDTH, ROW_FEATURES
from coolcap_training.checkpoint import CHECKPOINT, Checkpoint
from coolcap_training.config import TrainConfig, read_config
from coolcap_training.policy import ACTION_SPACE, ROW_SPACE
from coolcap_training.train import make_learner, policy_of, train

OWN_POWER = [f.name for f in ROW_FEATURES].index("own_gpu_power_ratio")
IS_PLANT = [f.name for f in ROW_FEATURES].index("role_plant")


class FollowPower(VecEnv):
    """Groups earn by answering with their own power over 1.5, plants with minus a half."""

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(0)
        self.render_mode = None
        super().__init__(count, ROW_SPACE, ACTION_SPACE)

    def _draw(self) -> np.ndarray:
        rows = self._random.uniform(
            ROW_SPACE.low, ROW_SPACE.high, (self.num_envs, len(ROW_FEATURES))
        )
        is_plant = np.arange(self.num_envs) % 4 == 0
        rows[:, -2:] = np.stack([~is_plant, is_plant], axis=1)
        columns = [i for i, f in enumerate(ROW_FEATURES) if f.name.startswith("plant_has_")]
        rows[:, columns] = 1.0
        self._rows = rows.astype(np.float32)
        return self._rows.copy()

    def wanted(self) -> np.ndarray:
        is_plant = self._rows[:, IS_PLANT] > 0.0
        return np.where(is_plant, -0.5, self._rows[:, OWN_POWER] / 1.5)

    def reset(self) -> np.ndarray:
        return self._draw()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        rewards = -((self._actions[:, 0] - self.wanted()) ** 2)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        return self._draw(), rewards.astype(np.float32), np.ones(self.num_envs, dtype=bool), infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        return []

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def tiny() -> TrainConfig:
    return replace(
        read_config("smoke"),
        sites={"lab-16": 2},
        n_timesteps=600,
        n_steps=8,
        n_minibatches=2,
        episode_s=600.0,
        novelty_s=3600.0,
    )


@pytest.mark.slow
def test_learns_what_each_role_is_paid_for() -> None:
    """
    From a mean squared error of 0.31 for doing nothing to below 0.02 for both roles.
    """
    env = FollowPower(256)
    config = replace(read_config("smoke"), n_steps=16, n_minibatches=8, learning_rate=3e-3)
    learner = make_learner(env, config, seed=0, kinds=(np.arange(256) % 4 == 0).astype(np.int64))

    learner.learn(150_000)

    rows = env.reset()
    with torch.no_grad():
        actions = policy_of(learner).mean_action(torch.as_tensor(rows)).numpy()
    error = (actions[:, 0] - env.wanted()) ** 2
    is_plant = rows[:, IS_PLANT] > 0.0
    assert error[is_plant].mean() < 0.02
    assert error[~is_plant].mean() < 0.02


def test_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    def weights(seed: int, name: str) -> dict[str, torch.Tensor]:
        return train(tiny(), seed=seed, folder=tmp_path / name).policy.state_dict()

    first, again, other = weights(3, "first"), weights(3, "again"), weights(4, "other")

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_checkpoint_restores_the_policy_without_unpickling_objects(tmp_path: Path) -> None:
    trained = train(tiny(), seed=0, folder=tmp_path).policy

    restored = Checkpoint.load(tmp_path / CHECKPOINT).new_policy()

    rows = torch.rand(7, len(ROW_FEATURES))
    assert torch.equal(restored.mean_action(rows), trained.mean_action(rows))
    assert restored.mean_action(rows).shape == (7, ACTION_WIDTH)


def test_run_leaves_settings_and_tensorboard_events(tmp_path: Path) -> None:
    train(tiny(), seed=0, folder=tmp_path)

    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {"checkpoint", "run", "events"}


def test_minibatches_that_do_not_divide_the_samples_are_refused() -> None:
    config = replace(read_config("smoke"), n_steps=5, n_minibatches=7)

    with pytest.raises(ValueError, match="n_minibatches = 7 does not divide the 40 samples"):
        make_learner(FollowPower(8), config, seed=0, kinds=np.zeros(8, dtype=np.int64))
