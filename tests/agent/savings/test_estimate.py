"""Estimators held against what can be computed by hand."""

import numpy as np
import pytest

from coolcap_agent.savings.estimate import adjusted, flip_test, paired, t_quantile


def test_flip_test_counts_the_orders_that_give_as_much() -> None:
    """Of 2^3 orders of (1, 2, 3) only the two all-equal signs reach a mean of 2."""
    assert flip_test(np.array([1.0, 2.0, 3.0])) == 2 / 8


def test_fewer_than_six_pairs_can_never_be_clear() -> None:
    """Two of 2^5 orders are 1 in 16."""
    assert flip_test(np.full(5, -0.3)) == 1 / 16
    assert not paired(np.full(5, -0.3)).clear
    assert paired(np.array([-0.3, -0.31, -0.29, -0.3, -0.32, -0.28])).clear


def test_interval_is_at_least_students() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4])
    half = 3.182 * values.std(ddof=1) / 2.0

    e = paired(values)

    assert e.low <= 0.25 - half + 1e-12
    assert e.high >= 0.25 + half - 1e-12


def test_nothing_is_known_from_one_pair() -> None:
    e = paired(np.array([0.5]))

    assert (e.low, e.high, e.p_value) == (-np.inf, np.inf, 1.0)


def test_values_that_are_not_known_are_left_out() -> None:
    assert paired(np.array([0.1, np.nan, 0.3])).count == 2


def test_adjustment_takes_the_weather_out() -> None:
    rng = np.random.default_rng(1)
    weather = rng.normal(0.5, 1.0, 40)
    values = -0.05 + 0.03 * weather + rng.normal(0.0, 0.001, 40)

    e = adjusted(values, weather[:, None])

    assert e is not None
    assert e.mean == pytest.approx(-0.05, abs=0.001)
    assert e.low < -0.05 < e.high
    assert adjusted(values[:6], weather[:6, None]) is None


def test_quantile_is_students_for_few_and_normal_for_many() -> None:
    assert [t_quantile(n) for n in (1, 9, 30, 31)] == [12.706, 2.262, 2.042, 1.96]
