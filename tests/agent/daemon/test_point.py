"""How far one step may go."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_agent.daemon.point import InForce, step_towards, verification_problem
from support.fake_points import spec

WATTS = st.floats(min_value=100.0, max_value=700.0)


def test_value_inside_all_limits_is_taken_as_it_is() -> None:
    assert step_towards(spec(), target=400.0, start=700.0, span_s=0.0) == (400.0, "")


@pytest.mark.parametrize(("target", "allowed"), [(120.0, 150.0), (650.0, 600.0)])
def test_value_beyond_own_limits_becomes_the_nearest_allowed(target: float, allowed: float) -> None:
    value, why = step_towards(spec(), target=target, start=400.0, span_s=0.0)

    assert value == allowed
    assert why == (
        f"power cap {target:.1f} W for GPU-a is outside 150.0 to 600.0 W (own limits, node.toml)"
    )


def test_rise_is_held_to_its_slew_and_a_fall_that_is_not_limited_is_not() -> None:
    slow = spec(rise_max_per_s=10.0)

    value, why = step_towards(slow, target=500.0, start=300.0, span_s=5.0)
    assert value == 350.0
    assert why == (
        "power cap 500.0 W for GPU-a is further from 300.0 W than 5 s allow at 600 W/min "
        "(own limits, node.toml)"
    )
    assert step_towards(slow, target=200.0, start=600.0, span_s=0.0) == (200.0, "")


def test_time_without_writes_counts_up_to_a_bound() -> None:
    slow = spec(rise_max_per_s=1.0, slew_span_max_s=60.0)

    assert step_towards(slow, target=500.0, start=300.0, span_s=3600.0)[0] == 360.0
    assert step_towards(slow, target=500.0, start=300.0, span_s=math.inf)[0] == 360.0


def test_clock_that_went_back_allows_no_step() -> None:
    assert step_towards(spec(rise_max_per_s=1.0), target=500.0, start=300.0, span_s=-5.0)[0] == 300


def test_own_limits_do_not_apply_to_what_was_in_force_before() -> None:
    value, why = step_towards(spec(), target=700.0, start=300.0, span_s=0.0, restoring=True)

    assert (value, why) == (700.0, "")


@given(target=WATTS, start=st.floats(150.0, 600.0), span_s=st.floats(0.0, 1e6), rate=WATTS)
def test_no_step_leaves_own_limits_or_the_slew(
    target: float, start: float, span_s: float, rate: float
) -> None:
    limited = spec(rise_max_per_s=rate / 60.0, fall_max_per_s=rate / 30.0)

    value, _ = step_towards(limited, target=target, start=start, span_s=span_s)

    room_s = min(span_s, 60.0)
    assert 150.0 <= value <= 600.0
    assert -room_s * rate / 30.0 - 1e-6 <= value - start <= room_s * rate / 60.0 + 1e-6


def test_stricter_limit_of_somebody_else_is_not_a_failed_write() -> None:
    assert (
        verification_problem(spec(), written=400.0, after=InForce(requested=400.0, effective=350.0))
        == ""
    )


@pytest.mark.parametrize(
    ("requested", "effective"), [(700.0, 700.0), (400.0, 450.0), (math.nan, 400.0)]
)
def test_read_back_of_another_value_is_a_failed_write(requested: float, effective: float) -> None:
    assert "treat it as not done" in verification_problem(
        spec(), written=400.0, after=InForce(requested=requested, effective=effective)
    )
