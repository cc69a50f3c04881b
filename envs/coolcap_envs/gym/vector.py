"""Many episodes of one simulated site as a native Gymnasium vector environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import BoolArray
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.gym.env import Arrays, step_infos
from coolcap_envs.gym.options import with_options
from coolcap_envs.gym.render import RENDER_MODES, Frame, checked_mode, picture_of
from coolcap_envs.gym.spaces import action_space, observation_space, to_action, to_arrays
from coolcap_envs.reward import Weights
from coolcap_envs.site import load_site

Infos = dict[str, Any]


def _with_masks(infos: Infos, where: BoolArray) -> Infos:
    """Add to each value the mask ``_key`` of the members it holds for, zeros elsewhere."""
    marked: Infos = {}
    for key, value in infos.items():
        if isinstance(value, dict):
            marked[key] = _with_masks(value, where)
        else:
            marked[key] = np.where(where, value, np.zeros_like(value))
        marked[f"_{key}"] = where.copy()
    return marked


class DataCenterVectorEnv(VectorEnv[Arrays, NDArray[np.float32], NDArray[Any]]):
    """:class:`coolcap_envs.gym.env.DataCenterEnv` in a batch: one call advances all members.

    Member i of a batch reset with seed s is, bit for bit, the single environment reset with seed
    s + i. A member whose episode ends is reset in the same step (SAME_STEP): the step returns the
    new episode's observation, and ``info["final_obs"]`` and ``info["final_info"]`` the old one's.

    Args:
        num_envs: Number of members.
        site: Name of a shipped site or path of a ``.toml`` file.
        render_mode: ``rgb_array`` for pictures of the halls, one per member, or None.
        weights: Of corrections and costs in the reward.
        threads: Threads that share the members; results are the same bit for bit.
        **settings: Fields of ``EpisodeSettings`` for every episode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  declared so by Gymnasium
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        site: str = "lab-16",
        *,
        render_mode: str | None = None,
        weights: Weights = Weights(),  # noqa: B008  frozen
        threads: int = 1,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.settings = with_options(EpisodeSettings(), settings)
        self.episodes = Episodes(
            load_site(site), batch_size=num_envs, weights=weights, threads=threads
        )
        self.num_envs = num_envs
        self.render_mode = checked_mode(render_mode)
        self.single_observation_space = observation_space(self.episodes.layout)
        self.single_action_space = action_space(self.episodes.layout)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._random = [seeding.np_random(None)[0] for _ in range(num_envs)]

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Arrays, Infos]:
        """Start an episode in all members, or in those of ``options["reset_mask"]``."""
        rest = dict(options or {})
        where = np.asarray(rest.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        seeds = [None] * self.num_envs if seed is None else seed
        seeds = [seeds + i for i in range(self.num_envs)] if isinstance(seeds, int) else seeds
        if len(seeds) != self.num_envs:
            raise ValueError(f"reset: {len(seeds)} seeds for {self.num_envs} environments")
        for i, member_seed in enumerate(seeds):
            if where[i] and member_seed is not None:
                self._random[i] = seeding.np_random(member_seed)[0]
        settings = with_options(self.settings, rest)
        self.episodes.start(self._random, where=where, settings=settings)
        return to_arrays(self.episodes.moment), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Arrays, NDArray[Any], NDArray[Any], NDArray[Any], Infos]:
        """Act for one control period of 30 s in all members."""
        step = self.episodes.step(to_action(actions, self.episodes.layout))
        over, infos = step.over, step_infos(step)
        told = _with_masks(infos, ~over) if not over.all() else {}
        if over.any():
            told |= self._final(infos, over)
            self.episodes.start(self._random, where=over, settings=self.settings)
        arrays = to_arrays(self.episodes.moment)
        return arrays, step.reward.total, np.zeros_like(over), over, told

    def render(self) -> tuple[Frame, ...] | None:
        """Return a picture of each member's hall, or None without a render mode."""
        if not self.render_mode:
            return None
        return tuple(picture_of(self.episodes, i) for i in range(self.num_envs))

    def _final(self, infos: Infos, over: BoolArray) -> Infos:
        last = to_arrays(self.episodes.moment)
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(over):
            final[i] = {key: value[i] for key, value in last.items()}
        ended = {"final_obs": final, "_final_obs": over.copy()}
        return ended | {"final_info": _with_masks(infos, over), "_final_info": over.copy()}
