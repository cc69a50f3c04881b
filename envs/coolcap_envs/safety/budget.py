"""The allocator: caps that meet every power budget, whatever was asked.

A budget holds worst-case power: what GPUs may draw under their caps, plus the measured power of
everything else in the servers, plus a margin. Predicted utilisation plays no part, so a wrong
model cannot break a budget.
"""

import copy
from collections.abc import Callable
from typing import Final

import numpy as np

from coolcap_envs.contract.elementwise import (
    Numbers,
    Truth,
    absolute,
    clip,
    filled,
    higher_of,
    lower_of,
    where,
)
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.budget_tree import IndexArray, Level, levels_of
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.worth import FIRST_WORTH, LAST_WORTH, Worth, equal_worth

OTHER_POWER_MAX_RATIO: Final = 0.82
"""Non-GPU power of a server over its GPUs' rated power, taken when it is not measured.
DGX H100: 10.2 kW rated with 8 GPUs of 700 W (NVIDIA DGX H100 User Guide)."""
UNLIMITED_W: Final = 1e30
"""In place of a budget that holds already."""
UNUSED_RATIO: Final = 1e-8
"""Share of a binding budget that may be left: where the search for its level ends."""
AIM_RATIO: Final = 0.5 * UNUSED_RATIO
"""Aimed at, so that rounding does not leave a hair too much."""
SEARCH_COUNT_MAX: Final = 60
"""Steps of that search; six or so suffice, and halving alone would end within these."""


def group_other_power_w(
    gpu_power_w: Numbers, it_power_w: Numbers, gpu_count: Numbers, power_limit_max_w: Numbers
) -> Numbers:
    """Return a group's IT power beside its GPUs; the worst if unknown.

    Args:
        gpu_power_w: Power of one GPU.
        it_power_w: Power of the group.
        gpu_count: GPUs of the group.
        power_limit_max_w: Highest power limit of one GPU.
    """
    worst_w = OTHER_POWER_MAX_RATIO * gpu_count * power_limit_max_w
    return filled(clip(it_power_w - gpu_count * gpu_power_w, 0.0, worst_w), worst_w)


