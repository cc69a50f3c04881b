"""Tests of what a GPU does under load, cap and clock limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coolcap_envs.physics.gpu_cap import operating_point
from coolcap_envs.physics.jit import kernel
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.physics.records import Record
from coolcap_envs.plant_parameters import ParameterTemplates
from coolcap_envs.site import load_site

IDLE_W, CLOCK_MIN = 75.0, 0.17
_, _, _, CLASSES = ParameterTemplates(load_site("lab-16")).draw(np.random.default_rng(0), 0.0)
CLASS = {name: CLASSES[0, k] for k, name in enumerate(WORKLOAD_CLASSES)}

loads = st.floats(0.0, 3.0)
caps = st.floats(200.0, 700.0)
clocks = st.floats(0.2, 1.0)
names = st.sampled_from(WORKLOAD_CLASSES)


@kernel
def _point(
    load: float, cap_w: float, scale: float, clock: float, work: Record
) -> tuple[float, float, float, float]:
    return operating_point(
        load_ratio=load,
        cap_w=cap_w,
        power_scale=scale,
        clock_limit_ratio=clock,
        clock_min_ratio=CLOCK_MIN,
        idle_w=IDLE_W,
        work=work,
    )


def point(
    name: str, *, load: float = 1.0, cap_w: float = 700.0, scale: float = 1.0, clock: float = 1.0
) -> tuple[float, float, float]:
    """Return clock, work done per second and power."""
    clock_ratio, time, busy, power_w = _point(load, cap_w, scale, clock, CLASS[name])
    return clock_ratio, busy / time, power_w


@settings(max_examples=300)
@given(names, loads, caps, st.floats(0.85, 1.2), clocks)
def test_power_keeps_to_the_cap_except_at_the_lowest_clock(
    name: str, load: float, cap_w: float, scale: float, clock: float
) -> None:
    at, _, power_w = point(name, load=load, cap_w=cap_w, scale=scale, clock=clock)
    assert power_w * scale <= cap_w * (1.0 + 1e-9) or at == CLOCK_MIN


@settings(max_examples=300)
@given(names, loads, caps, clocks)
def test_no_more_work_is_done_than_offered_or_than_the_clock_allows(
    name: str, load: float, cap_w: float, clock: float
) -> None:
    at, done, _ = point(name, load=load, cap_w=cap_w, clock=clock)
    assert done <= min(load, 1.0) + 1e-9
    assert CLOCK_MIN <= at <= clock


@settings(max_examples=300)
@given(names, st.floats(0.05, 1.2), caps, caps)
def test_a_lower_cap_never_gives_more_work_or_a_higher_clock(
    name: str, load: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    low_clock, low_done, _ = point(name, load=load, cap_w=low)
    high_clock, high_done, _ = point(name, load=load, cap_w=high)
    # The fixed point of steady work is stopped after three steps: 1 % of throughput at most.
    assert low_done <= high_done + 0.01
    assert low_clock <= high_clock + 1e-9


def test_training_at_the_default_limit_draws_its_natural_power() -> None:
    clock, done, power_w = point("training")
    assert (clock, done, power_w) == pytest.approx((1.0, 1.0, 650.0))


@pytest.mark.parametrize(
    ("cap_w", "work_low", "work_high"), [(585.0, 0.96, 0.99), (450.0, 0.84, 0.92)]
)
def test_training_loses_as_much_throughput_as_measured_on_a_v100(
    cap_w: float, work_low: float, work_high: float
) -> None:
    """0.98 at 0.93 of natural power, 0.95 at 0.83, 0.84 at 0.66 (Zeus traces, NSDI'23)."""
    assert work_low <= point("training", cap_w=cap_w)[1] <= work_high


def test_a_cap_saves_more_energy_than_work_above_the_floor() -> None:
    _, done, power_w = point("training", cap_w=450.0)
    assert power_w / 650.0 < done


def test_a_cap_near_the_devices_minimum_costs_more_than_it_saves() -> None:
    """The floor cliff: energy per work turns upward below about 1.4 times the minimum limit."""
    energy_per_work = {
        cap_w: point("training", cap_w=cap_w)[2] / point("training", cap_w=cap_w)[1]
        for cap_w in (230.0, 280.0, 420.0)
    }
    assert energy_per_work[230.0] > energy_per_work[280.0] > energy_per_work[420.0]


def test_a_clock_lock_saves_power_on_memory_bound_work_where_a_cap_does_not_bind() -> None:
    _, free, natural_w = point("memory_bound", cap_w=460.0)
    _, locked, locked_w = point("memory_bound", cap_w=460.0, clock=0.72)
    assert locked == pytest.approx(free)
    assert locked_w < 0.7 * natural_w


def test_a_hungrier_unit_runs_slower_under_the_same_cap() -> None:
    """Performance at equal cap spreads by 8 % on average (Sinha et al., SC'22)."""
    _, nominal, _ = point("training", cap_w=450.0)
    _, hungry, _ = point("training", cap_w=450.0, scale=1.06)
    assert 0.90 * nominal < hungry < nominal


def test_an_idle_gpu_draws_idle_power_under_any_cap() -> None:
    for name in WORKLOAD_CLASSES:
        assert point(name, load=0.0, cap_w=200.0)[2] == pytest.approx(IDLE_W)
