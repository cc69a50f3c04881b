"""Tests of the power-budget allocator."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.safety.budget import (
    OTHER_POWER_MAX_RATIO,
    allocate,
    other_power_w,
    worst_case_power_w,
)
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
