"""Spaces of the environments and their translation to the contract's observation and action."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    PLANT_FEATURES,
    Feature,
    action_mask,
)
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.moment import Moment

Floats = NDArray[np.float32]


def _box(features: tuple[Feature, ...], *lead: int) -> spaces.Box:
    shape = (*lead, len(features))
    low = np.broadcast_to([f.low for f in features], shape).astype(np.float32)
    high = np.broadcast_to([f.high for f in features], shape).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def observation_space(layout: Layout) -> spaces.Dict:
    """Return ``groups`` (N, F) and ``plant`` (P) with the bounds of the feature tables."""
    return spaces.Dict(
        {"groups": _box(GROUP_FEATURES, layout.group_count), "plant": _box(PLANT_FEATURES)}
    )


def action_space(layout: Layout) -> spaces.Box:
    """Return one number in [-1, 1] per lever: the groups' first, then the plant's."""
    return spaces.Box(-1.0, 1.0, (int(action_mask(layout).sum()),), dtype=np.float32)


def to_arrays(moment: Moment) -> dict[str, Floats]:
    """Return what is observed as a member of :func:`observation_space`, batch axes kept."""
    if moment.arrays is not None:
        return {"groups": moment.arrays.groups, "plant": moment.arrays.plant}
    observation = moment.observation
    return {
        "groups": observation.groups.astype(np.float32),
        "plant": observation.plant.astype(np.float32),
    }


def to_action(flat: NDArray[Any], layout: Layout) -> Action:
    """Return the action that a member of :func:`action_space` stands for, batch axes kept."""
    groups, levers = layout.group_count, np.flatnonzero(layout.plant_levers)
    action = Action.neutral(*flat.shape[:-1], groups)
    action.groups[..., 0] = flat[..., :groups]
    action.plant[..., levers] = flat[..., groups:]
    return action


def to_flat(action: Action, layout: Layout) -> Floats:
    """Return a contract action as a member of :func:`action_space`, batch axes kept."""
    mask = action_mask(layout) > 0.0
    wide: FloatArray = np.zeros((*action.plant.shape[:-1], *mask.shape))
    wide[..., :-1, : action.groups.shape[-1]] = action.groups
    wide[..., -1, : action.plant.shape[-1]] = action.plant
    return wide[..., mask].astype(np.float32)
