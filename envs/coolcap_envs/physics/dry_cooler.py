"""Dry cooler with adiabatic pads: facility water against outdoor air, cooled by spray when hot.

Water runs through finned coils that fans draw air through. Wet pads before the coils bring the air
towards the wet bulb; they stay dry while dry air is cold enough, which is most of the year. Heat of
the water leaves as warmer air: evaporation on the pads cools air, not the loop, so it is no part of
the plant's energy balance, only of its water.
"""

import math
from typing import Final

from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_EVAPORATION_HEAT_J_PER_KG,
)
from coolcap_envs.physics.jit import law

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
    return min(max((outdoor_temp_c - setpoint_c + start_below_k) / ramp_k, 0.0), 1.0)


@law
def air_entering_temp_c(
    outdoor_temp_c: float, wet_bulb_c: float, effectiveness: float, wetted: float
) -> float:
    """Return the temperature of air behind the pads.

    ``Tdb - w*eps*(Tdb - Twb)``: adiabatic saturation (ASHRAE Handbook, HVAC Systems and Equipment,
    evaporative air cooling); never below the wet bulb.
    """
    return outdoor_temp_c - wetted * effectiveness * max(outdoor_temp_c - wet_bulb_c, 0.0)


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
    c_min = min(c_one, c_two)
    if c_min <= 0.0 or conductance_w_per_k <= 0.0:
        return 0.0
    ratio = c_min / max(c_one, c_two)
    ntu = conductance_w_per_k / c_min
    root = math.exp(0.22 * math.log(ntu))
    inner = math.exp(-ratio * ntu / root) - 1.0
    return 1.0 - math.exp(inner * root / ratio)


@law
def conductance_ratio(air_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design: ``va**0.5 * vw**0.2``.

    The film on the air side of fins resists most and follows flow to about 0.5 to 0.6; the exponent
    of the water side is small for the same reason (split as for coils of air handlers; assumption).
    """
    return math.exp(0.5 * math.log(air_flow_ratio) + 0.2 * math.log(water_flow_ratio))


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
    if water_w_per_k <= 0.0 or entering_temp_c <= max(air_temp_c, setpoint_c):
        return entering_temp_c
    share = effectiveness * min(water_w_per_k, air_w_per_k) / water_w_per_k
    return max(entering_temp_c - share * (entering_temp_c - air_temp_c), setpoint_c)


@law
def evaporation_kg_per_s(air_kg_per_s: float, cooled_k: float) -> float:
    """Return water evaporated on the pads: ``m_air*cp*dT/hfg``, what cooled the air."""
    return air_kg_per_s * AIR_SPECIFIC_HEAT_J_PER_KG_K * cooled_k / WATER_EVAPORATION_HEAT_J_PER_KG


@law
def makeup_kg_per_s(evaporation: float, concentration_cycles: float) -> float:
    """Return make-up water of the pads, evaporation and bleed: ``E*n/(n - 1)``; no drift."""
    return evaporation * concentration_cycles / (concentration_cycles - 1.0)
