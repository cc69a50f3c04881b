"""Air between CRAH and servers: recirculation, and what happens when supply falls short."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, where


@law
def supply_shortage_ratio(supply_kg_per_s: float, cold_demand_kg_per_s: float) -> float:
    """Return the share of the servers' demand for cold air that the CRAH does not deliver.

    Servers move the air they want. When the CRAH moves less, containment leaks backwards and the
    rest comes from the hot aisle: the shortage adds to every rack's recirculation, which is why
    slowing CRAH fans below IT flow never pays.
    """
    missing = 1.0 - supply_kg_per_s / maximum(cold_demand_kg_per_s, 1e-9)
    shortage: float = where(supply_kg_per_s >= cold_demand_kg_per_s, 0.0, missing)
    return shortage


@law
def recirculation_with_shortage(recirculation_ratio: float, shortage_ratio: float) -> float:
    """Return the share of a server's intake that comes from the hot aisle.

    ``r' = r + (1 - r)*s``: what containment always lets through, plus the shortage.
    """
    return recirculation_ratio + (1.0 - recirculation_ratio) * shortage_ratio


@law
def inlet_temp_c(
    cold_aisle_temp_c: float, hot_aisle_temp_c: float, recirculation_ratio: float
) -> float:
    """Return the temperature of air entering a server, mixed from both aisles."""
    return cold_aisle_temp_c + recirculation_ratio * (hot_aisle_temp_c - cold_aisle_temp_c)


@law
def hall_temps_next_c(
    cold_temp_c: float,
    hot_temp_c: float,
    cold_capacity_w_per_k: float,
    hot_capacity_w_per_k: float,
    supply_w_per_k: float,
    heat_w: float,
    supply_slope: float,
    supply_offset_c: float,
) -> tuple[float, float]:
    """Return cold- and hot-aisle temperatures one substep later (implicit Euler, two nodes).

    ``Cc dTc/dt = ms*cp*(Ts - Tc)`` and ``Ch dTh/dt = Q + ms*cp*(Tc - Th)``: what the servers take
    in and give out cancels except for their heat, whichever aisle it came from. The supply air is
    made from the return air, ``Ts = slope*Th + offset`` (coil and fan), so the four unknowns are
    solved together. Neglected: heat through walls, and layers within an aisle.

    Args:
        cold_temp_c: Cold-aisle temperature now.
        hot_temp_c: Hot-aisle temperature now.
        cold_capacity_w_per_k: ``Cc/dt``.
        hot_capacity_w_per_k: ``Ch/dt``.
        supply_w_per_k: ``ms*cp``, capacity rate of the supply air.
        heat_w: ``Q``, heat the servers and what else stands in the hall give to the air.
        supply_slope: Change of supply-air temperature per kelvin of return air.
        supply_offset_c: Supply-air temperature at a return air of 0 °C.
    """
    kept = cold_capacity_w_per_k / (cold_capacity_w_per_k + supply_w_per_k)
    # Tc' = kept*Tc + (1 - kept)*(slope*Th' + offset), put into the hot-aisle balance:
    constant_c = kept * cold_temp_c + (1.0 - kept) * supply_offset_c
    slope = (1.0 - kept) * supply_slope
    hot_next_c = (hot_capacity_w_per_k * hot_temp_c + heat_w + supply_w_per_k * constant_c) / (
        hot_capacity_w_per_k + supply_w_per_k * (1.0 - slope)
    )
    return constant_c + slope * hot_next_c, hot_next_c
