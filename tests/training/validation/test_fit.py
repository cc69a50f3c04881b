"""Tests of least squares and of splitting rows."""

import numpy as np
import pytest

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_training.validation.fit import fit, folds, mean_abs

X = np.linspace(0.1, 2.0, 20)


def _decay(p: FloatArray) -> FloatArray:
    return np.asarray(p[0] * np.exp(-p[1] * X) - 3.0 * np.exp(-0.7 * X))


def test_a_curve_is_recovered_from_its_own_points() -> None:
    found = fit(_decay, np.array([1.0, 2.0]), low=np.array([0.0, 0.0]), high=np.array([9.0, 9.0]))
    assert found == pytest.approx([3.0, 0.7], abs=1e-4)


def test_parameters_stay_within_their_bounds_and_the_others_adapt() -> None:
    found = fit(_decay, np.array([1.0, 2.0]), low=np.array([0.0, 0.9]), high=np.array([9.0, 9.0]))
    assert found[1] == pytest.approx(0.9)
    best = np.exp(-0.9 * X) @ (3.0 * np.exp(-0.7 * X)) / np.sum(np.exp(-1.8 * X))
    assert found[0] == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("count", [2, 7, 8])
def test_every_row_is_reported_once_and_never_by_a_fit_that_saw_it(count: int) -> None:
    pairs = folds(count)
    assert sorted(np.concatenate([reported for _, reported in pairs])) == list(range(count))
    for fitted, reported in pairs:
        assert not set(fitted) & set(reported)


def test_mean_absolute_error_ignores_signs() -> None:
    assert mean_abs(np.array([-1.0, 3.0])) == 2.0
