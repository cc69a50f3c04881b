"""The cliff near a GPU's least power limit."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum


@law
def floor_clock_ratio(cap_w: float, cliff_cap_w: float, slope_per_w: float) -> float:
    """Return the highest clock under a cap near the least limit, ``1 - s*max(Pc - P, 0)``.

    Sweeps of A40 and RTX 3090 fall off a cliff between 1.25 and 1.5 times the least limit: devices
    there throttle by whole steps of performance instead of by voltage, and throughput at the least
    limit is 0.14 to 0.35 of that without a cap (Zeus traces; llmgarage.ai). V100 shows none. From
    ``Pc`` up nothing changes. Neglected: how it falls between, where sources disagree.

    Args:
        cap_w: ``P``, the cap.
        cliff_cap_w: ``Pc``, where the cliff begins.
        slope_per_w: ``s``, clock lost per watt below it.
    """
    ratio: float = 1.0 - slope_per_w * maximum(cliff_cap_w - cap_w, 0.0)
    return ratio
