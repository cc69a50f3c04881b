"""Air handler with a chilled-water coil (CRAH): heat exchange, fan, valve.

The coil is dry. That holds while the chilled water is above the hall's dew point less about 2 K;
below it a real coil also condenses water and needs more cooling for the same air.
"""

from typing import Final

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, log, maximum, minimum, where

_FLOW_MIN_W_PER_K: Final = 1e-9
"""Stands for no flow where a law divides by one."""


@law
def conductance_ratio(air_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design: ``(ma/ma0)**0.6 * (mw/mw0)**0.4``.

    Turbulent convection gives each side's own conductance an exponent of 0.6 to 0.8 (Incropera et
    al., 7th ed., chapters 7 and 8); in the overall conductance the air side, which resists more,
    keeps most of it. The split is an engineering assumption.
    """
    ratio: float = exp(0.6 * log(air_flow_ratio) + 0.4 * log(water_flow_ratio))
    return ratio


@law
def counterflow_effectiveness(conductance_w_per_k: float, c_one: float, c_two: float) -> float:
    """Return heat transferred over the most possible, ``Cmin * (Thot,in - Tcold,in)``.

    Epsilon-NTU, counterflow (Incropera et al., 7th ed., equations 11.29a and 11.29b).

    Args:
        conductance_w_per_k: UA, W/K.
        c_one: Capacity rate of one stream, W/K.
        c_two: Capacity rate of the other, W/K.
    """
    c_min = minimum(c_one, c_two)
    c_max = maximum(c_one, c_two)
    ratio = c_min / maximum(c_max, _FLOW_MIN_W_PER_K)
    ntu = conductance_w_per_k / maximum(c_min, _FLOW_MIN_W_PER_K)
    e = exp(-ntu * (1.0 - ratio))
    is_balanced = ratio > 0.999
    transferred = where(is_balanced, ntu, 1.0 - e) / where(is_balanced, 1.0 + ntu, 1.0 - ratio * e)
    effectiveness: float = where(c_min <= 0.0, 0.0, transferred)
    return effectiveness


@law
def fan_power_w(speed_ratio: float, design_power_w: float, exponent: float) -> float:
    """Return CRAH fan power, ``P = P0 * x**n``.

    ``n`` is below 3 because the under-floor or aisle pressure is held at a set point.
    """
    moving_w = design_power_w * exp(exponent * log(maximum(speed_ratio, 1e-9)))
    power_w: float = where(speed_ratio <= 0.0, 0.0, moving_w)
    return power_w


@law
def equal_percentage_flow_ratio(valve_ratio: float, rangeability: float) -> float:
    """Return water flow relative to the open valve: ``R**(x - 1)``.

    Inherent characteristic (IEC 60534-2-4); pressure across the valve is taken as constant. A
    closed valve passes ``1/R``.
    """
    ratio: float = exp((valve_ratio - 1.0) * log(rangeability))
    return ratio
