"""Tests of pumps."""

import pytest

from coolcap_envs.physics.pump import pump_power_w


def power_w(flow_ratio: float) -> float:
    return pump_power_w(
        flow_ratio=flow_ratio, design_power_w=200.0, min_flow_ratio=0.3, exponent=2.3
    )


def test_design_flow_takes_design_power() -> None:
    assert power_w(1.0) == pytest.approx(200.0)


def test_a_minimum_flow_is_pumped_whatever_the_valves_take() -> None:
    assert power_w(0.02) == power_w(0.3) == pytest.approx(200.0 * 0.3**2.3)


def test_a_stopped_pump_takes_nothing() -> None:
    assert power_w(0.0) == 0.0
