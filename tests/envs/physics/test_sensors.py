"""Tests of what instruments report."""

import numpy as np
import pytest

from coolcap_envs.physics.sensors import biased, standard_normal


def test_noise_is_close_to_standard_normal_and_uncorrelated() -> None:
    z = np.array([standard_normal(key=12345, step=k, place=7) for k in range(20_000)])
    assert z.mean() == pytest.approx(0.0, abs=0.03)
    assert z.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(z[1:] * z[:-1]) == pytest.approx(0.0, abs=0.03)
    other = np.array([standard_normal(key=12345, step=k, place=8) for k in range(20_000)])
    assert np.mean(z * other) == pytest.approx(0.0, abs=0.03)


def test_bias_stays_and_noise_changes() -> None:
    values = [biased(20.0, key=9, step=k, place=3, bias=1.0, noise=0.1) for k in range(500)]
    bias = standard_normal(key=9, step=-1, place=3)
    assert np.mean(values) == pytest.approx(20.0 + bias, abs=0.02)
    assert np.std(values) == pytest.approx(0.1, abs=0.02)


def test_the_same_place_and_step_give_the_same_number() -> None:
    assert standard_normal(key=1, step=2, place=3) == standard_normal(key=1, step=2, place=3)
