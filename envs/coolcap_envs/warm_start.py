"""The state an episode starts from: a guess, then half an hour under default setpoints."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics import hall, psychrometrics
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.constants import STANDARD_PRESSURE_PA
from coolcap_envs.physics.records import SUBSTEP_S

_PIECE_SUBSTEPS: Final = 60
_PIECES: Final = 6
_COUNTERS: Final = (
    "it_energy_j",
    "cooling_energy_j",
    "facility_energy_j",
    "makeup_water_kg",
    "pad_water_kg",
    "dry_cooler_heat_j",
    "moisture_heat_j",
    "cost_usd",
    "carbon_g",
    "step",
)
_GROUP_COUNTERS: Final = (
    "it_energy_j",
    "work_gpu_s",
    "offered_gpu_s",
    "lost_gpu_s",
    "backlog_s",
)


def start_warm(batch: Batch, chosen: NDArray[np.int64]) -> None:
    """Set the state of the plants ``chosen``, whose inputs, parameters and time are set."""
    part = batch.take(chosen)
    start_s = part.plant["time_s"].copy()
    _guess(part)
    hall.settle(part)
    for _ in range(_PIECES):
        part.plant["time_s"] = start_s  # the weather of the first moment throughout
        hall.advance(part, substeps=_PIECE_SUBSTEPS)
    part.plant["time_s"] = start_s
    for name in _COUNTERS:
        part.plant[name] = 0
    for name in _GROUP_COUNTERS:
        part.groups[name] = 0.0
    batch.put(chosen, part)


def _guess(part: Batch) -> None:
    """Write a state near balance for the setpoints in force."""
    p, i, q, g = part.plant, part.inputs, part.parameters, part.groups
    supply_c = i["supply_air_setpoint_c"]
    p["cold_temp_c"] = supply_c
    p["supply_air_temp_c"] = supply_c
    p["hot_temp_c"] = supply_c + 12.0
    p["crah_fan_ratio"] = i["air_flow_setpoint_ratio"]
    p["valve_ratio"] = 0.7
    p["valve_integral"] = 0.7
    p["cold_demand_kg_per_s"] = 0.0
    p["chw_wanted_temp_c"] = i["chw_setpoint_c"]
    p["chw_leaving_temp_c"] = i["chw_setpoint_c"]
    p["chw_supply_temp_c"] = i["chw_setpoint_c"]
    p["chw_return_temp_c"] = i["chw_setpoint_c"] + 7.0
    p["pipe_fill_temp_c"] = i["chw_setpoint_c"]
    part.pipes_c[:] = i["chw_setpoint_c"][:, None]
    p["pipe_head"] = 0
    p["pipe_shift"] = 0.0
    p["chiller_running"] = 1.0
    p["chiller_ramp_ratio"] = 1.0
    p["chiller_since_change_s"] = q["chiller_hold_s"] + SUBSTEP_S
    p["basin_temp_c"] = np.maximum(i["cw_setpoint_c"], q["cw_supply_temp_min_c"])
    p["cw_leaving_temp_c"] = p["basin_temp_c"] + 4.0
    p["tower_fan_ratio"] = 0.4
    p["tower_integral"] = 0.4
    p["dew_point_c"] = q["hall_dew_point_c"]
    p["humidity_ratio"] = psychrometrics.humidity_ratio(
        vapour_pressure_pa=psychrometrics.saturation_pressure_pa(
            float(q["hall_dew_point_c"].flat[0])
        ),
        pressure_pa=STANDARD_PRESSURE_PA,
    )
    coolant_c = i["cdu_supply_setpoint_c"]
    p["cdu_pump_ratio"] = i["cdu_flow_setpoint_ratio"]
    p["cdu_valve_ratio"] = p["cdu_valve_integral"] = 0.7
    p["cdu_supply_temp_c"] = coolant_c
    p["cdu_return_temp_c"] = coolant_c + 8.0
    p["facility_supply_temp_c"] = coolant_c - q["facility_water_approach_k"]
    p["facility_return_temp_c"] = p["facility_supply_temp_c"] + 8.0
    p["dry_cooler_fan_ratio"] = p["dry_cooler_integral"] = 0.4
    g["fan_ratio"] = 0.6
    g["throttle_ratio"] = 1.0
    g["stopped"] = 0.0
    around_c = coolant_c if part.has_liquid else supply_c
    g["sink_temp_c"] = around_c[:, None] + 15.0
    g["die_temp_c"] = around_c[:, None] + 25.0
    g["work_class"] = -1.0  # none yet, so that its numbers are looked up
