"""The network: one small policy shared by all groups and the plant, as a stable-baselines3 policy.

A row of ``ROW_FEATURES`` is one agent. The first layer scales physical units by the features'
bounds, two layers are shared by all agents, and each role has its own output layer. Outputs
without a lever at that site are masked: they are 0, add nothing to likelihood or entropy, and
get no gradient. Output layers start at zero, so that training starts at the feedback rule.
"""

from typing import Any, Final, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVERS
from coolcap_envs.contract.observation import ACTION_WIDTH, ROLES, ROW_FEATURES

ROW_SPACE: Final = spaces.Box(
    np.array([f.low for f in ROW_FEATURES], dtype=np.float32),
    np.array([f.high for f in ROW_FEATURES], dtype=np.float32),
)
"""One agent's observation."""
ACTION_SPACE: Final = spaces.Box(-1.0, 1.0, (ACTION_WIDTH,), dtype=np.float32)
"""One agent's action; a group uses the first columns, the plant one per lever."""

_NAMES = [f.name for f in ROW_FEATURES]
_HAS = [_NAMES.index(f"plant_has_{lever.name}") for lever in PLANT_LEVERS]
_IS_PLANT = _NAMES.index(f"role_{ROLES[1]}")
_GROUP_MASK = [float(lever.name == "power_cap_w") for lever in GROUP_LEVERS]
_MASK_WIDTH = ACTION_WIDTH + 1


class RowScaler(BaseFeaturesExtractor):
    """Scales features from their bounds to [-1, 1] and clips them; holds nothing that learns."""

    low: torch.Tensor
    span: torch.Tensor

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space, features_dim=len(ROW_FEATURES))
        low, high = torch.as_tensor(ROW_SPACE.low), torch.as_tensor(ROW_SPACE.high)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("span", high - low, persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the scaled rows, shape as ``rows``."""
        return torch.clamp((rows - self.low) / self.span * 2.0 - 1.0, -1.0, 1.0)


class _Trunk(MlpExtractor):
    """The two layers before the outputs; appends to the actor's the mask it needs there."""

    group_mask: torch.Tensor

    def __init__(
        self, feature_dim: int, net_arch: dict[str, list[int]], activation_fn: type[nn.Module]
    ) -> None:
        super().__init__(feature_dim, net_arch, activation_fn, device="cpu")
        pad = [0.0] * (ACTION_WIDTH - len(_GROUP_MASK))
        self.register_buffer("group_mask", torch.tensor(_GROUP_MASK + pad), persistent=False)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Return latent features, the mask of the outputs and whether the row is the plant's."""
        is_plant = features[:, _IS_PLANT : _IS_PLANT + 1] > 0.0
        has = (features[:, _HAS] > 0.0).to(features.dtype)
        mask = torch.where(is_plant, has, self.group_mask)
        latent = self.policy_net(features)
        return torch.cat([latent, mask, is_plant.to(features.dtype)], dim=-1)


class MaskedGaussian(DiagGaussianDistribution):
    """A diagonal Gaussian per role whose masked dimensions are 0 and count nothing."""

    mask: torch.Tensor

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the outputs of all roles side by side, and a deviation per role and output."""
        start = torch.full((len(ROLES), self.action_dim), log_std_init)
        width = latent_dim - _MASK_WIDTH
        return nn.Linear(width, len(ROLES) * self.action_dim), nn.Parameter(start)

    def masked(
        self, mean: torch.Tensor, log_std: torch.Tensor, mask: torch.Tensor
    ) -> "MaskedGaussian":
        """Set mean, deviation and mask, each ``[M, ACTION_WIDTH]``; return the distribution."""
        super().proba_distribution(mean, log_std)
        self.mask = mask
        return self

    def log_prob(self, actions: torch.Tensor) -> torch.Tensor:
        """Return the log-likelihood over the levers a row has, shape ``[M]``."""
        each: torch.Tensor = self.distribution.log_prob(actions)  # type: ignore[no-untyped-call]
        return (each * self.mask).sum(dim=-1)

    def entropy(self) -> torch.Tensor:
        """Return the entropy over the levers a row has, shape ``[M]``."""
        each: torch.Tensor = self.distribution.entropy()  # type: ignore[no-untyped-call]
        return (each * self.mask).sum(dim=-1)

    def sample(self) -> torch.Tensor:
        """Draw actions, 0 where masked."""
        return super().sample() * self.mask


class SharedPolicy(ActorCriticPolicy):
    """Actor and critic over rows; give ``net_arch`` and ``log_std_init`` as for SB3's own."""

    action_dist: MaskedGaussian

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return the scaling layer."""
        return RowScaler(self.observation_space)

    def _build_mlp_extractor(self) -> None:
        arch = self.net_arch
        if not isinstance(arch, dict):
            arch = {"pi": list(arch), "vf": list(arch)}
        trunk = _Trunk(self.features_dim, arch, self.activation_fn)
        trunk.latent_dim_pi += _MASK_WIDTH
        self.mlp_extractor = trunk.to(self.device)

    def _build(self, lr_schedule: Schedule) -> None:
        self.action_dist = MaskedGaussian(ACTION_WIDTH)
        super()._build(lr_schedule)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    @property
    def outputs(self) -> nn.Linear:
        """Return the output layer: all roles side by side."""
        return cast("nn.Linear", self.action_net)

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        mean, log_std, mask = self._parameters_of(latent_pi)
        return self.action_dist.masked(mean, log_std, mask)

    def _parameters_of(
        self, latent_pi: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        latent = latent_pi[:, :-_MASK_WIDTH]
        mask = latent_pi[:, -_MASK_WIDTH:-1]
        is_plant = latent_pi[:, -1:] > 0.0
        out = self.outputs(latent)
        mean = torch.where(is_plant, out[:, ACTION_WIDTH:], out[:, :ACTION_WIDTH])
        log_std = torch.where(is_plant, self.log_std[1], self.log_std[0])
        return mean * mask, log_std, mask

    def mean_action(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the deterministic action of each row, clipped to [-1, 1]: what is exported."""
        latent = self.mlp_extractor.forward_actor(self.pi_features_extractor(rows))
        return torch.clamp(self._parameters_of(latent)[0], -1.0, 1.0)
