"""Water of an evaporative tower."""

from coolcap_envs.physics.constants import WATER_EVAPORATION_HEAT_J_PER_KG
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum


@law
def evaporation_kg_per_s(heat_w: float, latent_share: float) -> float:
    """Return water evaporated to reject ``heat_w``: ``share * Q / hfg``.

    The rest of the heat leaves as warmer air. The share is about 0.8 over a year and falls in cold
    weather, which is neglected.
    """
    evaporated: float = latent_share * maximum(heat_w, 0.0) / WATER_EVAPORATION_HEAT_J_PER_KG
    return evaporated


@law
def makeup_kg_per_s(
    evaporation: float, water_flow_kg_per_s: float, drift_share: float, concentration_cycles: float
) -> float:
    """Return make-up water: evaporation, drift and blowdown.

    Blowdown keeps dissolved solids at ``n`` times those of the make-up: ``B = E/(n - 1) - D``
    (EnergyPlus Engineering Reference, cooling towers).

    Args:
        evaporation: Water evaporated, kg/s.
        water_flow_kg_per_s: Water circulating over the tower.
        drift_share: Droplets lost, share of the circulating flow.
        concentration_cycles: ``n``, greater than 1.
    """
    drift = drift_share * water_flow_kg_per_s
    blowdown = maximum(evaporation / (concentration_cycles - 1.0) - drift, 0.0)
    makeup: float = evaporation + drift + blowdown
    return makeup
