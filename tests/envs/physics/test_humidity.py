"""Tests of the hall's moisture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics import psychrometrics
from coolcap_envs.physics.constants import STANDARD_PRESSURE_PA
from coolcap_envs.physics.humidity import (
    condensed_kg_per_s,
    dew_point_c,
    hall_ratio_next,
    outdoor_ratio,
    saturated_ratio,
    vapour_pressure_pa,
)

ratios = st.floats(0.001, 0.03)


@pytest.mark.parametrize("temp_c", [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0])
def test_vapour_pressure_agrees_with_the_exact_law(temp_c: float) -> None:
    exact_pa = psychrometrics.saturation_pressure_pa(temp_c)
    assert vapour_pressure_pa(temp_c) == pytest.approx(exact_pa, rel=0.004)


@given(st.floats(-20.0, 40.0))
def test_dew_point_inverts_saturation(temp_c: float) -> None:
    assert dew_point_c(saturated_ratio(temp_c)) == pytest.approx(temp_c, abs=0.01)


@pytest.mark.parametrize(("dry_c", "wet_c"), [(35.0, 24.0), (25.0, 20.0), (10.0, 8.0)])
def test_outdoor_moisture_agrees_with_the_exact_law(dry_c: float, wet_c: float) -> None:
    exact = psychrometrics.humidity_ratio_at_wet_bulb(
        wet_bulb_c=wet_c, dry_bulb_c=dry_c, pressure_pa=STANDARD_PRESSURE_PA
    )
    assert outdoor_ratio(dry_bulb_c=dry_c, wet_bulb_c=wet_c) == pytest.approx(exact, rel=0.01)


@given(ratios, ratios, ratios, st.floats(0.0, 2.0), st.floats(0.0, 50.0))
def test_no_moisture_appears_or_vanishes(
    ratio: float, outdoor: float, surface: float, make_up: float, contact: float
) -> None:
    after = hall_ratio_next(
        ratio=ratio,
        capacity_kg_per_s=100.0,
        make_up_kg_per_s=make_up,
        outdoor=outdoor,
        contact_kg_per_s=contact,
        surface=surface,
    )
    condensed = condensed_kg_per_s(ratio_next=after, contact_kg_per_s=contact, surface=surface)
    assert condensed >= 0.0
    gained = 100.0 * (after - ratio)
    assert gained == pytest.approx(make_up * (outdoor - after) - condensed, abs=1e-12)


def test_a_cold_coil_dries_the_hall_to_its_surface_and_a_warm_one_leaves_it_moist() -> None:
    def settled_c(surface_c: float) -> float:
        ratio = 0.010
        for _ in range(30_000):
            ratio = hall_ratio_next(
                ratio=ratio,
                capacity_kg_per_s=400.0,
                make_up_kg_per_s=0.1,
                outdoor=saturated_ratio(24.0),
                contact_kg_per_s=8.0,
                surface=saturated_ratio(surface_c),
            )
        return dew_point_c(ratio)

    assert settled_c(12.0) == pytest.approx(12.2, abs=0.3)
    assert settled_c(20.0) == pytest.approx(20.1, abs=0.3)
    assert settled_c(30.0) > 20.3
