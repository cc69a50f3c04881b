"""Pumps with variable-speed drives."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import exp, log, maximum, where


@law
def pump_power_w(
    flow_ratio: float, design_power_w: float, min_flow_ratio: float, exponent: float
) -> float:
    """Return pump power, ``P = P0 * max(x, xmin)**n``; zero at a standstill.

    ``n`` is 2 to 2.5 when a differential pressure is held, 3 when it is reset with flow. All of it
    ends as heat in the water. Neglected: the fall of drive efficiency below 30 % speed.
    """
    running_w = design_power_w * exp(exponent * log(maximum(flow_ratio, min_flow_ratio)))
    power_w: float = where(flow_ratio <= 0.0, 0.0, running_w)
    return power_w
