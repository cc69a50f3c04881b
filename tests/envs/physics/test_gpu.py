"""Tests of the GPU's power, throughput and temperatures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.gpu import (
    active_power_share,
    activity,
    busy_at_activity,
    clock_at_power_share,
    decay_per_substep,
    die_temp_next_c,
    leakage_ratio,
    sink_conductance_w_per_k,
    sink_temp_next_c,
    slope_above_knee,
    throttle_clock_ratio,
    time_ratio,
)
from support.reference_data import reference_rows

ratios = st.floats(0.17, 1.0)

FITS = {
    # GPU and workload of the sweep: p0, s1, power knee, k, k2, work knee (least squares)
    ("B300-SXM", "bf16 GEMM"): (0.033, 0.875, 0.982, 0.790, 0.186, 0.633),
    ("V100", "ResNet-50"): (0.240, 0.579, 0.777, 0.349, 0.239, 0.901),
    ("A40", "ResNet-50"): (0.200, 0.652, 0.981, 0.449, 3.000, 0.705),
    ("RTX PRO 6000", "Qwen3.6-27B-AWQ vLLM N=32"): (0.225, 0.650, 0.919, 0.0, 0.382, 0.781),
    ("RTX PRO 6000", "Qwen3.6-27B-AWQ vLLM N=1"): (0.243, 0.579, 0.940, 0.089, 0.210, 0.797),
}


def power(clock: float, fixed: float = 0.24, low: float = 0.58, knee: float = 0.78) -> float:
    at_knee = fixed + low * knee
    return active_power_share(
        clock_ratio=clock,
        fixed_share=fixed,
        slope_low=low,
        power_at_knee=at_knee,
        knee_clock_ratio=knee,
        slope_high=slope_above_knee(power_at_knee=at_knee, knee_clock_ratio=knee),
    )


def clock_at(share: float, fixed: float = 0.24, low: float = 0.58, knee: float = 0.78) -> float:
    at_knee = fixed + low * knee
    high = slope_above_knee(power_at_knee=at_knee, knee_clock_ratio=knee)
    return clock_at_power_share(
        power_share=share,
        fixed_share=fixed,
        power_at_knee=at_knee,
        knee_clock_ratio=knee,
        per_slope_low=1.0 / low,
        per_slope_high=1.0 / high,
    )


@pytest.mark.parametrize(("gpu", "workload"), list(FITS))
def test_shapes_reproduce_published_cap_sweeps(gpu: str, workload: str) -> None:
    """Relative throughput at the power a capped GPU drew, within 0.03."""
    rows = [
        row
        for row in reference_rows("gpu/cap_curves_curated.csv")
        if row["gpu"].startswith(gpu) and row["workload"].startswith(workload) and row["rel_perf"]
    ]
    watts = np.array([float(row["avg_w"]) for row in rows])
    assert len(rows) >= 5
    p0, s1, power_knee, k, k2, work_knee = FITS[gpu, workload]
    for row, share in zip(rows, watts / watts.max(), strict=True):
        clock = min(max(clock_at(share, p0, s1, power_knee), 0.17), 1.0)
        time = time_ratio(
            clock_ratio=clock, sensitivity=k, knee_sensitivity=k2, knee_clock_ratio=work_knee
        )
        assert 1.0 / time == pytest.approx(float(row["rel_perf"]), abs=0.03)


def test_full_clock_draws_full_power_and_takes_no_longer() -> None:
    assert power(1.0) == pytest.approx(1.0)
    assert time_ratio(
        clock_ratio=1.0, sensitivity=0.8, knee_sensitivity=0.2, knee_clock_ratio=0.6
    ) == pytest.approx(1.0)


@given(ratios, ratios)
def test_power_rises_with_clock(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert power(low) <= power(high)


@given(ratios)
def test_the_clock_of_a_power_is_its_inverse(clock: float) -> None:
    assert clock_at(power(clock)) == pytest.approx(clock)


@given(ratios, ratios)
def test_work_takes_no_less_time_at_a_lower_clock(one: float, other: float) -> None:
    low, high = sorted((one, other))
    times = [
        time_ratio(clock_ratio=c, sensitivity=0.3, knee_sensitivity=0.4, knee_clock_ratio=0.8)
        for c in (low, high)
    ]
    assert times[0] >= times[1] >= 1.0


def test_memory_bound_work_loses_nothing_above_its_knee() -> None:
    """A100, BabelStream: 1005 of 1410 MHz costs no bandwidth."""
    assert (
        time_ratio(clock_ratio=0.72, sensitivity=0.0, knee_sensitivity=0.5, knee_clock_ratio=0.65)
        == 1.0
    )


@given(st.floats(0.01, 1.0), st.floats(0.01, 20.0))
def test_activity_is_between_load_and_one_and_invertible(busy: float, half: float) -> None:
    share = activity(busy_ratio=busy, half_load=half)
    assert busy - 1e-12 <= share <= 1.0 + 1e-12
    assert busy_at_activity(activity_ratio=share, half_load=half) == pytest.approx(busy)


def test_serving_at_a_tenth_of_the_tokens_draws_most_of_the_power() -> None:
    """H100 with Llama 8B: 486 W at 1068 tok/s, 688 W at 9829 (ML.ENERGY leaderboard v3)."""
    idle_w = 75.0
    share = activity(busy_ratio=1068.0 / 9829.0, half_load=0.08)
    assert idle_w + share * (688.0 - idle_w) == pytest.approx(486.0, rel=0.1)


def test_leakage_is_a_small_part_of_a_per_cent_per_kelvin() -> None:
    hot = leakage_ratio(die_temp_c=70.0, reference_temp_c=60.0, leakage_per_k=0.004)
    assert hot == pytest.approx(1.04)
    assert leakage_ratio(die_temp_c=300.0, reference_temp_c=60.0, leakage_per_k=0.004) == 1.5


def test_the_die_follows_a_step_of_power_exponentially() -> None:
    """After one time constant 63.2 % of the step is done, whatever the substep."""
    temp = 40.0
    for _ in range(10):
        temp = die_temp_next_c(
            die_temp_c=temp,
            sink_temp_c=40.0,
            power_w=500.0,
            resistance_k_per_w=0.03,
            decay=decay_per_substep(time_constant_s=2.8, dt_s=0.28),
        )
    assert temp == pytest.approx(40.0 + 15.0 * (1.0 - np.exp(-1.0)))


def test_a_heat_sink_settles_where_its_heat_leaves_with_the_air() -> None:
    temp = 25.0
    for _ in range(400):
        temp = sink_temp_next_c(
            sink_temp_c=temp,
            air_temp_c=25.0,
            heat_w=650.0,
            conductance_w_per_k=33.0,
            capacity_w_per_k=400.0,
        )
    assert temp == pytest.approx(25.0 + 650.0 / 33.0)


def test_less_air_cools_a_heat_sink_less() -> None:
    """Tangent of flow to the power 0.8: 4.5 % high at half flow."""
    half = sink_conductance_w_per_k(design_w_per_k=33.0, air_flow_ratio=0.5)
    assert half / 33.0 == pytest.approx(0.5**0.8, rel=0.05)


def test_throttling_starts_at_its_level_and_ends_below_its_hysteresis() -> None:
    def limit(now: float, die_c: float) -> float:
        return throttle_clock_ratio(
            clock_limit_ratio=now,
            die_temp_c=die_c,
            slow_temp_c=87.0,
            hard_temp_c=89.0,
            clock_min_ratio=0.17,
        )

    assert limit(1.0, 86.9) == 1.0
    assert limit(1.0, 87.0) < 1.0
    assert limit(0.7, 85.0) == 0.7
    assert limit(0.7, 83.9) > 0.7
    assert limit(1.0, 89.0) == 0.5
    assert limit(0.17, 90.0) == 0.17
