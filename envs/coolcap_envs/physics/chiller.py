"""Water-cooled chiller: efficiency from the lift, bounded where a fit would run away.

Catalogue polynomials (EnergyPlus ``Chiller:Electric:EIR``) hold only up to 12.8 °C of leaving
water; extrapolated to the 20 °C of a data centre they give coefficients of performance (COP) of
hundreds or below zero. This form is a Carnot machine against an enlarged lift. Fitted to each of
157 catalogue maps inside their bounds it has a mean error of 1.7 % in the median map and 3.6 % in
the ninth tenth; outside it stays a machine. Neglected: surge, loss of capacity with lift, and
staging, which stays with the building management system; several machines act as one.
"""

from coolcap_envs.physics.constants import KELVIN_AT_ZERO_C
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, where


@law
def part_load_factor(load_ratio: float, best_load_ratio: float, curvature: float) -> float:
    """Return efficiency at part load over the best, ``1 - k*(x - x0)**2``.

    In 157 catalogue maps the best load is 0.67 to 0.91 and ``k`` 0.6 to 1.05 (quartiles).
    """
    off = load_ratio - best_load_ratio
    factor: float = maximum(1.0 - curvature * off * off, 0.5)
    return factor


@law
def coefficient_of_performance(
    chw_leaving_temp_c: float,
    cw_leaving_temp_c: float,
    evaporator_approach_k: float,
    condenser_approach_k: float,
    lift_min_k: float,
    lift_loss_k: float,
    carnot_scale: float,
    part_load: float,
    cop_max: float,
) -> float:
    """Return heat taken from the chilled water over compressor power.

    ``COP = s * g * Tevap / (max(Tcond - Tevap, lift_min) + d)``, Tevap in K, at most ``cop_max``.
    Refrigerant evaporates an approach below the leaving chilled water and condenses an approach
    above the leaving condenser water. The loss ``d`` stands for what does not vanish with the lift
    (compressor, throttling, superheat); without it low lifts look far too good.
    """
    evaporating_c = chw_leaving_temp_c - evaporator_approach_k
    lift_k = maximum(cw_leaving_temp_c + condenser_approach_k - evaporating_c, lift_min_k)
    cop = carnot_scale * part_load * (evaporating_c + KELVIN_AT_ZERO_C) / (lift_k + lift_loss_k)
    bounded: float = minimum(cop, cop_max)
    return bounded


@law
def leaving_temp_c(
    entering_temp_c: float, wanted_temp_c: float, capacity_w: float, flow_w_per_k: float
) -> float:
    """Return the temperature of the water leaving a cooler of limited capacity.

    It is cooled to ``wanted_temp_c`` if the capacity suffices, never heated.
    """
    coldest_c = entering_temp_c - capacity_w / maximum(flow_w_per_k, 1e-9)
    is_idle = (flow_w_per_k <= 0.0) | (entering_temp_c <= wanted_temp_c)
    leaving_c: float = where(is_idle, entering_temp_c, maximum(wanted_temp_c, coldest_c))
    return leaving_c


@law
def wanted_running(
    running: bool,
    since_change_s: float,
    hold_s: float,
    entering_temp_c: float,
    setpoint_c: float,
    start_band_k: float,
    stop_band_k: float,
) -> bool:
    """Return whether the plant control runs the chiller, with bands and a holding time.

    It starts when water enters more than ``start_band_k`` above the set point and stops when the
    economizer brings it within ``stop_band_k``, each not before ``hold_s`` after the last change.
    """
    is_due = entering_temp_c - setpoint_c > where(running, stop_band_k, start_band_k)
    wanted: bool = where(since_change_s < hold_s, running, is_due)
    return wanted
