"""Dry cooler with adiabatic pads: facility water against outdoor air, cooled by spray when hot.

Water runs through finned coils that fans draw air through. Wet pads before the coils bring the air
towards the wet bulb; they stay dry while dry air is cold enough, which is most of the year. Heat of
the water leaves as warmer air: evaporation on the pads cools air, not the loop, so it is no part of
the plant's energy balance, only of its water.
"""

from typing import Final

from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_EVAPORATION_HEAT_J_PER_KG,
)
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, log, maximum, minimum, where

_NONE: Final = 1e-9
"""Stands for no flow where a law divides by one; the result is not used then."""
FREE_CONVECTION_AIR_RATIO: Final = 0.05
"""Air through the coils with fans at rest, relative to design. Assumption: less than the 0.125 of
open towers, for the air is not lifted by vapour."""


@law
def wetted_share(
    outdoor_temp_c: float, setpoint_c: float, start_below_k: float, ramp_k: float
) -> float:
    """Return the share of pads that is wet, 0 to 1.

    Sections are wetted one after the other from ``start_below_k`` below the water's set point over
    ``ramp_k``: no water as long as dry air can hold the set point. Warmer set points save water.
    """
    above = (outdoor_temp_c - setpoint_c + start_below_k) / ramp_k
    share: float = minimum(maximum(above, 0.0), 1.0)
    return share


@law
def air_entering_temp_c(
    outdoor_temp_c: float, wet_bulb_c: float, effectiveness: float, wetted: float
) -> float:
    """Return the temperature of air behind the pads.

    ``Tdb - w*eps*(Tdb - Twb)``: adiabatic saturation (ASHRAE Handbook, HVAC Systems and Equipment,
    evaporative air cooling); never below the wet bulb.
    """
    depression_k = maximum(outdoor_temp_c - wet_bulb_c, 0.0)
    entering_c: float = outdoor_temp_c - wetted * effectiveness * depression_k
    return entering_c


@law
def crossflow_effectiveness(conductance_w_per_k: float, c_one: float, c_two: float) -> float:
    """Return heat transferred over the most possible, ``Cmin * (Thot,in - Tcold,in)``.

    Cross flow, both streams unmixed (Incropera et al., 7th ed., equation 11.32):
    ``e = 1 - exp((exp(-Cr*NTU**0.78) - 1) * NTU**0.22 / Cr)``, an approximation of the exact
    series.

    Args:
        conductance_w_per_k: UA, W/K.
        c_one: Capacity rate of one stream, W/K.
        c_two: Capacity rate of the other, W/K.
    """
    c_min = minimum(c_one, c_two)
    exchanges = (c_min > 0.0) & (conductance_w_per_k > 0.0)
    ratio = maximum(c_min, _NONE) / maximum(maximum(c_one, c_two), _NONE)
    ntu = maximum(conductance_w_per_k, _NONE) / maximum(c_min, _NONE)
    root = exp(0.22 * log(ntu))
    inner = exp(-ratio * ntu / root) - 1.0
    effectiveness: float = where(exchanges, 1.0 - exp(inner * root / ratio), 0.0)
    return effectiveness


@law
def conductance_ratio(air_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design: ``va**0.5 * vw**0.2``.

    The film on the air side of fins resists most and follows flow to about 0.5 to 0.6; the exponent
    of the water side is small for the same reason (split as for coils of air handlers; assumption).
    """
    ratio: float = exp(
        0.5 * log(maximum(air_flow_ratio, _NONE)) + 0.2 * log(maximum(water_flow_ratio, _NONE))
    )
    return ratio


@law
def leaving_temp_c(
    entering_temp_c: float,
    air_temp_c: float,
    setpoint_c: float,
    effectiveness: float,
    water_w_per_k: float,
    air_w_per_k: float,
) -> float:
    """Return the temperature of the water leaving the cooler.

    ``T - eps*Cmin/Cw*(T - Tair)``; a bypass keeps it from falling below the set point in the cold,
    and it is never warmed.
    """
    share = effectiveness * minimum(water_w_per_k, air_w_per_k) / maximum(water_w_per_k, _NONE)
    cooled_c = maximum(entering_temp_c - share * (entering_temp_c - air_temp_c), setpoint_c)
    is_idle = (water_w_per_k <= 0.0) | (entering_temp_c <= maximum(air_temp_c, setpoint_c))
    leaving_c: float = where(is_idle, entering_temp_c, cooled_c)
    return leaving_c


@law
def air_w_per_k(air_kg_per_s: float) -> float:
    """Return the capacity rate of an air stream, ``m*cp``."""
    return air_kg_per_s * AIR_SPECIFIC_HEAT_J_PER_KG_K


@law
def evaporation_kg_per_s(air_kg_per_s: float, cooled_k: float) -> float:
    """Return water evaporated on the pads: ``m_air*cp*dT/hfg``, what cooled the air."""
    return air_kg_per_s * AIR_SPECIFIC_HEAT_J_PER_KG_K * cooled_k / WATER_EVAPORATION_HEAT_J_PER_KG


@law
def makeup_kg_per_s(evaporation: float, concentration_cycles: float) -> float:
    """Return make-up water of the pads, evaporation and bleed: ``E*n/(n - 1)``; no drift."""
    return evaporation * concentration_cycles / (concentration_cycles - 1.0)
