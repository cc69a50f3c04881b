"""The rows of all agents, laid out by a kernel: what ``contract.observation.agent_rows`` does.

It goes from float32 to float32, without copies in between. Sums run over the rounded features, so
that a mean may differ from that of ``agent_rows`` by one unit in the last place of a float32.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES
from coolcap_envs.physics.jit import kernel

_OWN: Final = len(GROUP_FEATURES)
_PLANT: Final = len(PLANT_FEATURES)

Floats = NDArray[np.float32]


@kernel
def fill_rows(groups: Floats, plant: Floats, rows: Floats) -> None:
    """Write the rows of a batch.

    Args:
        groups: Features of groups, ``[B, N, F]``.
        plant: Features of plants, ``[B, P]``.
        rows: Gets them, ``[B, N + 1, D]``; the last one of each plant is the plant's own.
    """
    count = groups.shape[1]
    shared = np.empty(2 * _OWN, dtype=np.float32)
    for b in range(groups.shape[0]):
        for f in range(_OWN):
            total = 0.0
            most = groups[b, 0, f]
            for n in range(count):
                value = groups[b, n, f]
                total += value
                most = max(most, value)
            shared[f] = total / count
            shared[_OWN + f] = most
        for n in range(count + 1):
            row = rows[b, n]
            for f in range(_OWN):
                row[f] = groups[b, n, f] if n < count else shared[f]
            for f in range(2 * _OWN):
                row[_OWN + f] = shared[f]
            for f in range(_PLANT):
                row[3 * _OWN + f] = plant[b, f]
            row[3 * _OWN + _PLANT] = 1.0 if n < count else 0.0
            row[3 * _OWN + _PLANT + 1] = 0.0 if n < count else 1.0
