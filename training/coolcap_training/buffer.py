"""The rollout buffer: advantages are brought to one scale within each role and site."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer


class RoleRolloutBuffer(RolloutBuffer):
    """Standardises advantages within each kind of row, over the whole rollout.

    Groups outnumber the plant, and what a group gains differs in size from what the plant gains.
    Standardised over all rows together, the plant's advantages would be next to nothing.

    Args:
        buffer_size: Steps of a rollout.
        observation_space: Of a row.
        action_space: Of a row.
        kinds: Kind of each row, shape ``[n_envs]``.
        **settings: As for stable-baselines3's own.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        kinds: NDArray[np.int64],
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._kinds = kinds
        super().__init__(buffer_size, observation_space, action_space, **settings)

    def compute_returns_and_advantage(
        self, last_values: torch.Tensor, dones: NDArray[np.bool_]
    ) -> None:
        """Compute as stable-baselines3 does, then standardise; returns stay as they are."""
        super().compute_returns_and_advantage(last_values, dones)
        for kind in np.unique(self._kinds):
            rows = self._kinds == kind
            own = self.advantages[:, rows]
            self.advantages[:, rows] = (own - own.mean()) / (own.std() + 1e-8)
