"""The newest readings of all agents, one array for the fleet, reduced to control groups.

GPUs have one row each, in the order of the layout's groups; groups are reduced from them by each
signal's aggregation. A group with a GPU that says nothing is unknown as a whole.
"""

from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS, Aggregation
from coolcap_envs.contract.telemetry import FloatArray, Telemetry

CLOCK_AHEAD_MAX_S: Final = 5.0
"""A reading from further in the future comes from a clock that is wrong: unusable."""

_BY: Final = {
    how: np.array([i for i, s in enumerate(GROUP_SIGNALS) if s.aggregation is how], dtype=np.intp)
    for how in (Aggregation.MEAN, Aggregation.SUM, Aggregation.MAX)
}


class FleetState:
    """Readings of the whole fleet, struct of arrays.

    Args:
        layout: The site's layout; says which node and index each GPU of a group has.
        start_time_s: Site time from which the age of agents never heard of is counted.
    """

    def __init__(self, layout: Layout, *, start_time_s: float) -> None:
        self._layout = layout
        nodes = layout.nodes
        places: dict[str, list[tuple[int, int]]] = {node: [] for node in nodes}
        row = 0
        for node, indices in zip(layout.node_names, layout.gpu_indices, strict=True):
            places[node] += enumerate(indices, start=row)
            row += len(indices)
        self._rows = {node: np.array(pairs, dtype=np.intp) for node, pairs in places.items()}
        self._first = np.concatenate([[0], np.cumsum(layout.gpu_count)[:-1]]).astype(np.intp)
        self._node_of_group = np.array([nodes.index(n) for n in layout.node_names], dtype=np.intp)
        self._node_column = {node: i for i, node in enumerate(nodes)}
        self._gpus = np.full((row, len(GROUP_SIGNALS)), np.nan)
        self._node_time_s = np.full(len(nodes), start_time_s)
        self._plant = np.full(len(PLANT_SIGNALS), np.nan)
        self._plant_time_s = np.full(len(PLANT_SIGNALS), start_time_s)

    def gpu_count(self, node: str) -> int:
        """Return one more than the highest GPU index the layout names on ``node``."""
        return int(self._rows[node][:, 1].max()) + 1

    def take_node(self, node: str, rows: FloatArray, *, measure_time_s: float) -> None:
        """Take in readings of one node, rows by GPU index."""
        places = self._rows[node]
        self._gpus[places[:, 0]] = rows[places[:, 1]]
        self._node_time_s[self._node_column[node]] = measure_time_s

    def lose_node(self, node: str) -> None:
        """Forget what ``node`` said; its age goes on growing."""
        self._gpus[self._rows[node][:, 0]] = np.nan

    def take_plant(self, values: FloatArray, times_s: FloatArray) -> None:
        """Take in readings of the plant; one without a time keeps the time of the last."""
        self._plant = values
        self._plant_time_s = np.where(np.isnan(times_s), self._plant_time_s, times_s)

    def lose_plant(self) -> None:
        """Forget what the plant said; its age goes on growing."""
        self._plant = np.full_like(self._plant, np.nan)

    def snapshot(self, time_s: float) -> Telemetry:
        """Return telemetry of the site at ``time_s``, which later readings do not change."""
        groups = np.empty((self._layout.group_count, len(GROUP_SIGNALS)))
        for how, columns in _BY.items():
            reduce = np.maximum.reduceat if how is Aggregation.MAX else np.add.reduceat
            groups[:, columns] = reduce(self._gpus[:, columns], self._first, axis=0)
        groups[:, _BY[Aggregation.MEAN]] /= self._layout.gpu_count[:, None]
        return Telemetry(
            time_s=np.array(time_s),
            groups=groups,
            plant=self._plant.copy(),
            groups_age_s=_age_s(time_s, self._node_time_s)[self._node_of_group],
            plant_age_s=_age_s(time_s, self._plant_time_s),
        )


def _age_s(time_s: float, measure_time_s: FloatArray) -> FloatArray:
    """Return ages, infinite for a reading from the future, never below 0."""
    age_s = time_s - measure_time_s
    return np.where(age_s < -CLOCK_AHEAD_MAX_S, np.inf, np.maximum(age_s, 0.0))
