"""Set points that the study of headroom enumerates: fixed sets first, then a grid."""

from itertools import product
from typing import Final

import numpy as np

from coolcap_envs.baselines import FIXED_COOLING
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.trim_respond import PUBLISHED
from coolcap_envs.site import Site

SUPPLY_C: Final = (22.0, 23.0, 24.0, 24.5, 25.0, 25.5)
CHW_C: Final = (12.0, 15.0, 16.5, 18.0)
TOWER_APPROACH_K: Final = (2.5, 4.0, 6.0)
FLOW: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
LIQUID_SUPPLY_C: Final = (24.5,)
LIQUID_CHW_C: Final = (15.0, 18.0)
LIQUID_APPROACH_K: Final = (4.0,)
LIQUID_AIR_FLOW: Final = (0.6, 0.75)
COOLANT_C: Final = (28.0, 31.0, 34.0, 37.0, 40.0, 43.0)
COOLANT_FLOW: Final = (0.55, 0.7, 0.85, 1.0)
"""With liquid cooling the grid is fine where most of the heat goes and coarse in what air takes."""
_COIL_MIN_K: Final = 5.0
"""Water must enter the coils this much below the supply air, or the coil cannot hold it."""

SUPPLY = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
CHW = PLANT_LEVER_COLUMN["chw_supply_temp_setpoint_c"]
CW = PLANT_LEVER_COLUMN["cw_supply_temp_setpoint_c"]
_FLOW = PLANT_LEVER_COLUMN["air_flow_setpoint_ratio"]
_COOLANT = PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"]
_COOLANT_FLOW = PLANT_LEVER_COLUMN["cdu_flow_setpoint_ratio"]


def choices(site: Site) -> tuple[FloatArray, FloatArray]:
    """Return set points and tower approaches of all twins, B0 to B2 first.

    An approach of NaN leaves condenser water at its set point.
    """
    limits = site.limits
    levers: list[FloatArray] = []
    approaches: list[float] = []
    for fixed in FIXED_COOLING.values():
        row = limits.lever_default.copy()
        row[SUPPLY], row[CHW] = fixed.supply_air_temp_c, fixed.chw_supply_temp_c
        follows = np.isnan(fixed.cw_supply_temp_c)
        approaches.append(PUBLISHED.tower_approach_k if follows else np.nan)
        row[CW] = limits.lever_default[CW] if follows else fixed.cw_supply_temp_c
        if site.is_liquid:
            row[_COOLANT] = fixed.cdu_supply_temp_c
        levers.append(row)
    for air, coolant in product(_air(site), _coolant(site)):
        supply_c, chw_c, approach_k, flow = air
        row = limits.lever_default.copy()
        row[SUPPLY], row[CHW], row[_FLOW] = supply_c, chw_c, flow
        row[_COOLANT], row[_COOLANT_FLOW] = coolant
        levers.append(row)
        approaches.append(approach_k)
    stacked = np.clip(np.stack(levers), limits.lever_low, limits.lever_high)
    return stacked, np.array(approaches)


def _air(site: Site) -> list[tuple[float, float, float, float]]:
    grid = (
        product(LIQUID_SUPPLY_C, LIQUID_CHW_C, LIQUID_APPROACH_K, LIQUID_AIR_FLOW)
        if site.is_liquid
        else product(SUPPLY_C, CHW_C, TOWER_APPROACH_K, FLOW)
    )
    return [row for row in grid if row[1] <= row[0] - _COIL_MIN_K]


def _coolant(site: Site) -> list[tuple[float, float]]:
    return list(product(COOLANT_C, COOLANT_FLOW)) if site.is_liquid else [(np.nan, np.nan)]
