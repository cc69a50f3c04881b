"""Tests of moist air against tables and EnergyPlus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.constants import STANDARD_PRESSURE_PA
from coolcap_envs.physics.psychrometrics import (
    dew_point_c,
    humidity_ratio,
    saturation_pressure_pa,
    wet_bulb_c,
)
from support.reference_data import reference_rows

temps = st.floats(-25.0, 45.0)
humidities = st.floats(0.02, 1.0)


def wet_bulb(dry_bulb_c: float, relative_humidity: float, pressure_pa: float) -> float:
    vapour_pa = relative_humidity * saturation_pressure_pa(dry_bulb_c)
    ratio = humidity_ratio(vapour_pressure_pa=vapour_pa, pressure_pa=pressure_pa)
    return wet_bulb_c(
        dry_bulb_c=dry_bulb_c, humidity_ratio_kg_per_kg=ratio, pressure_pa=pressure_pa
    )


@pytest.mark.parametrize(("temp_c", "pressure_pa"), [(-20.0, 103.2), (0.01, 611.7), (25.0, 3169.2)])
def test_saturation_pressure_is_that_of_the_ashrae_table(temp_c: float, pressure_pa: float) -> None:
    """ASHRAE Handbook of Fundamentals 2017, chapter 1, table 3."""
    assert saturation_pressure_pa(temp_c) == pytest.approx(pressure_pa, rel=1e-3)


def test_wet_bulb_agrees_with_energyplus_within_a_tenth_of_a_kelvin() -> None:
    for row in reference_rows("cooling/energyplus/psychrometrics.csv"):
        dry_c, humidity = float(row["tdb_c"]), float(row["rh_frac"])
        assert wet_bulb(dry_c, humidity, float(row["pressure_pa"])) == pytest.approx(
            float(row["twb_c"]), abs=0.1
        )


def test_dew_point_agrees_with_energyplus_within_a_tenth_of_a_kelvin() -> None:
    for row in reference_rows("cooling/energyplus/psychrometrics.csv"):
        vapour_pa = float(row["rh_frac"]) * saturation_pressure_pa(float(row["tdb_c"]))
        assert dew_point_c(vapour_pa) == pytest.approx(float(row["tdp_c"]), abs=0.1)


@given(temps, humidities)
def test_wet_bulb_lies_between_dew_point_and_dry_bulb(dry_c: float, humidity: float) -> None:
    vapour_pa = humidity * saturation_pressure_pa(dry_c)
    wet_c = wet_bulb(dry_c, humidity, STANDARD_PRESSURE_PA)
    # Above ice the dew point of these equations is a frost point, up to 2 K warmer near saturation.
    assert dew_point_c(vapour_pa) - 0.01 <= wet_c <= dry_c + 1e-6


@given(temps)
def test_saturated_air_has_its_wet_bulb_at_the_dry_bulb(dry_c: float) -> None:
    assert wet_bulb(dry_c, 1.0, STANDARD_PRESSURE_PA) == pytest.approx(dry_c, abs=0.01)


@given(temps, st.floats(0.05, 0.9))
def test_more_moisture_raises_the_wet_bulb(dry_c: float, humidity: float) -> None:
    drier = wet_bulb(dry_c, humidity, STANDARD_PRESSURE_PA)
    assert wet_bulb(dry_c, humidity + 0.05, STANDARD_PRESSURE_PA) > drier
