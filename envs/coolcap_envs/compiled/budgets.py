"""The budget allocator for a tile; its arithmetic stands in :mod:`coolcap_envs.safety.budget`."""

from coolcap_envs.compiled import shared
from coolcap_envs.compiled.control import Control
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import absolute, any_lane, lanes_of, minimum, where
from coolcap_envs.safety.budget import (
    SEARCH_COUNT_MAX,
    UNLIMITED_W,
    UNUSED_RATIO,
    next_water,
    water_cap_w,
    water_top_and_fall_w,
)
from coolcap_envs.safety.worth import curve_of

__all__ = ["meet_budgets", "shared"]


@law
def _depth(control: Control, water: float, s: int, n: int) -> float:
    """Return how deep group ``n`` is in its own class at a water level of budget ``s``."""
    depth: float = water - control.rank[s, n]
    if control.class_count[s] > 1.0:
        depth = minimum(where(depth > 0.0, depth, 0.0), 1.0)
    return depth


@law
def _excess_w(
    control: Control, t: int, s: int, water: float, budget_w: float
) -> tuple[float, float]:
    """Return power of the GPUs under budget ``s`` above it, and how fast it falls with water."""
    power_w = 0.0 * water
    slope_w = 0.0 * water
    for n in range(control.groups.shape[1]):
        if control.members[s, n]:
            c = lanes_of(control.groups[t, n])
            limit = control.group_limits[n]
            cap_w, falls = water_cap_w(
                depth=_depth(control=control, water=water, s=s, n=n),
                asked_w=c.cap_w,
                floor_w=minimum(c.cap_w, limit.power_cap_min_w),
                top_w=c.top_w,
                fall_w=c.fall_w,
            )
            power_w += limit.gpu_count * cap_w
            slope_w += where(falls, limit.gpu_count * c.fall_w, 0.0)
    return power_w - budget_w, slope_w


@law
def _find_water(control: Control, t: int, s: int, budget_w: float) -> float:
    """Return the lowest water level at which budget ``s`` holds; the highest if none does."""
    low = 0.0 * budget_w
    high = low + control.class_count[s]
    excess_w, _ = _excess_w(control=control, t=t, s=s, water=low, budget_w=budget_w)
    least_w, _ = _excess_w(control=control, t=t, s=s, water=high, budget_w=budget_w)
    is_over = excess_w > 0.0
    search = is_over & (least_w < 0.0)
    found: float = where(is_over, high, 0.0)
    # At 0 often no cap falls yet, and the slope there says nothing: begin on the chord.
    slope_w = where(search, (excess_w - least_w) / high, 0.0)
    water = low
    for _ in range(SEARCH_COUNT_MAX):
        if not any_lane(search):
            break
        water = next_water(water, low, high, excess_w, slope_w, budget_w)
        excess_w, slope_w = _excess_w(control=control, t=t, s=s, water=water, budget_w=budget_w)
        is_above = excess_w > 0.0
        low = where(is_above, water, low)
        high = where(is_above, high, water)
        found = where(search, high, found)
        search = search & (is_above | (excess_w < -UNUSED_RATIO * absolute(budget_w)))
    return found


@law
def _meet_budget(control: Control, t: int, s: int) -> None:
    """Lower the caps under budget ``s`` until it holds."""
    load_w = 0.0 * lanes_of(control.plant[t]).work_value
    other_w = load_w
    for n in range(control.groups.shape[1]):
        if control.members[s, n]:
            c = lanes_of(control.groups[t, n])
            load_w += control.group_limits[n].gpu_count * c.cap_w
            other_w += c.other_w
    margin = 1.0 + control.limits[0].power_margin_ratio
    budget_w = lanes_of(control.budgets_w[t])[s] / margin
    budget_w = (budget_w - other_w) / control.burst[s]
    is_over = load_w > budget_w
    if not any_lane(is_over):
        return
    for n in range(control.groups.shape[1]):
        if control.members[s, n]:
            c = lanes_of(control.groups[t, n])
            knee, ease = curve_of(lanes_of(control.group_readings[t, n]))
            c.top_w, c.fall_w = water_top_and_fall_w(
                asked_w=c.cap_w,
                knee=knee,
                ease=ease,
                power_limit_max_w=control.group_limits[n].power_limit_max_w,
            )
    water = _find_water(control=control, t=t, s=s, budget_w=where(is_over, budget_w, UNLIMITED_W))
    for n in range(control.groups.shape[1]):
        if control.members[s, n]:
            c = lanes_of(control.groups[t, n])
            c.cap_w, _ = water_cap_w(
                depth=_depth(control=control, water=water, s=s, n=n),
                asked_w=c.cap_w,
                floor_w=minimum(c.cap_w, control.group_limits[n].power_cap_min_w),
                top_w=c.top_w,
                fall_w=c.fall_w,
            )


@law
def meet_budgets(control: Control, t: int) -> None:
    """Lower the caps of a tile, ``groups.cap_w``, until all budgets hold, and say which cannot.

    As :func:`coolcap_envs.safety.budget.allocate`: the smallest budgets first.
    """
    margin = 1.0 + control.limits[0].power_margin_ratio
    for place in range(control.order.shape[0]):
        _meet_budget(control=control, t=t, s=control.order[place])
    for s in range(control.members.shape[0]):
        worst_w = 0.0 * lanes_of(control.plant[t]).work_value
        for n in range(control.groups.shape[1]):
            if control.members[s, n]:
                c = lanes_of(control.groups[t, n])
                gpus_w = control.group_limits[n].gpu_count * c.cap_w
                worst_w += gpus_w * control.burst[s] + c.other_w
        limit_w = lanes_of(control.budgets_w[t])[s] * (1.0 + 1e-9)
        is_short = worst_w * margin > limit_w
        if any_lane(is_short):
            for n in range(control.groups.shape[1]):
                if control.members[s, n]:
                    c = lanes_of(control.groups[t, n])
                    c.is_short = where(is_short, 1.0, c.is_short)