def water_top_and_fall_w(
    asked_w: Numbers, knee: Numbers, ease: Numbers, power_limit_max_w: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the level of a cap before any water runs out of it, and how far it falls to none."""
    top_w = higher_of((knee - FIRST_WORTH * ease) * power_limit_max_w, asked_w)
    return top_w, (LAST_WORTH - FIRST_WORTH) * ease * power_limit_max_w


def water_cap_w(
    depth: Numbers, asked_w: Numbers, floor_w: Numbers, top_w: Numbers, fall_w: Numbers
) -> tuple[Numbers, Truth]:
    """Return a cap at a depth of 0, as asked, to 1, at its floor, and whether it falls on."""
    level_w = top_w - depth * fall_w
    falls = (level_w > floor_w) & (level_w < asked_w)
    return lower_of(higher_of(level_w, floor_w), asked_w), falls


def next_water(
    water: Numbers,
    low: Numbers,
    high: Numbers,
    excess_w: Numbers,
    slope_w: Numbers,
    budget_w: Numbers,
) -> Numbers:
    """Return the water level to try next between ``low`` and ``high``.

    Newton's step is exact on the right piece; where it leaves the bracket, halve that.
    """
    rises = slope_w > 0.0
    aim_w = excess_w + AIM_RATIO * absolute(budget_w)
    step = water + aim_w / where(rises, slope_w, 1.0)
    inside = rises & (step > low) & (step < high)
    return where(inside, step, 0.5 * (low + high))


def other_power_w(telemetry: Telemetry, layout: Layout) -> FloatArray:
    """Return each group's IT power beside its GPUs, shape ``[..., N]``; the worst if unknown."""
    return np.asarray(
        group_other_power_w(
            gpu_power_w=telemetry.group("gpu_power_w"),
            it_power_w=telemetry.group("it_power_w"),
            gpu_count=layout.gpu_count,
            power_limit_max_w=layout.power_limit_max_w,
        )
    )


def worst_case_power_w(
    power_cap_w: FloatArray, other_w: FloatArray, layout: Layout, limits: Limits
) -> FloatArray:
    """Return the IT power each budget must carry at worst, shape ``[..., number of budgets]``."""
    gpus_w = layout.gpu_count * power_cap_w
    batch = np.broadcast_shapes(gpus_w.shape, other_w.shape)[:-1]
    loads_w = np.zeros((*batch, limits.budget_w.shape[-1]))
    for level in levels_of(limits.budget_members):
        burst = 1.0 + limits.budget_burst_ratio[level.budgets]
        loads_w[..., level.budgets] = level.sums(gpus_w) * burst + level.sums(other_w)
    return loads_w * (1.0 + limits.power_margin_ratio)


def allocate(
    power_cap_w: FloatArray,
    other_w: FloatArray,
    layout: Layout,
    limits: Limits,
    *,
    worth: Callable[[], Worth] | None = None,
) -> tuple[FloatArray, BoolArray]:
    """Lower caps until every budget holds.

    Budgets are met from the smallest up, those that share no group in one pass; since caps only
    fall, those met before stay met. Within a budget the lowest priority gives first, down to its
    floors. Within a priority the level is the same for all: each cap falls to where its marginal
    throughput is that of the others, which loses the least throughput (water-filling), and no
    group is cut because another asked for more.

    Args:
        power_cap_w: Asked caps, shape ``[..., N]``; one below its floor is left as it is.
        other_w: From :func:`other_power_w`, shape ``[..., N]``.
        layout: The site's layout.
        limits: The site's limits.
        worth: Gives each group's throughput curve when a budget binds, for example
            :func:`coolcap_envs.safety.worth.worth_of` of the telemetry; None: the same for all.

    Returns:
        The caps, and which budgets cannot be met even at the floors (``[..., number of budgets]``).
    """
    count = layout.group_count
    shape = np.broadcast_shapes(power_cap_w.shape, other_w.shape)
    caps_w = np.broadcast_to(power_cap_w, shape).reshape(-1, count).astype(np.float64)
    fixed_w = np.broadcast_to(other_w, shape).reshape(-1, count)
    curves: Worth | None = None
    budgets = limits.budget_w.shape[-1]
    site_w = np.broadcast_to(limits.budget_w, (*shape[:-1], budgets)).reshape(-1, budgets)
    for level in levels_of(limits.budget_members):
        budget_w = site_w[:, level.budgets] / (1.0 + limits.power_margin_ratio)
        # What is left for GPUs, bursts included.
        budget_w = (budget_w - level.sums(fixed_w)) / (
            1.0 + limits.budget_burst_ratio[level.budgets]
        )
        over = level.sums(layout.gpu_count * caps_w) > budget_w
        if not over.any():
            continue
        if curves is None:
            curves = _flat(worth() if worth else equal_worth(count), shape)
        binding = np.asarray(over.any(axis=0))
        part = level if binding.all() else level.only(binding)
        rows = np.flatnonzero(over.any(axis=1))

        def of_part(values: FloatArray, rows: IndexArray = rows, part: Level = part) -> FloatArray:
            return np.take(values if rows.size == len(values) else values[rows], part.groups, 1)

        water = _Water(
            of_part(caps_w),
            Worth(knee=of_part(curves.knee), ease=of_part(curves.ease)),
            part,
            layout=layout,
            floor_w=limits.power_cap_min_w,
        )
        allowed_w = np.where(over, budget_w, UNLIMITED_W)[rows][:, binding]
        caps_w[rows[:, None], part.groups] = water.lowered(allowed_w)
    over = worst_case_power_w(caps_w, fixed_w, layout, limits) > site_w * (1.0 + 1e-9)
    return caps_w.reshape(shape), np.asarray(over).reshape(*shape[:-1], -1)


def _flat(worth: Worth, shape: tuple[int, ...]) -> Worth:
    """Return curves with all batch axes in one."""
    knee, ease = (
        np.broadcast_to(part, shape).reshape(-1, shape[-1]) for part in (worth.knee, worth.ease)
    )
    return Worth(knee=knee, ease=ease)


class _Water:
    """The caps of one level of budgets as they fall with one number per budget.

    At 0 all caps are as asked, at 1 those of the lowest priority are at their floors, at 2 those of
    the next, and so on. Between, the power of a budget is piecewise linear.
    """

    def __init__(
        self,
        asked_w: FloatArray,
        worth: Worth,
        level: Level,
        *,
        layout: Layout,
        floor_w: FloatArray,
    ) -> None:
        groups = level.groups
        self._asked_w = asked_w
        self._floor_w = np.minimum(floor_w[groups], asked_w)
        self._level = level
        self._gpu_count = layout.gpu_count[groups].astype(np.float64)
        self._top_w, self._fall_w = water_top_and_fall_w(
            asked_w=asked_w,
            knee=worth.knee,
            ease=worth.ease,
            power_limit_max_w=layout.power_limit_max_w[groups],
        )
        priority = layout.priority[groups]
        classes = np.unique(priority)
        self._class_count = classes.size
        self._rank = np.searchsorted(classes, priority).astype(np.float64)

    def lowered(self, budget_w: FloatArray) -> FloatArray:
        """Return caps that meet ``budget_w``, power of the GPUs alone, ``[M, S]``."""
        low, high = np.zeros(budget_w.shape), np.full(budget_w.shape, float(self._class_count))
        excess_w, slope_w = self._excess_w(low, budget_w)
        over = excess_w > 0.0
        least_w = self._excess_w(high, budget_w)[0]
        search = over & (least_w < 0.0)
        found = np.where(over, high, 0.0)
        # At 0 often no cap falls yet, and the slope there says nothing: begin on the chord.
        slope_w = np.where(search, (excess_w - least_w) / high, 0.0)
        water, at = low, np.arange(budget_w.shape[-1])
        part = self
        for _ in range(SEARCH_COUNT_MAX):
            if not search.any():
                break
            if len(search) == 1 and search.mean() < 0.5:
                # Most budgets are found in a few steps; go on with the others alone.
                kept = search[0]
                part, at = part._only(kept), at[kept]
                low, high, water, budget_w = (
                    low[:, kept],
                    high[:, kept],
                    water[:, kept],
                    budget_w[:, kept],
                )
                excess_w, slope_w, search = excess_w[:, kept], slope_w[:, kept], search[:, kept]
            water = next_water(water, low, high, excess_w, slope_w, budget_w)
            excess_w, slope_w = part._excess_w(water, budget_w)
            above = excess_w > 0.0
            low, high = np.where(above, water, low), np.where(above, high, water)
            found[:, at] = np.where(search, high, found[:, at])
            search = search & (above | (excess_w < -UNUSED_RATIO * np.abs(budget_w)))
        return self._caps_w(found)[0]

    def _only(self, budgets: BoolArray) -> "_Water":
        """Return the part with some of the budgets."""
        kept = budgets[self._level.part]
        one = copy.copy(self)
        one._level = self._level.only(budgets)
        one._gpu_count, one._rank = self._gpu_count[kept], self._rank[kept]
        one._asked_w, one._floor_w = self._asked_w[:, kept], self._floor_w[:, kept]
        one._top_w, one._fall_w = self._top_w[:, kept], self._fall_w[:, kept]
        return one

    def _excess_w(self, water: FloatArray, budget_w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return power above the budget, and how fast it falls."""
        caps_w, falls = self._caps_w(water)
        starts = self._level.starts
        power_w = np.add.reduceat(self._gpu_count * caps_w, starts, axis=-1)
        slope_w = np.add.reduceat(falls * (self._gpu_count * self._fall_w), starts, axis=-1)
        return power_w - budget_w, np.asarray(slope_w)

    def _caps_w(self, water: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return the caps, and which of them fall on."""
        depth = np.take(water, self._level.part, axis=-1)
        if self._class_count > 1:
            depth = np.minimum(np.maximum(depth - self._rank, 0.0), 1.0)
        return water_cap_w(depth, self._asked_w, self._floor_w, self._top_w, self._fall_w)
