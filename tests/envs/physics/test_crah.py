"""Tests of the air handler."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.crah import (
    conductance_ratio,
    counterflow_effectiveness,
    equal_percentage_flow_ratio,
    fan_power_w,
)

rates = st.floats(10.0, 1e5)


def test_effectiveness_is_that_of_the_textbook() -> None:
    """Incropera et al., 7th ed., equation 11.29a with NTU = 2 and Cr = 0.5."""
    expected = (1.0 - math.exp(-1.0)) / (1.0 - 0.5 * math.exp(-1.0))
    assert counterflow_effectiveness(
        conductance_w_per_k=2000.0, c_one=1000.0, c_two=2000.0
    ) == pytest.approx(expected)


def test_balanced_streams_have_their_own_formula() -> None:
    assert counterflow_effectiveness(
        conductance_w_per_k=3000.0, c_one=1000.0, c_two=1000.0
    ) == pytest.approx(0.75)


@given(st.floats(0.0, 1e6), rates, rates)
def test_no_exchanger_moves_more_than_the_most_possible(ua: float, one: float, two: float) -> None:
    assert 0.0 <= counterflow_effectiveness(conductance_w_per_k=ua, c_one=one, c_two=two) <= 1.0


@given(rates, rates)
def test_a_larger_exchanger_moves_more(one: float, two: float) -> None:
    small, large = (
        counterflow_effectiveness(conductance_w_per_k=ua, c_one=one, c_two=two)
        for ua in (1000.0, 1100.0)
    )
    assert large >= small - 1e-12


def test_a_standing_stream_takes_no_heat() -> None:
    assert counterflow_effectiveness(conductance_w_per_k=1000.0, c_one=0.0, c_two=10.0) == 0.0


def test_design_flows_give_design_conductance() -> None:
    assert conductance_ratio(air_flow_ratio=1.0, water_flow_ratio=1.0) == pytest.approx(1.0)
    assert conductance_ratio(air_flow_ratio=0.5, water_flow_ratio=1.0) == pytest.approx(0.5**0.6)


def test_fan_power_falls_with_speed_less_than_cubically() -> None:
    half_w = fan_power_w(speed_ratio=0.5, design_power_w=1000.0, exponent=2.7)
    assert half_w == pytest.approx(1000.0 * 0.5**2.7)
    assert half_w > 1000.0 * 0.5**3
    assert fan_power_w(speed_ratio=0.0, design_power_w=1000.0, exponent=2.7) == 0.0


def test_an_equal_percentage_valve_multiplies_flow_by_equal_factors() -> None:
    flows = [equal_percentage_flow_ratio(valve_ratio=x, rangeability=50.0) for x in (0, 0.5, 1)]
    assert flows == pytest.approx([0.02, math.sqrt(0.02), 1.0])
