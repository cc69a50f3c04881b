"""Which budgets cover which groups, arranged so that sums over all of them cost one pass.

Budgets of a site form a tree: site, hall, row, PDU, rack. Nothing here insists on it: budgets that
overlap in any way are put on different levels, the smaller ones below, and those of one level have
no group in common.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import BoolArray, FloatArray

IndexArray = NDArray[np.intp]

_KEEP_COUNT: Final = 64
"""Trees kept for reuse; a process has as many as it has sites."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """Budgets that share no group.

    Attributes:
        budgets: Which ones, shape ``[S]``.
        groups: Groups they cover, those of one budget together.
        starts: Where in ``groups`` each budget begins, shape ``[S]``.
        part: Which of the ``S`` budgets each of ``groups`` belongs to.
    """

    budgets: IndexArray
    groups: IndexArray
    starts: IndexArray
    part: IndexArray

    def sums(self, values: FloatArray) -> FloatArray:
        """Add up values of all groups per budget, ``[..., N]`` to ``[..., S]``."""
        return np.asarray(np.add.reduceat(values[..., self.groups], self.starts, axis=-1))

    def only(self, budgets: BoolArray) -> "Level":
        """Return the level with some of its budgets, at least one."""
        kept = budgets[self.part]
        counts = np.bincount(self.part[kept], minlength=budgets.size)[budgets]
        return _level(self.budgets[budgets], self.groups[kept], counts)


def levels_of(members: BoolArray) -> Sequence[Level]:
    """Return the levels, the smallest budgets first; kept, as a site asks again each second.

    Args:
        members: Which groups each budget covers, shape ``[number of budgets, N]``.
    """
    known = _kept.get(id(members))
    if known is not None and known[0]() is members:
        return known[1]
    while len(_kept) >= _KEEP_COUNT:
        _kept.pop(next(iter(_kept)))
    found = _build(members)
    _kept[id(members)] = (weakref.ref(members), found)
    return found


_kept: dict[int, tuple["weakref.ref[BoolArray]", Sequence[Level]]] = {}


def _build(members: BoolArray) -> Sequence[Level]:
    height = np.zeros(members.shape[1], dtype=np.intp)
    by_level: dict[int, list[int]] = {}
    sizes = members.sum(axis=1)
    for b in np.argsort(sizes, kind="stable").tolist():
        if not sizes[b]:
            continue
        level = int(height[members[b]].max())
        height[members[b]] = level + 1
        by_level.setdefault(level, []).append(b)
    levels = []
    for level in sorted(by_level):
        parts = [np.flatnonzero(members[b]) for b in by_level[level]]
        counts = np.array([part.size for part in parts])
        budgets = np.array(by_level[level], dtype=np.intp)
        levels.append(_level(budgets, np.concatenate(parts), counts))
    return levels


def _level(budgets: IndexArray, groups: IndexArray, counts: IndexArray) -> Level:
    return Level(
        budgets=budgets,
        groups=groups,
        starts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp),
        part=np.repeat(np.arange(counts.size), counts),
    )
