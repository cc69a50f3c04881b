"""Checkpoints: what a run leaves behind at the end of each segment, and goes on from."""

import os
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch

from coolcap_training.novelty import Novelty
from coolcap_training.policy import ACTION_SPACE, ROW_SPACE, SharedPolicy

CHECKPOINT: Final = "checkpoint.pt"
"""Weights of policy and optimizer; tensors only, loaded without unpickling objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run leaves behind at the end of each segment.

    Attributes:
        policy: ``state_dict`` of the policy.
        optimizer: ``state_dict`` of its optimizer.
        novelty: ``state_dict`` of the novelty of observations; fitted when training is over.
        num_timesteps: Samples taken.
        segment: Segments that are done.
        net_width: Units of each hidden layer.
    """

    policy: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    novelty: dict[str, torch.Tensor]
    num_timesteps: int
    segment: int
    net_width: int

    def save(self, path: Path) -> None:
        """Write so that an interrupted write leaves the older file whole."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            torch.save({f.name: getattr(self, f.name) for f in fields(self)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint. Raises OSError or ValueError."""
        try:
            return cls(**torch.load(path, weights_only=True))
        except (RuntimeError, TypeError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path}: is no checkpoint of this software: {error}") from error

    def new_policy(self) -> SharedPolicy:
        """Return a policy with these weights."""
        policy = new_policy(self.net_width)
        policy.load_state_dict(self.policy)
        return policy

    def new_novelty(self) -> Novelty:
        """Return the novelty of observations, blind unless training is over."""
        novelty = Novelty()
        novelty.load_state_dict(self.novelty)
        return novelty


def new_policy(net_width: int, *, log_std_init: float = 0.0) -> SharedPolicy:
    """Return an untrained policy."""
    return SharedPolicy(
        ROW_SPACE,
        ACTION_SPACE,
        lambda _: 0.0,
        net_arch=[net_width, net_width],
        log_std_init=log_std_init,
    )
