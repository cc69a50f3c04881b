"""Facility water: the loop between CDUs and dry coolers, of an ASHRAE class (W32 to W45)."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum


@law
def supply_setpoint_c(
    coolant_setpoint_c: float, approach_k: float, low_c: float, high_c: float
) -> float:
    """Return the temperature the building management system holds facility water at.

    It follows the coolant's set point at the distance the heat exchangers need and stays within
    what the loop is built for: a loop of class W40 is not run warmer than 40 °C, however warm the
    coolant may be, and no colder than its lowest supply. A warmer set point lets fans rest.
    """
    held_c: float = minimum(maximum(coolant_setpoint_c - approach_k, low_c), high_c)
    return held_c
