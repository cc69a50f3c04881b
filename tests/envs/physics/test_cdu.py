"""Tests of coolant distribution units and the facility loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.cdu import (
    exchanger_conductance_ratio,
    guarded_setpoint_c,
    volume_temp_next_c,
)
from coolcap_envs.physics.constants import (
    PG25_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_SPECIFIC_HEAT_J_PER_KG_K,
)
from coolcap_envs.physics.crah import counterflow_effectiveness
from coolcap_envs.physics.facility_water import supply_setpoint_c

flows = st.floats(0.0, 1.5)


def test_a_published_unit_of_two_megawatts_holds_its_approach() -> None:
    """Google Deschutes: 2 MW, 31.48 kg/s of coolant, 32.30 kg/s of water, approach 3 K."""
    coolant = 31.48 * PG25_SPECIFIC_HEAT_J_PER_KG_K
    water = 32.30 * WATER_SPECIFIC_HEAT_J_PER_KG_K
    heat_w = 2.0e6
    supply_c, water_c = 33.0, 30.0
    return_c = supply_c + heat_w / coolant
    needed = heat_w / (min(coolant, water) * (return_c - water_c))
    effectiveness = counterflow_effectiveness(
        conductance_w_per_k=5.54e5, c_one=coolant, c_two=water
    )
    assert effectiveness == pytest.approx(needed, abs=0.01)


def test_conductance_is_that_of_design_at_design_flows() -> None:
    ratio = exchanger_conductance_ratio(coolant_flow_ratio=1.0, water_flow_ratio=1.0)
    assert ratio == pytest.approx(1.0)
    assert exchanger_conductance_ratio(coolant_flow_ratio=1.0, water_flow_ratio=0.0) == 0.0


@given(flows, flows, flows)
def test_more_flow_on_either_side_never_conducts_less(
    one: float, other: float, third: float
) -> None:
    low, high = sorted((one, other))
    for swapped in (False, True):
        found = [
            exchanger_conductance_ratio(
                coolant_flow_ratio=third if swapped else v,
                water_flow_ratio=v if swapped else third,
            )
            for v in (low, high)
        ]
        assert found[0] <= found[1] + 1e-12


@given(st.floats(15.0, 50.0), st.floats(-10.0, 30.0))
def test_the_guard_keeps_coolant_above_the_dew_point_and_changes_nothing_else(
    setpoint_c: float, dew_point_c: float
) -> None:
    guarded_c = guarded_setpoint_c(setpoint_c=setpoint_c, dew_point_c=dew_point_c, margin_k=2.0)
    assert guarded_c >= dew_point_c + 2.0
    assert guarded_c == setpoint_c or setpoint_c < dew_point_c + 2.0


@given(st.floats(10.0, 60.0), st.floats(10.0, 60.0), st.floats(0.0, 1.0))
def test_a_volume_gains_what_flows_in_less_what_flows_out(
    temp_c: float, inlet_c: float, share: float
) -> None:
    flow = share * 500.0
    after_c = volume_temp_next_c(
        temp_c=temp_c, capacity_w_per_k=500.0, flow_w_per_k=flow, inlet_temp_c=inlet_c
    )
    assert 500.0 * (after_c - temp_c) == pytest.approx(flow * (inlet_c - temp_c), abs=1e-6)
    assert min(temp_c, inlet_c) - 1e-9 <= after_c <= max(temp_c, inlet_c) + 1e-9


@pytest.mark.parametrize(
    ("coolant_c", "expected_c"), [(20.0, 20.0), (30.0, 26.0), (40.0, 36.0), (50.0, 40.0)]
)
def test_facility_water_follows_the_coolant_within_its_class(
    coolant_c: float, expected_c: float
) -> None:
    assert expected_c == supply_setpoint_c(
        coolant_setpoint_c=coolant_c, approach_k=4.0, low_c=20.0, high_c=40.0
    )
