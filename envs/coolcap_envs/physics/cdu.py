"""Coolant distribution unit (CDU): a plate heat exchanger between two loops, pump, dew-point guard.

The technology cooling loop takes coolant to the cold plates, the facility loop takes the heat away.
A valve on the facility side holds the temperature of the coolant supplied. Devices of a hall act as
one. Neglected: fouling, which randomisation of the conductance stands for, and loss through pipes.
"""

import math

from coolcap_envs.physics.jit import law


@law
def exchanger_conductance_ratio(coolant_flow_ratio: float, water_flow_ratio: float) -> float:
    """Return UA relative to design, ``2/(v1**-0.8 + v2**-0.8)``.

    Turbulent films on both sides of thin plates, each ``h ~ m**0.8`` (Dittus-Boelter, Incropera et
    al., 7th ed., equation 8.60), in series and equal at design. Plate patterns differ: exponents of
    0.6 to 0.8 are in use.
    """
    if coolant_flow_ratio <= 0.0 or water_flow_ratio <= 0.0:
        return 0.0
    one = math.exp(-0.8 * math.log(coolant_flow_ratio))
    other = math.exp(-0.8 * math.log(water_flow_ratio))
    return 2.0 / (one + other)


@law
def guarded_setpoint_c(setpoint_c: float, dew_point_c: float, margin_k: float) -> float:
    """Return the set point a CDU acts on: never below the room's dew point and a margin.

    Bare pipes and manifolds below the dew point drip on the equipment. Every CDU has this guard in
    its own controller (ASHRAE TC 9.9, liquid cooling guidelines: at least 2 K); it works on a
    dew point measured in the hall and does not depend on who sends set points.
    """
    return max(setpoint_c, dew_point_c + margin_k)


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
