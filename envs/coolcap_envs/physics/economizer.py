"""Waterside economizer: a plate heat exchanger between tower water and return water."""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, where


@law
def precooled_temp_c(
    return_temp_c: float,
    tower_water_temp_c: float,
    setpoint_c: float,
    effectiveness: float,
    chw_w_per_k: float,
    cw_w_per_k: float,
    min_difference_k: float,
) -> float:
    """Return the chilled-water temperature behind the exchanger.

    ``T = Tret - eps * Cmin/Cchw * (Tret - Tcw)``: in series before the chiller, so it helps
    whenever the tower water is ``min_difference_k`` colder than the return. A bypass keeps it from
    cooling below the set point.
    """
    difference_k = return_temp_c - tower_water_temp_c
    share = effectiveness * minimum(chw_w_per_k, cw_w_per_k) / maximum(chw_w_per_k, 1e-9)
    cooled_c = maximum(return_temp_c - share * difference_k, setpoint_c)
    is_closed = (
        (difference_k <= min_difference_k) | (chw_w_per_k <= 0.0) | (return_temp_c <= setpoint_c)
    )
    precooled_c: float = where(is_closed, return_temp_c, cooled_c)
    return precooled_c
