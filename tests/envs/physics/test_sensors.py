"""Tests of what instruments report."""

import numpy as np
import pytest

from coolcap_envs.physics.sensors import biased, standard_normal


def draw(*, key: int, count: int, place: int) -> float:
    return standard_normal(np.uint64(key), np.uint64(count), place)


def show(value: float, *, step: int, bias: float, noise: float) -> float:
    return biased(value, np.uint64(9), np.uint64(step), 3, bias, noise)


def test_noise_is_close_to_standard_normal_and_uncorrelated() -> None:
    z = np.array([draw(key=12345, count=k, place=7) for k in range(20_000)])
    assert z.mean() == pytest.approx(0.0, abs=0.03)
    assert z.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(z[1:] * z[:-1]) == pytest.approx(0.0, abs=0.03)
    other = np.array([draw(key=12345, count=k, place=8) for k in range(20_000)])
    assert np.mean(z * other) == pytest.approx(0.0, abs=0.03)


def test_bias_stays_and_noise_changes() -> None:
    values = [show(20.0, step=k, bias=1.0, noise=0.1) for k in range(500)]
    bias = draw(key=9, count=0, place=3)
    assert np.mean(values) == pytest.approx(20.0 + bias, abs=0.02)
    assert np.std(values) == pytest.approx(0.1, abs=0.02)


def test_the_same_place_and_step_give_the_same_number() -> None:
    assert draw(key=1, count=2, place=3) == draw(key=1, count=2, place=3)
