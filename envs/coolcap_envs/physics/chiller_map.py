"""A chiller from its catalogue: a map inside the map's bounds, a machine limited by lift beyond.

The map has the form of EnergyPlus' ``Chiller:Electric:ReformulatedEIR`` (Engineering Reference,
14.3.9): energy input ratio (EIR, power over cooling) as a biquadratic of leaving chilled and
leaving condenser water times a quadratic of part load. Outside the bounds a polynomial promises
anything, so it is asked at the nearest point inside and carried on with the ratio of the Carnot law
of :mod:`coolcap_envs.physics.chiller` between there and here: continuous, and limited by lift.
"""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import minimum


@law
def energy_input_ratio(
    chw_leaving_temp_c: float,
    cw_leaving_temp_c: float,
    load_ratio: float,
    constant: float,
    chw: float,
    chw_square: float,
    cw: float,
    cw_square: float,
    product: float,
    part_linear: float,
    part_square: float,
) -> float:
    """Return power over cooling by a catalogue map.

    ``EIR = (a0 + a1*Te + a2*Te**2 + a3*Tc + a4*Tc**2 + a5*Te*Tc) * (b0 + b1*x + b2*x**2) / x`` with
    ``b0 = 1 - b1 - b2``, so that the second factor is 1 at full load.

    Args:
        chw_leaving_temp_c: ``Te``, inside the bounds of the map.
        cw_leaving_temp_c: ``Tc``, likewise.
        load_ratio: ``x``, cooling over capacity, above the load at which the machine cycles.
        constant: ``a0``, 1.
        chw: ``a1``, 1/K.
        chw_square: ``a2``, 1/K².
        cw: ``a3``, 1/K.
        cw_square: ``a4``, 1/K².
        product: ``a5``, 1/K².
        part_linear: ``b1``.
        part_square: ``b2``.
    """
    full = (
        constant
        + chw_leaving_temp_c * (chw + chw_square * chw_leaving_temp_c)
        + cw_leaving_temp_c * (cw + cw_square * cw_leaving_temp_c + product * chw_leaving_temp_c)
    )
    part = 1.0 - part_linear - part_square + load_ratio * (part_linear + load_ratio * part_square)
    return full * part / load_ratio


@law
def extended_cop(
    energy_input_ratio_inside: float, carnot_cop: float, carnot_cop_inside: float, cop_max: float
) -> float:
    """Return the coefficient of performance (COP) here.

    ``COPmap(inside) * COPcarnot(here) / COPcarnot(inside)``, at most ``cop_max``. Inside the
    bounds both Carnot numbers are equal and the map speaks alone.

    Args:
        energy_input_ratio_inside: EIR of the map at the nearest point inside its bounds.
        carnot_cop: The Carnot law here.
        carnot_cop_inside: The Carnot law at that point.
        cop_max: Ceiling.
    """
    cop: float = minimum(carnot_cop / (carnot_cop_inside * energy_input_ratio_inside), cop_max)
    return cop
