"""Many sites as one stable-baselines3 environment in which every agent is a row.

A site with N control groups gives N + 1 rows: its groups, then its plant. Sites of different size
and kind stand side by side, so one network learns from all of them. Rows of one site end their
episodes together; sites are staggered, so that ends spread over time.

Rewards are differences: each site has a twin with the same seed, so the same workload, weather and
plant, that the rule alone controls, and what its agents get there in the same step is subtracted.
No action changes the twin, so what is best to do stays the same, and demand, weather and unknown
parameters, which move rewards fifty times as much as actions do, mostly cancel.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from coolcap_envs.compiled.rows import fill_rows
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import ROW_FEATURES, action_mask, agent_rows
from coolcap_envs.contract.telemetry import BoolArray
from coolcap_envs.episode import Episodes
from coolcap_envs.reward import Reward
from coolcap_training.policy import ACTION_SPACE, ROW_SPACE

Floats = NDArray[np.float32]
Info = dict[str, Any]


class _Block:
    """The rows of one batch of episodes, with its twins.

    Args:
        episodes: What the learner controls.
        rows: Where its rows stand among all.
        seed: Of the episodes.
        scales: Factors on the rewards of a group and of a plant.
    """

    def __init__(
        self,
        episodes: Episodes,
        *,
        rows: slice,
        seed: np.random.SeedSequence,
        scales: tuple[float, float],
    ) -> None:
        self.episodes = episodes
        self.rows = rows
        self.agent_count = episodes.layout.group_count + 1
        count = episodes.batch_size
        self._twin = Episodes(episodes.site, batch_size=count, settings=episodes.settings)
        self._neutral = Action.neutral(count, episodes.layout.group_count)
        self._levers = action_mask(episodes.layout)[-1, : len(PLANT_LEVERS)]
        self._scale = np.repeat(scales, (self.agent_count - 1, 1)).astype(np.float32)
        self.reseed(seed)
        self.gain = np.zeros(count)
        self.length = np.zeros(count, dtype=np.int64)

    def reseed(self, seed: np.random.SeedSequence) -> None:
        """Draw all later episodes from another seed."""
        count = self.episodes.batch_size
        self._random = [np.random.default_rng(s) for s in seed.spawn(count)]

    def start(self, where: BoolArray | None = None, *, stagger: bool = False) -> None:
        """Start episodes and their twins with the same draws."""
        started = np.ones(self.gain.size, dtype=bool) if where is None else where
        same = [copy.deepcopy(r) if started[b] else r for b, r in enumerate(self._random)]
        self._twin.start(same, where=where, stagger=stagger)
        self.episodes.start(self._random, where=where, stagger=stagger)
        chosen: BoolArray | slice = slice(None) if where is None else where
        self.gain[chosen], self.length[chosen] = 0.0, 0

    def step(self, actions: Floats, gains: Floats) -> tuple[Reward, BoolArray]:
        """Write what each agent gained on the twin; return the site's reward and which ended."""
        wide = actions.reshape(self.episodes.batch_size, self.agent_count, -1)
        action = Action.neutral(self.episodes.batch_size, self.agent_count - 1)
        action.groups[..., 0] = wide[:, :-1, 0]  # a group's row moves its power cap only
        action.plant[:] = wide[:, -1, : len(PLANT_LEVERS)] * self._levers
        step, twin = self.episodes.step(action), self._twin.step(self._neutral)
        own = gains.reshape(self.episodes.batch_size, self.agent_count)
        own[:, :-1] = step.reward.groups - twin.reward.groups
        own[:, -1] = step.reward.plant - twin.reward.plant
        own *= self._scale
        self.gain += step.reward.total - twin.reward.total
        self.length += 1
        return step.reward, step.over

    def observe(self, rows: Floats) -> None:
        """Write the rows now, shape ``[B * agent_count, D]``."""
        wide = rows.reshape(self.episodes.batch_size, self.agent_count, rows.shape[-1])
        moment = self.episodes.moment
        if moment.arrays is None:
            wide[:] = agent_rows(moment.observation)
        else:
            fill_rows(moment.arrays.groups, moment.arrays.plant, wide)


