"""What the last watt of a cap is worth in throughput, by kind of work.

Below a knee throughput falls with the square of the distance to it::

    p(x) = 1 - a * max(0, k - x)**2        x = cap / highest limit of the device

    marginal throughput  dp/dx = 2 a (k - x)

``k`` and ``a`` are fitted to published cap sweeps, named beside each row. Neglected: differences
between models of GPUs, and what a latency target makes a watt worth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.columns import Columns
from coolcap_envs.contract.elementwise import Numbers, Row, clip, filled
from coolcap_envs.contract.signals import GROUP_COLUMN
from coolcap_envs.contract.telemetry import FloatArray, Telemetry

KNEE_AND_BEND: Final = {
    # A40, ResNet-50 at 0.83, 0.75, 0.67, 0.58 of the highest limit: 0.994, 0.979, 0.923, 0.854 of
    # the throughput (traces published with Zeus, NSDI 2023).
    "training_ratio": (0.87, 1.74),
    # RTX 3090, reading a long prompt, 0.86, 0.71, 0.57: 0.943, 0.853, 0.601 (llmgarage.ai, power
    # limit benchmark).
    "prefill_ratio": (1.0, 2.1),
    # RTX PRO 6000, decoding in batches of 32, 0.67, 0.58, 0.50: 0.977, 0.889, 0.765 (MMBT power
    # sweep of 2026-04-29).
    "decode_ratio": (0.75, 3.75),
    # A100 80 GB PCIe, memory-bound, 0.58, 0.50: 1.005, 0.977 (public cap sweep).
    "memory_bound_ratio": (0.58, 3.6),
}
UNKNOWN_KNEE_AND_BEND: Final = KNEE_AND_BEND["prefill_ratio"]
"""Work of a kind nobody names is taken for the kind that loses most."""

_CURVES: Final = (*KNEE_AND_BEND.values(), UNKNOWN_KNEE_AND_BEND)
_KNEE: Final = tuple(knee for knee, _ in _CURVES)
_EASE: Final = tuple(0.5 / bend for _, bend in _CURVES)
FIRST_WORTH: Final = min((knee - 1.0) / ease for knee, ease in zip(_KNEE, _EASE, strict=True))
"""Marginal throughput at which every cap is at its maximum, whatever the mixture of work."""
LAST_WORTH: Final = max(knee / ease for knee, ease in zip(_KNEE, _EASE, strict=True))
"""Marginal throughput at which every cap is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """Shape of the throughput curve of each group, ``[..., N]``.

    Attributes:
        knee: Cap over the highest limit of the device above which nothing is gained.
        ease: Fall of that ratio per unit of marginal throughput given up, ``1 / 2a``.
    """

    knee: FloatArray
    ease: FloatArray


def equal_worth(group_count: int) -> Worth:
    """Return the same curve for all groups."""
    knee, bend = UNKNOWN_KNEE_AND_BEND
    return Worth(knee=np.full(group_count, knee), ease=np.full(group_count, 0.5 / bend))


def curve_of(row: Row) -> tuple[Numbers, Numbers]:
    """Return knee and ease of a group from its readings ``row``: the mean over its GPUs' work."""
    training, prefill = filled(row.training_ratio, 0.0), filled(row.prefill_ratio, 0.0)
    decode, memory = filled(row.decode_ratio, 0.0), filled(row.memory_bound_ratio, 0.0)
    known = training + prefill + decode + memory
    rest = clip(1.0 - known, 0.0, 1.0)
    knee = training * _KNEE[0] + prefill * _KNEE[1] + decode * _KNEE[2] + memory * _KNEE[3]
    ease = training * _EASE[0] + prefill * _EASE[1] + decode * _EASE[2] + memory * _EASE[3]
    total = known + rest
    return (knee + rest * _KNEE[4]) / total, (ease + rest * _EASE[4]) / total


def worth_of(telemetry: Telemetry) -> Worth:
    """Return each group's curve."""
    knee, ease = curve_of(Columns(telemetry.groups, GROUP_COLUMN))
    return Worth(knee=knee, ease=ease)
