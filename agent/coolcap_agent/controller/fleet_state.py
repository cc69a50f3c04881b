"""The newest readings of all agents, one array for the fleet, reduced to control groups.

GPUs have one row each, in the order of the layout's groups; groups are reduced from them by each
signal's aggregation. A group with a GPU that says nothing is unknown as a whole.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import (
    GROUP_COLUMN,
    GROUP_SIGNALS,
    PLANT_SIGNALS,
    Aggregation,
)
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

CLOCK_AHEAD_MAX_S: Final = 5.0
"""A reading from further in the future comes from a clock that is wrong: unusable."""

_POWER_LIMIT: Final = GROUP_COLUMN["power_limit_w"]
_BY: Final = {
    how: np.array([i for i, s in enumerate(GROUP_SIGNALS) if s.aggregation is how], dtype=np.intp)
    for how in (Aggregation.MEAN, Aggregation.SUM, Aggregation.MAX)
}


class FleetState:
    """Readings of the whole fleet, struct of arrays. Safe to use from several threads.

    Args:
        layout: The site's layout; says which node and index each GPU of a group has.
        start_time_s: Site time from which the age of agents never heard of is counted.
    """

    def __init__(self, layout: Layout, *, start_time_s: float) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._read_times_s: dict[str, float] = {}
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
        self._cap_low_w = np.full(row, np.nan)
        self._cap_high_w = np.full(row, np.nan)
        self._commandable = np.zeros(row, dtype=bool)
        self._obeys = np.zeros(len(nodes), dtype=bool)
        self._limit_known = np.ones(len(nodes), dtype=bool)
        self._lever_low = np.full(len(PLANT_LEVERS), np.nan)
        self._lever_high = np.full(len(PLANT_LEVERS), np.nan)

    def gpu_count(self, node: str) -> int:
        """Return one more than the highest GPU index the layout names on ``node``."""
        return int(self._rows[node][:, 1].max()) + 1

    def take_node(self, node: str, rows: FloatArray, *, measure_time_s: float) -> None:
        """Take in readings of one node, rows by GPU index."""
        places = self._rows[node]
        with self._lock:
            self._gpus[places[:, 0]] = rows[places[:, 1]]
            self._node_time_s[self._node_column[node]] = measure_time_s
            self._read_times_s[node] = measure_time_s

    def lose_node(self, node: str) -> None:
        """Forget what ``node`` said; its age goes on growing."""
        with self._lock:
            self._gpus[self._rows[node][:, 0]] = np.nan
            self._read_times_s.pop(node, None)

    def take_plant(
        self, plant: str, values: FloatArray, times_s: FloatArray, *, measure_time_s: float
    ) -> None:
        """Take in readings of the plant; one without a time keeps the time of the last."""
        with self._lock:
            self._plant = values
            self._plant_time_s = np.where(np.isnan(times_s), self._plant_time_s, times_s)
            self._read_times_s[plant] = measure_time_s

    def lose_plant(self, plant: str) -> None:
        """Forget what the plant said; its age goes on growing."""
        with self._lock:
            self._plant = np.full_like(self._plant, np.nan)
            self._read_times_s.pop(plant, None)

    def take_cap_range(
        self, node: str, *, low_w: FloatArray, high_w: FloatArray, commandable: BoolArray
    ) -> None:
        """Take in which caps the agent of ``node`` carries out, each by GPU index."""
        places = self._rows[node]
        with self._lock:
            self._cap_low_w[places[:, 0]] = low_w[places[:, 1]]
            self._cap_high_w[places[:, 0]] = high_w[places[:, 1]]
            self._commandable[places[:, 0]] = commandable[places[:, 1]]

    def take_lever_range(self, *, low: FloatArray, high: FloatArray) -> None:
        """Take in which setpoints the plant's agent carries out; NaN where it has no range."""
        with self._lock:
            self._lever_low, self._lever_high = low, high

    def set_obeys(self, node: str, obeys: bool, *, limit_known: bool = True) -> None:
        """Note whether ``node`` takes commands now.

        Args:
            node: Which one.
            obeys: Whether it does.
            limit_known: Whether the limit it was last seen with still holds; not so when it may
                have put back what was in force before our lease.
        """
        with self._lock:
            self._obeys[self._node_column[node]] = obeys
            self._limit_known[self._node_column[node]] = limit_known

    def narrow(self, limits: Limits) -> Limits:
        """Return ``limits`` with what agents carry out; see ``CommandedPlant.narrow``."""
        with self._lock:
            agent_low_w = np.maximum.reduceat(self._cap_low_w, self._first)
            agent_high_w = np.minimum.reduceat(self._cap_high_w, self._first)
            measured_w = np.maximum.reduceat(self._gpus[:, _POWER_LIMIT], self._first)
            obeys = np.logical_and.reduceat(self._commandable, self._first)
            obeys &= self._obeys[self._node_of_group]
            known = ~np.isnan(measured_w) & self._limit_known[self._node_of_group]
            lever_low = np.fmax(limits.lever_low, self._lever_low)
            lever_high = np.fmin(limits.lever_high, self._lever_high)
        low_w = np.fmax(limits.power_cap_min_w, agent_low_w)
        high_w = np.fmin(limits.power_cap_max_w, agent_high_w)
        held_w = np.where(known, measured_w, limits.power_cap_max_w)
        absent = np.isnan(limits.lever_low)
        return dataclasses.replace(
            limits,
            power_cap_min_w=np.where(obeys, low_w, held_w),
            power_cap_max_w=np.where(obeys, np.maximum(high_w, low_w), held_w),
            lever_low=np.where(absent, np.nan, lever_low),
            lever_high=np.where(absent, np.nan, np.maximum(lever_high, lever_low)),
        )

    def gpus(self) -> FloatArray:
        """Return readings per GPU, in the order of the groups, columns as ``GROUP_SIGNALS``.

        What a server draws beside its GPUs is shared among them.
        """
        with self._lock:
            return self._gpus.copy()

    def snapshot(self, now_s: Callable[[], float]) -> tuple[Telemetry, dict[str, float]]:
        """Return telemetry of the site now, and the measure time of each agent's part of it.

        Args:
            now_s: The site's clock; read when no newer reading can come in between.
        """
        with self._lock:
            time_s = now_s()
            gpus, plant = self._gpus.copy(), self._plant.copy()
            node_age_s = _age_s(time_s, self._node_time_s)
            plant_age_s = _age_s(time_s, self._plant_time_s)
            read_times_s = dict(self._read_times_s)
        groups = np.empty((self._layout.group_count, len(GROUP_SIGNALS)))
        for how, columns in _BY.items():
            reduce = np.maximum.reduceat if how is Aggregation.MAX else np.add.reduceat
            groups[:, columns] = reduce(gpus[:, columns], self._first, axis=0)
        groups[:, _BY[Aggregation.MEAN]] /= self._layout.gpu_count[:, None]
        telemetry = Telemetry(
            time_s=np.array(time_s),
            groups=groups,
            plant=plant,
            groups_age_s=node_age_s[self._node_of_group],
            plant_age_s=plant_age_s,
        )
        return telemetry, read_times_s


def _age_s(time_s: float, measure_time_s: FloatArray) -> FloatArray:
    """Return ages, infinite for a reading from the future, never below 0."""
    age_s = time_s - measure_time_s
    return np.where(age_s < -CLOCK_AHEAD_MAX_S, np.inf, np.maximum(age_s, 0.0))
