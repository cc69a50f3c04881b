"""Air handler with a chilled-water coil (CRAH): heat exchange, fan, valve.

The coil is dry. That holds while the chilled water is above the hall's dew point less about 2 K;
below it a real coil also condenses water and needs more cooling for the same air.
"""

import math

from coolcap_envs.physics.jit import law


@law
def conductance_ratio(air_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design: ``(ma/ma0)**0.6 * (mw/mw0)**0.4``.

    Turbulent convection gives each side's own conductance an exponent of 0.6 to 0.8 (Incropera et
    al., 7th ed., chapters 7 and 8); in the overall conductance the air side, which resists more,
    keeps most of it. The split is an engineering assumption.
    """
    return math.exp(0.6 * math.log(air_flow_ratio) + 0.4 * math.log(water_flow_ratio))


@law
def counterflow_effectiveness(conductance_w_per_k: float, c_one: float, c_two: float) -> float:
    """Return heat transferred over the most possible, ``Cmin * (Thot,in - Tcold,in)``.

    Epsilon-NTU, counterflow (Incropera et al., 7th ed., equations 11.29a and 11.29b).

    Args:
        conductance_w_per_k: UA, W/K.
        c_one: Capacity rate of one stream, W/K.
        c_two: Capacity rate of the other, W/K.
    """
    c_min = min(c_one, c_two)
    c_max = max(c_one, c_two)
    if c_min <= 0.0:
        return 0.0
    ratio = c_min / c_max
    ntu = conductance_w_per_k / c_min
    if ratio > 0.999:
        return ntu / (1.0 + ntu)
    e = math.exp(-ntu * (1.0 - ratio))
    return (1.0 - e) / (1.0 - ratio * e)


@law
def fan_power_w(speed_ratio: float, design_power_w: float, exponent: float) -> float:
    """Return CRAH fan power, ``P = P0 * x**n``.

    ``n`` is below 3 because the under-floor or aisle pressure is held at a set point.
    """
    if speed_ratio <= 0.0:
        return 0.0
    return design_power_w * math.exp(exponent * math.log(speed_ratio))


@law
def equal_percentage_flow_ratio(valve_ratio: float, rangeability: float) -> float:
    """Return water flow relative to the open valve: ``R**(x - 1)``.

    Inherent characteristic (IEC 60534-2-4); pressure across the valve is taken as constant. A
    closed valve passes ``1/R``.
    """
    return math.exp((valve_ratio - 1.0) * math.log(rangeability))
