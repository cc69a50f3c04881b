"""Moist air: saturation pressure, humidity ratio, dew point and wet bulb.

Equations of the ASHRAE Handbook of Fundamentals 2017, chapter 1 ("HoF" below). Air is an ideal
mixture of ideal gases; the enhancement factor (0.5 % at sea level) is neglected, as there.
"""

import math
from typing import Final

from coolcap_envs.physics.constants import KELVIN_AT_ZERO_C, MOLAR_MASS_RATIO_WATER_AIR
from coolcap_envs.physics.jit import law

_BISECTION_STEPS: Final = 40
"""Halves the widest bracket used here, 120 K, to 1e-10 K."""


@law
def saturation_pressure_pa(temp_c: float) -> float:
    """Return the pressure of saturated water vapour, over ice below 0 °C.

    HoF equations 5 (ice, -100 to 0 °C) and 6 (liquid, 0 to 200 °C).
    """
    t = temp_c + KELVIN_AT_ZERO_C
    if temp_c < 0.0:
        return math.exp(
            -5.6745359e3 / t
            + 6.3925247
            + t * (-9.677843e-3 + t * (6.2215701e-7 + t * (2.0747825e-9 - 9.484024e-13 * t)))
            + 4.1635019 * math.log(t)
        )
    return math.exp(
        -5.8002206e3 / t
        + 1.3914993
        + t * (-4.8640239e-2 + t * (4.1764768e-5 - 1.4452093e-8 * t))
        + 6.5459673 * math.log(t)
    )


@law
def humidity_ratio(vapour_pressure_pa: float, pressure_pa: float) -> float:
    """Return kg of water vapour per kg of dry air.

    HoF equation 20: ``W = 0.621945 * pw / (p - pw)``.
    """
    return MOLAR_MASS_RATIO_WATER_AIR * vapour_pressure_pa / (pressure_pa - vapour_pressure_pa)


@law
def dew_point_c(vapour_pressure_pa: float) -> float:
    """Return the temperature at which vapour of this pressure saturates.

    Inverse of :func:`saturation_pressure_pa` by bisection on -90 to 90 °C.
    """
    low = -90.0
    high = 90.0
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        if saturation_pressure_pa(middle) > vapour_pressure_pa:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


@law
def humidity_ratio_at_wet_bulb(wet_bulb_c: float, dry_bulb_c: float, pressure_pa: float) -> float:
    """Return the humidity ratio that goes with a wet-bulb temperature.

    HoF equations 33 (above freezing) and 35 (below): energy balance of adiabatic saturation.
    """
    saturated = humidity_ratio(
        vapour_pressure_pa=saturation_pressure_pa(wet_bulb_c), pressure_pa=pressure_pa
    )
    spread_k = dry_bulb_c - wet_bulb_c
    if wet_bulb_c >= 0.0:
        return ((2501.0 - 2.326 * wet_bulb_c) * saturated - 1.006 * spread_k) / (
            2501.0 + 1.86 * dry_bulb_c - 4.186 * wet_bulb_c
        )
    return ((2830.0 - 0.24 * wet_bulb_c) * saturated - 1.006 * spread_k) / (
        2830.0 + 1.86 * dry_bulb_c - 2.1 * wet_bulb_c
    )


@law
def wet_bulb_c(dry_bulb_c: float, humidity_ratio_kg_per_kg: float, pressure_pa: float) -> float:
    """Return the thermodynamic wet-bulb temperature.

    Bisection of :func:`humidity_ratio_at_wet_bulb` between 120 K below the dry bulb and the dry
    bulb itself, which it never exceeds: supersaturated input gives the dry bulb.
    """
    low = dry_bulb_c - 120.0
    high = dry_bulb_c
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        ratio = humidity_ratio_at_wet_bulb(
            wet_bulb_c=middle, dry_bulb_c=dry_bulb_c, pressure_pa=pressure_pa
        )
        if ratio > humidity_ratio_kg_per_kg:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)
