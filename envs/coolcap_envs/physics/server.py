"""The server around its GPUs: fans driven by inlet temperature, power-supply losses."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum


@law
def fan_target_ratio(
    power_ratio: float,
    inlet_temp_c: float,
    min_ratio: float,
    max_ratio: float,
    knee_temp_c: float,
    slope_per_k: float,
) -> float:
    """Return the fan speed the server's own controller aims at, relative to design.

    ``v = (vmin + (1 - vmin)*P/P0) * (1 + b*max(Tin - Tknee, 0))``, bounded. Speeding up with inlet
    temperature is what makes warm inlets cost IT power. Neglected: control on component
    temperatures, which differs by vendor.
    """
    by_load = min_ratio + (1.0 - min_ratio) * power_ratio
    by_inlet = 1.0 + slope_per_k * maximum(inlet_temp_c - knee_temp_c, 0.0)
    target: float = minimum(maximum(by_load * by_inlet, min_ratio), max_ratio)
    return target


@law
def fan_power_w(speed_ratio: float, design_power_w: float) -> float:
    """Return server-fan power: affinity law, ``P = P0 * v**3`` (no static pressure to hold)."""
    return design_power_w * speed_ratio * speed_ratio * speed_ratio


@law
def supply_loss_w(
    output_w: float, fixed_w: float, linear_ratio: float, square_per_w: float
) -> float:
    """Return the loss of a power supply: ``a*Prated + b*P + c*P**2/Prated``.

    No-load loss, voltage drops of semiconductors, resistance; the coefficients are shares of the
    rating (``SERVER_PARAMETERS``).
    """
    return fixed_w + output_w * (linear_ratio + output_w * square_per_w)


@law
def lag_ratio(dt_s: float, time_constant_s: float) -> float:
    """Return the share of a step a first-order lag takes in one substep (implicit Euler)."""
    return dt_s / (dt_s + time_constant_s)
