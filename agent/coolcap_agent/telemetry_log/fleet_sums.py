"""Control groups put together: nodes, racks and the site, by the signals' own aggregation."""

import warnings
from collections.abc import Sequence

import numpy as np

from coolcap_agent.telemetry_log.schema import (
    MAX_SIGNALS,
    MEAN_SIGNALS,
    QUANTILES,
    SPREAD_SIGNALS,
    with_aggregate,
)
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, Aggregation
from coolcap_envs.contract.telemetry import FloatArray

_COLUMNS = {
    how: np.array([i for i, s in enumerate(GROUP_SIGNALS) if s.aggregation is how], dtype=np.intp)
    for how in (Aggregation.MEAN, Aggregation.SUM, Aggregation.MAX)
}
_SPREAD = [GROUP_COLUMN[name] for name in SPREAD_SIGNALS]
_MEAN = [GROUP_COLUMN[name] for name in MEAN_SIGNALS]
_MAX = [GROUP_COLUMN[name] for name in MAX_SIGNALS]


class Parts:
    """Sums up groups by the part of the site they are in.

    A mean is over the GPUs that are known, a maximum over the groups that are known; a sum needs
    every group, because a counter that leaves one out for a moment would seem to run backwards.

    Args:
        layout: The site's layout.
        part_names: Name of each group's part.
    """

    def __init__(self, layout: Layout, part_names: Sequence[str]) -> None:
        self.names = tuple(dict.fromkeys(part_names))
        index = {name: i for i, name in enumerate(self.names)}
        self._part = np.array([index[name] for name in part_names], dtype=np.intp)
        self._weight = layout.gpu_count.astype(np.float64)[:, None]

    def rows(self, groups: FloatArray) -> FloatArray:
        """Return one row per part, columns as ``GROUP_SIGNALS``; NaN where unknown."""
        out = np.full((len(self.names), len(GROUP_SIGNALS)), np.nan)
        out[:, _COLUMNS[Aggregation.SUM]] = self._added(groups[:, _COLUMNS[Aggregation.SUM]])
        means = groups[:, _COLUMNS[Aggregation.MEAN]]
        known = np.isfinite(means)
        weight = self._added(np.where(known, self._weight, 0.0))
        total = self._added(np.where(known, means * self._weight, 0.0))
        with np.errstate(invalid="ignore"):
            out[:, _COLUMNS[Aggregation.MEAN]] = np.where(weight > 0.0, total / weight, np.nan)
        highest = out[:, _COLUMNS[Aggregation.MAX]]
        np.fmax.at(highest, self._part, groups[:, _COLUMNS[Aggregation.MAX]])
        out[:, _COLUMNS[Aggregation.MAX]] = highest
        return out

    def _added(self, values: FloatArray) -> FloatArray:
        out = np.zeros((len(self.names), values.shape[1]))
        np.add.at(out, self._part, values)
        return out


def racks(layout: Layout) -> Parts:
    """Return the racks of a site."""
    return Parts(layout, layout.rack_names)


def nodes(layout: Layout) -> Parts:
    """Return the nodes of a site."""
    return Parts(layout, layout.node_names)


def spread_over_groups(groups: FloatArray, layout: Layout) -> dict[str, float]:
    """Return quantiles, maxima and means over the site's groups by the schema's names."""
    weight = layout.gpu_count.astype(np.float64)
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        # A signal no group has is left out of the line, which is all that needs to be said.
        warnings.simplefilter("ignore", RuntimeWarning)
        quantiles = np.nanpercentile(groups[:, _SPREAD], QUANTILES, axis=0)
        highest = np.nanmax(groups[:, _MAX], axis=0)
    for row, q in zip(quantiles, QUANTILES, strict=True):
        for name, value in zip(SPREAD_SIGNALS, row, strict=True):
            found[with_aggregate(name, f"p{q}")] = float(value)
    for name, value in zip(MAX_SIGNALS, highest, strict=True):
        found[with_aggregate(name, "max")] = float(value)
    for name, column in zip(MEAN_SIGNALS, _MEAN, strict=True):
        values = groups[:, column]
        known = np.isfinite(values)
        total = float(weight[known].sum())
        mean = float((values[known] * weight[known]).sum()) / total if total else float("nan")
        found[with_aggregate(name, "mean")] = mean
    return found
