"""Cold plates: what coolant takes from GPUs and hosts, and how warm it leaves the racks.

All plates of a hall see the same coolant, in parallel: manifolds are balanced, so each GPU gets
its share of the flow whatever the others do. Neglected: flow that differs between trays (a few per
cent with balanced manifolds) and boiling, which water and glycol below 65 °C do not do.
"""

from typing import Final

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, maximum, where

_NONE: Final = 1e-9
"""Stands for no flow where a law divides by one; the result is not used then."""


@law
def plate_conductance_w_per_k(resistance_k_per_w: float, coolant_w_per_k: float) -> float:
    """Return heat taken by the coolant per kelvin of plate above the entering coolant.

    Epsilon-NTU of a stream along an isothermal wall (Incropera et al., 7th ed., equation 11.35a):
    ``G = C*(1 - exp(-1/(R*C)))``. With one ``R`` it describes the resistance case to inlet of an
    open 1 kW accelerator cold plate (OCP OAM, 25 % propylene glycol, 0.4 to 2.4 L/min, as in
    LBL Modelica Buildings) within 3 % from 0.8 L/min up and 10 % below. The leaving coolant never
    gets warmer than the plate, at any flow.

    Args:
        resistance_k_per_w: ``R``, plate to coolant beside it.
        coolant_w_per_k: ``C``, capacity rate of the coolant through this plate.
    """
    transfer_units = 1.0 / (resistance_k_per_w * maximum(coolant_w_per_k, _NONE))
    conductance: float = coolant_w_per_k * (1.0 - exp(-transfer_units))
    return conductance


@law
def leaving_temp_c(entering_temp_c: float, heat_w: float, coolant_w_per_k: float) -> float:
    """Return the temperature of coolant behind the plates, ``T + q/C``; of still coolant, ``T``."""
    warmed_k = where(coolant_w_per_k > 0.0, heat_w / maximum(coolant_w_per_k, _NONE), 0.0)
    leaving_c: float = entering_temp_c + warmed_k
    return leaving_c
