"""Moisture of the hall's air: make-up air brings it, wet coils take it.

A closed hall has no other source of moisture than the outdoor air let in. A coil whose surface is
colder than the dew point condenses it and takes its latent heat on top of the sensible heat, until
the dew point has come down to the surface. Warm chilled water therefore leaves the hall moist,
which matters to liquid cooling: coolant must stay above the dew point. Neglected: people, and
humidifiers, without which the air of a cold climate becomes dry.
"""

from typing import Final

from coolcap_envs.physics.constants import (
    MOLAR_MASS_RATIO_WATER_AIR,
    STANDARD_PRESSURE_PA,
    WATER_EVAPORATION_HEAT_J_PER_KG,
)
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, log, maximum, where
from coolcap_envs.physics.records import SUBSTEP_S, Record

_MAGNUS_PA: Final = 610.94
_MAGNUS_SLOPE: Final = 17.625
_MAGNUS_C: Final = 243.04
"""Magnus form of the vapour pressure over water: Alduchov and Eskridge, J. Appl. Meteor. 35 (1996),
equation 21; within 0.4 % from -40 to 50 °C. Its inverse needs no search, unlike the exact law of
:mod:`coolcap_envs.physics.psychrometrics`."""

COIL_SURFACE_SHARE: Final = 0.3
"""Surface temperature of a coil between entering water (0) and leaving air (1). Assumption: the
water side and the fins resist a third, the air the rest."""

_DRY: Final = 1e-5


@law
def vapour_pressure_pa(temp_c: float) -> float:
    """Return the pressure of saturated vapour, ``e = 610.94*exp(17.625*T/(T + 243.04))``."""
    pressure_pa: float = _MAGNUS_PA * exp(_MAGNUS_SLOPE * temp_c / (temp_c + _MAGNUS_C))
    return pressure_pa


@law
def saturated_ratio(temp_c: float) -> float:
    """Return kg of vapour per kg of dry air at saturation and standard pressure."""
    pressure_pa = vapour_pressure_pa(temp_c)
    return MOLAR_MASS_RATIO_WATER_AIR * pressure_pa / (STANDARD_PRESSURE_PA - pressure_pa)


@law
def dew_point_c(humidity_ratio: float) -> float:
    """Return the dew point at standard pressure, the inverse of :func:`saturated_ratio`."""
    ratio = maximum(humidity_ratio, _DRY)
    pressure_pa = STANDARD_PRESSURE_PA * ratio / (MOLAR_MASS_RATIO_WATER_AIR + ratio)
    logarithm = log(pressure_pa / _MAGNUS_PA)
    temp_c: float = _MAGNUS_C * logarithm / (_MAGNUS_SLOPE - logarithm)
    return temp_c


@law
def outdoor_ratio(dry_bulb_c: float, wet_bulb_c: float) -> float:
    """Return kg of vapour per kg of dry air outdoors.

    Energy balance of adiabatic saturation, ASHRAE Handbook of Fundamentals 2017, chapter 1,
    equation 33, which below freezing is a little high; the hall is dry then anyway.
    """
    saturated = saturated_ratio(wet_bulb_c)
    taken = (2501.0 - 2.326 * wet_bulb_c) * saturated - 1.006 * (dry_bulb_c - wet_bulb_c)
    ratio: float = maximum(taken / (2501.0 + 1.86 * dry_bulb_c - 4.186 * wet_bulb_c), _DRY)
    return ratio


@law
def hall_ratio_next(
    ratio: float,
    capacity_kg_per_s: float,
    make_up_kg_per_s: float,
    outdoor: float,
    contact_kg_per_s: float,
    surface: float,
) -> float:
    """Return the hall's humidity ratio one substep later (implicit Euler).

    ``M dW/dt = mu*(Wo - W) - k*max(W - Ws, 0)``: what touches the coil leaves it saturated at the
    surface's temperature.

    Args:
        ratio: ``W``, kg of vapour per kg of dry air.
        capacity_kg_per_s: ``M/dt``.
        make_up_kg_per_s: ``mu``, outdoor air in and as much hall air out.
        outdoor: ``Wo``.
        contact_kg_per_s: ``k``, air that touches the coil.
        surface: ``Ws``, saturated at the temperature of the surface.
    """
    mass = capacity_kg_per_s + make_up_kg_per_s
    held = capacity_kg_per_s * ratio + make_up_kg_per_s * outdoor
    dry = held / mass
    wet = (held + contact_kg_per_s * surface) / (mass + contact_kg_per_s)
    after: float = where(dry > surface, wet, dry)
    return after


@law
def condensed_kg_per_s(ratio_next: float, contact_kg_per_s: float, surface: float) -> float:
    """Return what the coil condenses, ``k*max(W - Ws, 0)`` with the new ``W``."""
    condensed: float = contact_kg_per_s * maximum(ratio_next - surface, 0.0)
    return condensed


@law
def advance(
    p: Record, q: Record, supply_kg_per_s: float, water_kg_per_s: float
) -> tuple[float, float]:
    """Advance the moisture of the hall by one substep.

    Returns:
        Latent heat the coils take, W; latent heat the make-up air brings, W, negative when dry.
    """
    surface = saturated_ratio(
        p.chw_supply_temp_c + COIL_SURFACE_SHARE * (p.supply_air_temp_c - p.chw_supply_temp_c)
    )
    contact = where(water_kg_per_s > 0.0, q.humidity_coil_contact_ratio * supply_kg_per_s, 0.0)
    p.humidity_ratio = hall_ratio_next(
        ratio=p.humidity_ratio,
        capacity_kg_per_s=q.humidity_air_mass_kg / SUBSTEP_S,
        make_up_kg_per_s=q.humidity_make_up_air_kg_per_s,
        outdoor=p.outdoor_humidity_ratio,
        contact_kg_per_s=contact,
        surface=surface,
    )
    p.dew_point_c = dew_point_c(p.humidity_ratio)
    condensed = condensed_kg_per_s(
        ratio_next=p.humidity_ratio, contact_kg_per_s=contact, surface=surface
    )
    brought = q.humidity_make_up_air_kg_per_s * (p.outdoor_humidity_ratio - p.humidity_ratio)
    return (
        condensed * WATER_EVAPORATION_HEAT_J_PER_KG,
        brought * WATER_EVAPORATION_HEAT_J_PER_KG,
    )


@law
def stored_heat_j(p: Record, q: Record) -> float:
    """Return the latent heat of the vapour in the hall."""
    stored_j: float = q.humidity_air_mass_kg * p.humidity_ratio * WATER_EVAPORATION_HEAT_J_PER_KG
    return stored_j
