"""How far a row lies from what a policy was trained on, as a layer that is exported with it.

Own and plant features of training's rows are described by one Gaussian per role with a common
covariance in factored form (probabilistic PCA, Tipping and Bishop 1999): a few directions with
their variances and one variance for all others. The Mahalanobis distance to it, in units of the
distance that all but one row in a thousand of training stay below, is the *novelty*: 1 is the edge.
Beyond it the policy's corrections fade, and at ``FADED`` the rule acts alone.
"""

from typing import Final

import numpy as np
import torch
from torch import nn

from coolcap_envs.contract.observation import ROLES, ROW_FEATURES, Rows
from coolcap_envs.contract.policy import NOVELTY_MAX
from coolcap_training.policy import ROW_SPACE, RowScaler

USED: Final = [
    i for i, f in enumerate(ROW_FEATURES) if not f.name.startswith(("mean_", "max_", "role_"))
]
"""Features that count. What is pooled over the groups counts in those groups' own rows."""
DIRECTIONS: Final = 32
"""Directions with a variance of their own; most features move together."""
VARIANCE_FLOOR: Final = 1e-4
"""Of scaled features in [-1, 1]: half a per cent of a range is nothing new."""
EDGE_QUANTILE: Final = 0.999
"""Share of training's rows that lie within the edge."""
FADED: Final = 2.0
"""Novelty at which nothing is left of a correction."""


class Novelty(nn.Module):
    """The distance of scaled rows to those of training; blind, always 0, until fitted."""

    center: torch.Tensor
    directions: torch.Tensor
    precision: torch.Tensor
    rest_precision: torch.Tensor
    edge: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(len(ROLES), len(USED)))
        self.register_buffer("directions", torch.zeros(len(USED), DIRECTIONS))
        self.register_buffer("precision", torch.zeros(DIRECTIONS))
        self.register_buffer("rest_precision", torch.zeros(()))
        self.register_buffer("edge", torch.ones(len(ROLES)))

    def distance(self, scaled: torch.Tensor) -> torch.Tensor:
        """Return the distance of rows ``[M, D]`` in standard deviations per feature, ``[M]``."""
        center = torch.where(_is_plant(scaled), self.center[1], self.center[0])
        apart = scaled[:, USED] - center
        along = apart @ self.directions
        rest = apart - along @ self.directions.T
        squared = (along**2 * self.precision).sum(-1) + (rest**2).sum(-1) * self.rest_precision
        return torch.sqrt(squared / len(USED))

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Return the novelty of scaled rows ``[M, D]``, 0 to ``NOVELTY_MAX``, shape ``[M]``."""
        edge = torch.where(_is_plant(scaled)[:, 0], self.edge[1], self.edge[0])
        return torch.clamp(self.distance(scaled) / edge, max=NOVELTY_MAX)


def _is_plant(scaled: torch.Tensor) -> torch.Tensor:
    return scaled[:, -1:] > 0.0


def fade(novelty: torch.Tensor) -> torch.Tensor:
    """Return what is left of a correction: all of it up to the edge, none from ``FADED`` on."""
    return torch.clamp((FADED - novelty) / (FADED - 1.0), 0.0, 1.0)


def fit(rows: Rows) -> Novelty:
    """Return the novelty of rows seen in training, shape ``[M, D]``, in physical units.

    Raises:
        ValueError: If a role has fewer rows than features.
    """
    scaled = RowScaler(ROW_SPACE)(torch.as_tensor(rows)).double().numpy()
    is_plant = scaled[:, -1] > 0.0
    members = [scaled[~is_plant], scaled[is_plant]]
    if min(len(own) for own in members) < len(USED):
        raise ValueError(
            f"novelty needs at least {len(USED)} rows of each role, one per feature; there are "
            f"{len(members[0])} of groups and {len(members[1])} of plants: collect more steps"
        )
    used = [own[:, USED] for own in members]
    centers = np.stack([own.mean(axis=0) for own in used])
    covariance = np.mean([np.cov(own, rowvar=False) for own in used], axis=0)
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    rest = max(float(variances[DIRECTIONS:].mean()), VARIANCE_FLOOR)
    result = Novelty()
    result.center.copy_(torch.as_tensor(centers))
    result.directions.copy_(torch.as_tensor(directions[:, :DIRECTIONS].copy()))
    result.precision.copy_(torch.as_tensor(1.0 / np.maximum(variances[:DIRECTIONS], rest)))
    result.rest_precision.fill_(1.0 / rest)
    with torch.no_grad():
        for role, rows_of in enumerate(members):
            far = result.distance(torch.as_tensor(rows_of, dtype=torch.float32)).numpy()
            result.edge[role] = float(np.quantile(far, EDGE_QUANTILE))
    return result
