"""Open cooling tower: approach to the wet bulb, fan.

The York correlation gives the approach as a polynomial of wet bulb, range and liquid-to-gas ratio,
quadratic in each (27 terms; EnergyPlus Engineering Reference, "YorkCalc"; coefficients as in LBL
Modelica Buildings). Valid for wet bulbs of -34.4 to 26.7 °C, ranges of 1.1 to 22.2 K, approaches of
1.1 to 40 K and water-flow ratios of 0.75 to 1.25; inputs are held inside.
"""

from typing import Final

import numpy as np

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, sqrt, where

APPROACH_MIN_K: Final = 1.1
"""Smallest approach of the correlation, and of real towers."""

FREE_CONVECTION_AIR_RATIO: Final = 0.125
"""Air flow without a fan relative to design. Source: EnergyPlus default for towers."""

_WET_BULB_LOW_C: Final = -34.4
_WET_BULB_HIGH_C: Final = 26.7
_RANGE_LOW_K: Final = 1.1
_RANGE_HIGH_K: Final = 22.2
_LIQUID_TO_GAS_HIGH: Final = 8.0
_DRIVING_DIFFERENCE_HIGH_K: Final = 45.0
"""Water this much above the wet bulb is cooled by no longer range: there the polynomial turns."""

_YORK: Final = np.array(
    [
        [-0.359741205, -0.055053608, 0.0023850432],
        [0.173926877, -0.0248473764, 0.00048430224],
        [-0.005589849456, 0.0005770079712, -1.342427256e-05],
        [2.84765801111111, -0.121765149, 0.0014599242],
        [1.680428651, -0.0166920786, -0.0007190532],
        [-0.025485194448, 4.87491696e-05, 2.719234152e-05],
        [-0.0653766255555556, -0.002278167, 0.0002500254],
        [-0.0910565458, 0.00318176316, 3.8621772e-05],
        [-0.0034285382352, 8.56589904e-06, -1.516821552e-06],
    ]
)
"""Row 3*i + j, column k: coefficient of (L/G)**i * range**j * wet_bulb**k."""


@law
def approach_coefficients(wet_bulb_c: float, liquid_to_gas: float) -> tuple[float, float, float]:
    """Return ``a0, a1, a2`` of ``approach = a0 + a1*R + a2*R**2`` with the range ``R`` in K."""
    wb = minimum(maximum(wet_bulb_c, _WET_BULB_LOW_C), _WET_BULB_HIGH_C)
    lg = minimum(maximum(liquid_to_gas, 0.1), _LIQUID_TO_GAS_HIGH)
    a0 = 0.0
    a1 = 0.0
    a2 = 0.0
    factor = 1.0
    for i in range(3):
        a0 += factor * (_YORK[3 * i, 0] + wb * (_YORK[3 * i, 1] + wb * _YORK[3 * i, 2]))
        a1 += factor * (_YORK[3 * i + 1, 0] + wb * (_YORK[3 * i + 1, 1] + wb * _YORK[3 * i + 1, 2]))
        a2 += factor * (_YORK[3 * i + 2, 0] + wb * (_YORK[3 * i + 2, 1] + wb * _YORK[3 * i + 2, 2]))
        factor *= lg
    return a0, a1, a2


@law
def leaving_temp_c(
    entering_temp_c: float, wet_bulb_c: float, water_flow_ratio: float, air_flow_ratio: float
) -> float:
    """Return the temperature of the water leaving the tower.

    Solves ``T - wb = a0 + a1*R + a2*R**2`` with ``R = Tin - T`` in closed form. Water is never
    cooled to less than ``APPROACH_MIN_K`` above the wet bulb, and never warmed.

    Args:
        entering_temp_c: Water from the condensers.
        wet_bulb_c: Outdoor wet bulb.
        water_flow_ratio: Water flow relative to design, held to 0.75 to 1.25.
        air_flow_ratio: Air flow relative to design; free convection bounds it from below.
    """
    coldest_c = wet_bulb_c + APPROACH_MIN_K
    water = minimum(maximum(water_flow_ratio, 0.75), 1.25)
    air = maximum(air_flow_ratio, FREE_CONVECTION_AIR_RATIO)
    a0, a1, a2 = approach_coefficients(wet_bulb_c=wet_bulb_c, liquid_to_gas=water / air)
    driving_k = minimum(entering_temp_c - wet_bulb_c, _DRIVING_DIFFERENCE_HIGH_K)
    # a2*R**2 + (1 + a1)*R - c = 0 with c = Tin - wb - a0
    b = 1.0 + a1
    c = driving_k - a0
    root = b * b + 4.0 * a2 * c
    # The root that goes to c/b as a2 goes to 0, without cancellation; none is left beyond the
    # turning point of the correlation, where the range is longer than its bound anyway.
    solved_k = 2.0 * c / (b + sqrt(maximum(root, 0.0)))
    range_k = where(root > 0.0, solved_k, _RANGE_HIGH_K)
    # Below the shortest range of the fit the approach goes linearly to none without load.
    at_low_k = a0 + _RANGE_LOW_K * (a1 + _RANGE_LOW_K * a2)
    short_k = driving_k / (1.0 + at_low_k / _RANGE_LOW_K)
    range_k = minimum(where(range_k < _RANGE_LOW_K, short_k, range_k), _RANGE_HIGH_K)
    cooled_c = maximum(entering_temp_c - range_k, coldest_c)
    leaving_c: float = where(entering_temp_c <= coldest_c, entering_temp_c, cooled_c)
    return leaving_c


@law
def fan_power_w(speed_ratio: float, design_power_w: float, min_speed_ratio: float) -> float:
    """Return tower-fan power, ``P = P0 * y**3``.

    Below the lowest speed of the drive the fan cycles at that speed for a share of the time.
    """
    y = maximum(speed_ratio, min_speed_ratio)
    on_share = minimum(speed_ratio / min_speed_ratio, 1.0)
    power_w: float = design_power_w * on_share * y * y * y
    return power_w
