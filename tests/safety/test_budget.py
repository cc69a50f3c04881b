"""Tests of the power-budget allocator."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.contract.layout import Layout
from coolcap_envs.safety.budget import (
    OTHER_POWER_MAX_RATIO,
    allocate,
    other_power_w,
    worst_case_power_w,
)
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.worth import Worth, worth_of
from support.small_site import small_site, telemetry

LAYOUT, LIMITS = small_site()
CAPS = st.lists(st.floats(200.0, 500.0), min_size=4, max_size=4).map(np.array)
OTHER = st.lists(st.floats(0.0, 90.0), min_size=4, max_size=4).map(np.array)


def test_caps_that_fit_are_left_alone() -> None:
    caps, short = allocate(np.full(4, 300.0), np.full(4, 50.0), LAYOUT, LIMITS)
    assert caps.tolist() == [300.0] * 4
    assert not short.any()


def test_a_rack_budget_binds_only_its_rack() -> None:
    caps, _ = allocate(np.array([500.0, 500.0, 300.0, 300.0]), np.full(4, 90.0), LAYOUT, LIMITS)
    np.testing.assert_allclose(caps[:2].sum(), 1200.0 / 1.03 - 180.0)
    assert caps[2:].tolist() == [300.0, 300.0]


def test_the_lowest_priority_gives_first() -> None:
    layout = dataclasses.replace(LAYOUT, priority=np.array([2, 2, 1, 1]))
    limits = dataclasses.replace(LIMITS, budget_w=np.array([1800.0, 1e9]))
    caps, _ = allocate(np.full(4, 450.0), np.zeros(4), layout, limits)
    assert caps[:2].tolist() == [450.0, 450.0]
    np.testing.assert_allclose(caps[2:], (1800.0 / 1.03 - 900.0) / 2.0)


def test_a_budget_below_the_floors_is_reported_and_caps_go_to_the_floors() -> None:
    limits = dataclasses.replace(LIMITS, budget_w=np.array([500.0, 1e9]))
    caps, short = allocate(np.full(4, 450.0), np.zeros(4), LAYOUT, limits)
    assert caps.tolist() == [200.0] * 4
    assert short.tolist() == [True, False]


@given(CAPS, OTHER)
def test_every_budget_holds_at_worst_case_power(caps: np.ndarray, other: np.ndarray) -> None:
    """Nested budgets hold whatever is asked; no cap is raised, none falls below its floor."""
    allocated, short = allocate(caps, other, LAYOUT, LIMITS)
    power = worst_case_power_w(allocated, other, LAYOUT, LIMITS)
    assert (power[~short] <= LIMITS.budget_w[~short] * (1 + 1e-9)).all()
    assert (allocated <= caps + 1e-9).all()
    assert (allocated >= LIMITS.power_cap_min_w - 1e-9).all()


@given(CAPS, OTHER)
def test_allocating_twice_changes_nothing(caps: np.ndarray, other: np.ndarray) -> None:
    once, _ = allocate(caps, other, LAYOUT, LIMITS)
    np.testing.assert_allclose(allocate(once, other, LAYOUT, LIMITS)[0], once, atol=1e-6)


def test_unknown_server_power_counts_as_the_worst() -> None:
    seen = telemetry(group={"it_power_w": np.array([480.0, np.nan, 300.0, 5000.0])})
    other = other_power_w(seen, LAYOUT)
    worst = OTHER_POWER_MAX_RATIO * 500.0
    np.testing.assert_allclose(other, [80.0, worst, 0.0, worst])


def tree(rng: np.random.Generator, *, groups: int) -> tuple[Layout, Limits]:
    """Return a site with random priorities and a random tree of budgets, some below the floors."""
    layout = dataclasses.replace(
        LAYOUT,
        group_names=tuple(map(str, range(groups))),
        gpu_count=rng.integers(1, 9, groups),
        power_limit_max_w=np.full(groups, 500.0),
        priority=rng.integers(0, 3, groups),
    )
    parts = [np.arange(groups)]
    for part in parts:
        if part.size > 2 and len(parts) < 40:
            parts += np.split(part, np.sort(rng.integers(1, part.size, 2)))
    members = np.array([np.isin(np.arange(groups), part) for part in parts if part.size])
    highest_w = members @ (layout.gpu_count * 500.0)
    limits = dataclasses.replace(
        LIMITS,
        power_cap_min_w=np.full(groups, 200.0),
        power_cap_max_w=np.full(groups, 500.0),
        budget_names=tuple(map(str, range(len(members)))),
        budget_members=members,
        budget_w=highest_w * rng.uniform(0.4, 1.1, len(members)),
        budget_burst_ratio=rng.choice([0.0, 0.2], len(members)),
    )
    return layout, limits


@pytest.mark.parametrize("seed", range(50))
def test_budgets_hold_at_every_node_of_a_random_tree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout, limits = tree(rng, groups=int(rng.integers(2, 60)))
    asked = rng.uniform(200.0, 500.0, (3, layout.group_count))
    other = rng.uniform(0.0, 100.0, asked.shape) * layout.gpu_count
    curves = Worth(knee=rng.uniform(0.5, 1.0, asked.shape), ease=rng.uniform(0.1, 0.4, asked.shape))

    caps, short = allocate(asked, other, layout, limits, worth=lambda: curves)

    power = worst_case_power_w(caps, other, layout, limits)
    assert (power[~short] <= np.broadcast_to(limits.budget_w, power.shape)[~short]).all()
    assert (caps <= asked).all()
    assert (caps >= limits.power_cap_min_w).all()
    floors = np.broadcast_to(limits.power_cap_min_w, asked.shape)
    at_least = worst_case_power_w(floors, other, layout, limits)
    assert (short == (at_least > limits.budget_w * (1 + 1e-9))).all()
    alone, _ = allocate(asked[1], other[1], layout, limits, worth=lambda: row(curves, 1))
    np.testing.assert_allclose(alone, caps[1], rtol=1e-6)


def row(curves: Worth, n: int) -> Worth:
    return Worth(knee=curves.knee[n], ease=curves.ease[n])


@pytest.mark.parametrize("seed", range(20))
def test_no_watt_moved_between_two_groups_would_gain_throughput(seed: int) -> None:
    """Within one budget and priority the marginal throughput of all that gave is the same."""
    rng = np.random.default_rng(seed)
    count = 12
    layout, _ = tree(rng, groups=count)
    layout = dataclasses.replace(layout, priority=np.ones(count, dtype=np.int64))
    asked = rng.uniform(300.0, 500.0, count)
    limits = dataclasses.replace(
        LIMITS,
        power_cap_min_w=np.full(count, 200.0),
        budget_names=("all",),
        budget_members=np.ones((1, count), dtype=bool),
        budget_w=np.array([0.85 * float(layout.gpu_count @ asked) * 1.03]),
        budget_burst_ratio=np.zeros(1),
    )
    curves = Worth(knee=rng.uniform(0.6, 1.0, count), ease=rng.uniform(0.1, 0.4, count))

    caps, short = allocate(asked, np.zeros(count), layout, limits, worth=lambda: curves)

    assert not short.any()
    np.testing.assert_allclose(layout.gpu_count @ caps * 1.03, limits.budget_w, rtol=1e-7)
    marginal = (curves.knee - caps / 500.0) / curves.ease
    between = (caps > 200.0) & (caps < asked)
    level = marginal[between].mean()
    np.testing.assert_allclose(marginal[between], level, rtol=1e-6)
    assert (marginal[caps >= asked] >= level - 1e-6).all()
    assert (marginal[caps <= 200.0] <= level + 1e-6).all()


def test_decoding_gives_before_training() -> None:
    shares: dict[str, float | np.ndarray] = {"training_ratio": np.array([1.0, 1.0, 0.0, 0.0])}
    shares |= {"decode_ratio": np.array([0.0, 0.0, 1.0, 1.0])}
    seen = telemetry(group=shares)
    limits = dataclasses.replace(LIMITS, budget_w=np.array([1850.0, 1e9]))
    caps, _ = allocate(np.full(4, 500.0), np.zeros(4), LAYOUT, limits, worth=lambda: worth_of(seen))
    assert caps[2] < caps[0] <= 500.0


def test_a_group_that_asks_more_costs_no_other_group_anything() -> None:
    limits = dataclasses.replace(LIMITS, budget_w=np.array([1400.0, 1e9]))
    modest, _ = allocate(np.array([300.0, 400.0, 400.0, 400.0]), np.zeros(4), LAYOUT, limits)
    greedy, _ = allocate(np.array([300.0, 500.0, 500.0, 500.0]), np.zeros(4), LAYOUT, limits)
    np.testing.assert_allclose(modest, greedy)
    assert modest[0] == 300.0


def test_a_budget_with_a_burst_ratio_holds_while_gpus_burst_above_their_caps() -> None:
    limits = dataclasses.replace(
        LIMITS, budget_w=np.array([2000.0, 1e9]), budget_burst_ratio=np.array([0.2, 0.0])
    )
    caps, short = allocate(np.full(4, 500.0), np.full(4, 50.0), LAYOUT, limits)
    np.testing.assert_allclose((1.2 * caps.sum() + 200.0) * 1.03, 2000.0)
    assert not short.any()
