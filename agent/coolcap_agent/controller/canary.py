"""Which groups the policy decides about while only a share of them is entrusted to it."""

import hashlib
from collections.abc import Sequence

import numpy as np

from coolcap_envs.contract.telemetry import BoolArray


def canary_groups(names: Sequence[str], *, ratio: float, salt: str) -> BoolArray:
    """Return which groups are in the canary: the ``ratio`` with the lowest hashes.

    The order of the groups by their hash depends on ``salt`` and names alone, so that a larger
    share keeps the groups of a smaller one, over restarts and on every controller.

    Args:
        names: All control groups.
        ratio: Share, 0 to 1; rounded to whole groups, at least one above 0.
        salt: Another salt, another choice; the site's name.
    """
    count = len(names) if ratio >= 1.0 else round(ratio * len(names))
    if ratio > 0.0:
        count = max(count, 1)
    hashes = [hashlib.sha256(f"{salt}/{name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=hashes.__getitem__)
    chosen = np.zeros(len(names), dtype=bool)
    chosen[order[:count]] = True
    return chosen
