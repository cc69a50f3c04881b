"""Tests of recirculation and the two aisles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.rack import (
    hall_temps_next_c,
    inlet_temp_c,
    recirculation_with_shortage,
    supply_shortage_ratio,
)

shares = st.floats(0.0, 0.5)


def test_enough_supply_means_no_shortage() -> None:
    assert supply_shortage_ratio(supply_kg_per_s=10.0, cold_demand_kg_per_s=10.0) == 0.0
    assert supply_shortage_ratio(supply_kg_per_s=0.0, cold_demand_kg_per_s=0.0) == 0.0


def test_half_the_supply_leaves_half_the_intake_to_the_hot_aisle() -> None:
    short = supply_shortage_ratio(supply_kg_per_s=5.0, cold_demand_kg_per_s=10.0)
    assert recirculation_with_shortage(recirculation_ratio=0.0, shortage_ratio=short) == 0.5


@given(shares, shares)
def test_recirculation_never_falls_by_a_shortage(own: float, short: float) -> None:
    total = recirculation_with_shortage(recirculation_ratio=own, shortage_ratio=short)
    assert max(own, short) - 1e-12 <= total <= 1.0


def test_supply_heat_index_is_the_recirculated_share() -> None:
    """SHI = (Tin - Tsup)/(Tout - Tsup) (Sharma et al., 2002)."""
    cold_c, hot_c, share = 20.0, 35.0, 0.04
    inlet_c = inlet_temp_c(
        cold_aisle_temp_c=cold_c, hot_aisle_temp_c=hot_c, recirculation_ratio=share
    )
    assert (inlet_c - cold_c) / (hot_c - cold_c) == pytest.approx(share)


@given(
    st.floats(10.0, 40.0),
    st.floats(10.0, 60.0),
    st.floats(0.0, 5e4),
    st.floats(0.0, 1e5),
    st.floats(0.0, 1.0),
)
def test_aisles_store_exactly_what_flows_in_and_not_out(
    cold_c: float, hot_c: float, supply_w_per_k: float, heat_w: float, slope: float
) -> None:
    """Implicit steps keep the balance: heat in, less heat carried to the coil, is stored."""
    cold_w_per_k, hot_w_per_k, offset_c = 1e4, 1e5, 15.0
    cold_next_c, hot_next_c = hall_temps_next_c(
        cold_temp_c=cold_c,
        hot_temp_c=hot_c,
        cold_capacity_w_per_k=cold_w_per_k,
        hot_capacity_w_per_k=hot_w_per_k,
        supply_w_per_k=supply_w_per_k,
        heat_w=heat_w,
        supply_slope=slope,
        supply_offset_c=offset_c,
    )
    stored_w = cold_w_per_k * (cold_next_c - cold_c) + hot_w_per_k * (hot_next_c - hot_c)
    to_coil_w = supply_w_per_k * (hot_next_c - (slope * hot_next_c + offset_c))
    assert stored_w == pytest.approx(heat_w - to_coil_w, rel=1e-9, abs=1e-3)