class RowAgentsVecEnv(VecEnv):
    """Rows of all agents of several batches of episodes.

    Args:
        batches: Batches of episodes; each is one site.
        seed: Of all randomness of the episodes.
        group_reward_scale: Factor on what groups gain.
        plant_reward_scale: Factor on what plants gain.
    """

    def __init__(
        self,
        batches: Sequence[Episodes],
        *,
        seed: int,
        group_reward_scale: float = 1.0,
        plant_reward_scale: float = 1.0,
    ) -> None:
        counts = [b.batch_size * (b.layout.group_count + 1) for b in batches]
        ends = np.cumsum(counts).tolist()
        self._blocks = [
            _Block(
                batch,
                rows=slice(end - count, end),
                seed=root,
                scales=(group_reward_scale, plant_reward_scale),
            )
            for batch, count, end, root in zip(
                batches, counts, ends, np.random.SeedSequence(seed).spawn(len(counts)), strict=True
            )
        ]
        self._actions: Floats = np.zeros((sum(counts), *ACTION_SPACE.shape), dtype=np.float32)
        self._sums: dict[str, float] = {}
        self._step_count = 0
        self.render_mode = None
        super().__init__(sum(counts), ROW_SPACE, ACTION_SPACE)

    @property
    def kinds(self) -> NDArray[np.int64]:
        """Return a number per row, the same for rows of one role of one batch."""
        return np.concatenate(
            [
                np.tile(
                    np.repeat([2 * i, 2 * i + 1], (block.agent_count - 1, 1)),
                    block.episodes.batch_size,
                )
                for i, block in enumerate(self._blocks)
            ]
        )

    def reseed(self, seed: np.random.SeedSequence) -> None:
        """Draw all later episodes from another seed; :meth:`reset` has to follow."""
        for block, root in zip(self._blocks, seed.spawn(len(self._blocks)), strict=True):
            block.reseed(root)

    def reset(self) -> Floats:
        """Start all episodes at once, each at a random part of its length; return all rows."""
        rows = self._new_rows()
        for block in self._blocks:
            block.start(stagger=True)
            block.observe(rows[block.rows])
        return rows

    def _new_rows(self) -> Floats:
        return np.empty((self.num_envs, len(ROW_FEATURES)), dtype=np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next step, one row per agent."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Carry the step out; ended episodes are started again at once."""
        rows = self._new_rows()
        rewards = np.empty(self.num_envs, dtype=np.float32)
        dones = np.empty(self.num_envs, dtype=bool)
        nothing: Info = {}
        infos: list[Info] = [nothing] * self.num_envs
        self._step_count += 1
        for block in self._blocks:
            reward, over = block.step(self._actions[block.rows], rewards[block.rows])
            self._note(block.episodes.layout.name, reward)
            dones[block.rows] = np.repeat(over, block.agent_count)
            block.observe(rows[block.rows])
            if over.any():
                _finish(block, over, rows[block.rows], infos)
                block.start(over)
                block.observe(rows[block.rows])
        return rows, rewards, dones, infos

    def _note(self, site: str, reward: Reward) -> None:
        """Add up the terms of a step for :meth:`take_metrics`."""
        costs = {f"cost_{name}": value for name, value in reward.costs.items()}
        for name, value in {"reward": reward.total, **reward.terms, **costs}.items():
            key = f"{site}/{name}"
            self._sums[key] = self._sums.get(key, 0.0) + float(value.mean())

    def take_metrics(self) -> dict[str, float]:
        """Return mean reward, terms and costs per site since the last call, as ``site/name``."""
        steps, self._step_count = max(self._step_count, 1), 0
        means = {key: value / steps for key, value in self._sums.items()}
        self._sums.clear()
        return means

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401
        """Return an attribute of this environment once per asked row."""
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ANN401
        """Refuse: rows have no attributes of their own."""
        raise AttributeError(f"{attr_name}: rows have no attributes of their own")

    def env_method(
        self,
        method_name: str,
        *args: Any,  # noqa: ANN401
        indices: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> list[Any]:
        """Refuse: rows have no methods of their own."""
        raise AttributeError(f"{method_name}: rows have no methods of their own")

    def env_is_wrapped(
        self,
        wrapper_class: Callable[..., Any],
        indices: Any = None,  # noqa: ANN401
    ) -> list[bool]:
        """Return False for every row: nothing is wrapped."""
        return [False for _ in self._get_indices(indices)]


def _finish(block: _Block, over: BoolArray, rows: Floats, infos: list[Info]) -> None:
    """Tell stable-baselines3 of rows whose episode was cut off: the last row, and the gain."""
    last = rows.reshape(len(over), block.agent_count, -1).copy()
    for b in np.flatnonzero(over).tolist():
        first = block.rows.start + b * block.agent_count
        for a in range(block.agent_count):
            infos[first + a] = {"terminal_observation": last[b, a], "TimeLimit.truncated": True}
        mean = float(block.gain[b]) / int(block.length[b])
        infos[first]["episode"] = {"r": mean, "l": int(block.length[b]), "t": 0.0}
