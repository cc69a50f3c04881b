"""Pumps with variable-speed drives."""

import math

from coolcap_envs.physics.jit import law


@law
def pump_power_w(
    flow_ratio: float, design_power_w: float, min_flow_ratio: float, exponent: float
) -> float:
    """Return pump power, ``P = P0 * max(x, xmin)**n``; zero at a standstill.

    ``n`` is 2 to 2.5 when a differential pressure is held, 3 when it is reset with flow. All of it
    ends as heat in the water. Neglected: the fall of drive efficiency below 30 % speed.
    """
    if flow_ratio <= 0.0:
        return 0.0
    return design_power_w * math.exp(exponent * math.log(max(flow_ratio, min_flow_ratio)))
