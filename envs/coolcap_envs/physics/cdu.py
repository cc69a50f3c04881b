"""Coolant distribution unit (CDU): a plate heat exchanger between two loops, pump, dew-point guard.

The technology cooling loop takes coolant to the cold plates, the facility loop takes the heat away.
A valve on the facility side holds the temperature of the coolant supplied. Devices of a hall act as
one. Neglected: fouling, which randomisation of the conductance stands for, and loss through pipes.
"""

from typing import Final

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, log, maximum, where

_NONE: Final = 1e-9
"""Stands for no flow where a law takes its logarithm; the result is not used then."""


@law
def exchanger_conductance_ratio(coolant_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design, ``2/(v1**-0.8 + v2**-0.8)``.

    Turbulent films on both sides of thin plates, each ``h ~ m**0.8`` (Dittus-Boelter, Incropera et
    al., 7th ed., equation 8.60), in series and equal at design. Plate patterns differ: exponents of
    0.6 to 0.8 are in use.
    """
    one = exp(-0.8 * log(maximum(coolant_flow_ratio, _NONE)))
    other = exp(-0.8 * log(maximum(water_flow_ratio, _NONE)))
    flows = (coolant_flow_ratio > 0.0) & (water_flow_ratio > 0.0)
    ratio: float = where(flows, 2.0 / (one + other), 0.0)
    return ratio


@law
def guarded_setpoint_c(setpoint_c: float, dew_point_c: float, margin_k: float) -> float:
    """Return the set point a CDU acts on: never below the room's dew point and a margin.

    Bare pipes and manifolds below the dew point drip on the equipment. Every CDU has this guard in
    its own controller (ASHRAE TC 9.9, liquid cooling guidelines: at least 2 K); it works on a
    dew point measured in the hall and does not depend on who sends set points.
    """
    guarded_c: float = maximum(setpoint_c, dew_point_c + margin_k)
    return guarded_c


@law
def volume_temp_next_c(
    temp_c: float, capacity_w_per_k: float, flow_w_per_k: float, inlet_temp_c: float
) -> float:
    """Return the temperature of a mixed volume one substep later (explicit Euler).

    ``C (T' - T)/dt = m*c*(Tin - T)``: what left in the substep left at ``T``, which is what the
    next device took in. Stable while a substep's flow is less than the volume.

    Args:
        temp_c: ``T``.
        capacity_w_per_k: ``C/dt``, at least ``flow_w_per_k``.
        flow_w_per_k: ``m*c``.
        inlet_temp_c: ``Tin``.
    """
    return temp_c + flow_w_per_k / capacity_w_per_k * (inlet_temp_c - temp_c)
