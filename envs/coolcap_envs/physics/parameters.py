"""Parameters of a simulated plant as a table: name, unit, allowed range and meaning.

A site file gives one number with its source for each row of ``PLANT_PARAMETERS`` under
``[simulation.<table>]`` and for each row of ``SERVER_PARAMETERS`` under
``[simulation.server.<gpu model>]``. The record that kernels read has a field per row.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number of a plant; values outside ``low`` to ``high`` (inclusive) are refused."""

    table: str
    name: str
    unit: str
    low: float
    high: float
    meaning: str

    @property
    def field(self) -> str:
        """Return the name of the record field."""
        return f"{self.table}_{self.name}"


def _of(table: str, *rows: tuple[str, str, float, float, str]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(table=table, name=name, unit=unit, low=low, high=high, meaning=meaning)
        for name, unit, low, high, meaning in rows
    )


PLANT_PARAMETERS: Final[tuple[Parameter, ...]] = (
    *_of(
        "electrical",
        ("ups_rated_w", "W", 1e3, 1e10, "rating of the UPS"),
        ("ups_fixed_loss_ratio", "1", 0.0, 0.1, "no-load loss over rating"),
        ("ups_linear_loss_ratio", "1", 0.0, 0.2, "loss per load, both over rating"),
        ("ups_square_loss_ratio", "1", 0.0, 0.2, "loss per square of load, over rating"),
        ("distribution_loss_ratio", "1", 0.0, 0.1, "loss of PDU and cables over IT power"),
        ("other_power_w", "W", 0.0, 1e9, "lighting, controls, offices within the boundary"),
    ),
    *_of(
        "hall",
        ("cold_aisle_capacity_j_per_k", "J/K", 1e3, 1e10, "heat capacity of cold aisle, plenum"),
        ("hot_aisle_capacity_j_per_k", "J/K", 1e3, 1e11, "heat capacity of hot aisle and racks"),
        ("dew_point_c", "°C", -20.0, 25.0, "dew point the make-up air is held at"),
        ("recirculation_low_ratio", "1", 0.0, 0.5, "least exhaust air in a server's intake"),
        ("recirculation_high_ratio", "1", 0.0, 0.5, "most exhaust air in a server's intake"),
    ),
    *_of(
        "crah",
        ("air_flow_design_kg_per_s", "kg/s", 0.01, 1e5, "air flow at full fan speed"),
        ("fan_power_design_w", "W", 1.0, 1e8, "fan power at full speed"),
        ("fan_exponent", "1", 2.0, 3.0, "exponent of fan power in speed"),
        ("fan_ramp_s", "s", 5.0, 600.0, "time from standstill to full speed"),
        ("conductance_design_w_per_k", "W/K", 1.0, 1e9, "UA of the coils at design flows"),
        ("water_flow_design_kg_per_s", "kg/s", 0.01, 1e5, "chilled water at open valves"),
        ("valve_rangeability", "1", 10.0, 100.0, "open over closed flow of the valves"),
        ("valve_stroke_s", "s", 5.0, 600.0, "time from closed to open"),
        ("loop_gain_per_k", "1/K", 0.0, 1.0, "gain of the supply-air loop"),
        ("loop_integral_time_s", "s", 5.0, 3600.0, "integral time of the supply-air loop"),
    ),
    *_of(
        "chw",
        ("pipe_mass_kg", "kg", 1.0, 1e7, "water between chiller and coils"),
        ("return_mass_kg", "kg", 1.0, 1e7, "water of coils, return pipe and evaporator"),
        ("pump_power_design_w", "W", 0.0, 1e8, "pump power at design flow"),
        ("pump_exponent", "1", 1.5, 3.0, "exponent of pump power in flow"),
        ("pump_min_flow_ratio", "1", 0.05, 1.0, "flow held by the minimum-flow bypass"),
    ),
    *_of(
        "chiller",
        ("capacity_w", "W", 1e3, 1e9, "cooling capacity of all chillers"),
        ("carnot_scale", "1", 0.3, 1.8, "efficiency over Carnot against lift plus lift loss"),
        ("lift_loss_k", "K", 5.0, 40.0, "what the cycle loses whatever the lift"),
        ("evaporator_approach_k", "K", 0.0, 10.0, "leaving water above evaporating refrigerant"),
        ("condenser_approach_k", "K", 0.0, 10.0, "condensing refrigerant above leaving water"),
        ("lift_min_k", "K", 8.0, 20.0, "least difference the compressor works against"),
        ("cop_max", "1", 5.0, 18.0, "ceiling of the coefficient of performance"),
        ("best_load_ratio", "1", 0.3, 1.0, "part load of best efficiency"),
        ("part_load_curvature", "1", 0.0, 2.0, "loss of efficiency away from it"),
        ("load_min_ratio", "1", 0.0, 0.4, "load below which the machine cycles"),
        ("setpoint_lag_s", "s", 0.0, 1800.0, "time constant with which a set point is followed"),
        ("start_ramp_s", "s", 5.0, 1800.0, "time from start to full capacity"),
        ("hold_s", "s", 0.0, 3600.0, "least time between starts and stops"),
        ("start_band_k", "K", 0.1, 5.0, "water above the set point that starts a chiller"),
        ("stop_band_k", "K", 0.0, 5.0, "water above the set point at which it stops"),
    ),
    *_of(
        "economizer",
        ("effectiveness", "1", 0.0, 0.95, "of the plate heat exchanger; 0 without one"),
        ("min_difference_k", "K", 0.0, 10.0, "return water above tower water to open it"),
    ),
    *_of(
        "cw",
        ("flow_design_kg_per_s", "kg/s", 0.01, 1e5, "condenser water"),
        ("pump_power_design_w", "W", 0.0, 1e8, "pump power at design flow"),
        ("basin_mass_kg", "kg", 1.0, 1e8, "water of basin and pipes"),
        ("supply_temp_min_c", "°C", 5.0, 25.0, "coldest condenser water the controls allow"),
    ),
    *_of(
        "tower",
        ("fan_power_design_w", "W", 1.0, 1e8, "fan power at full speed"),
        ("fan_min_speed_ratio", "1", 0.05, 0.5, "lowest speed of the drive"),
        ("fan_ramp_s", "s", 5.0, 600.0, "time from standstill to full speed"),
        ("loop_gain_per_k", "1/K", 0.0, 1.0, "gain of the condenser-water loop"),
        ("loop_integral_time_s", "s", 5.0, 7200.0, "integral time of the condenser-water loop"),
    ),
    *_of(
        "water",
        ("latent_heat_ratio", "1", 0.5, 1.0, "share of rejected heat that evaporates water"),
        ("drift_ratio", "1", 0.0, 0.01, "droplets lost over circulating flow"),
        ("concentration_cycles", "1", 1.5, 20.0, "dissolved solids over those of the make-up"),
    ),
    *_of(
        "cdu",
        ("flow_design_kg_per_s", "kg/s", 0.01, 1e5, "coolant at full pump speed, all racks"),
        ("pump_power_design_w", "W", 0.0, 1e8, "coolant pumps at full speed"),
        ("pump_exponent", "1", 1.5, 3.0, "exponent of pump power in flow"),
        ("pump_ramp_s", "s", 5.0, 600.0, "time from standstill to full speed"),
        ("conductance_design_w_per_k", "W/K", 1.0, 1e9, "UA of the heat exchangers at design"),
        ("supply_mass_kg", "kg", 1.0, 1e6, "coolant from the exchangers to the racks"),
        ("return_mass_kg", "kg", 1.0, 1e6, "coolant of racks and return"),
        ("valve_rangeability", "1", 10.0, 100.0, "open over closed flow of the valves"),
        ("valve_stroke_s", "s", 5.0, 600.0, "time from closed to open"),
        ("loop_gain_per_k", "1/K", 0.0, 1.0, "gain of the coolant-temperature loop"),
        ("loop_integral_time_s", "s", 5.0, 3600.0, "integral time of the same"),
        ("dew_point_margin_k", "K", 0.0, 10.0, "coolant held above the dew point by the CDU"),
    ),
    *_of(
        "facility_water",
        ("flow_design_kg_per_s", "kg/s", 0.01, 1e5, "water at open CDU valves"),
        ("pump_power_design_w", "W", 0.0, 1e8, "pump power at design flow"),
        ("pump_exponent", "1", 1.5, 3.0, "exponent of pump power in flow"),
        ("pump_min_flow_ratio", "1", 0.05, 1.0, "flow held by the minimum-flow bypass"),
        ("supply_mass_kg", "kg", 1.0, 1e7, "water from dry coolers to CDUs"),
        ("return_mass_kg", "kg", 1.0, 1e7, "water from CDUs to dry coolers"),
        ("approach_k", "K", 0.5, 20.0, "set point below that of the coolant"),
        ("supply_temp_min_c", "°C", 5.0, 40.0, "coldest set point"),
        ("supply_temp_max_c", "°C", 17.0, 60.0, "warmest set point, the class of the loop"),
    ),
    *_of(
        "dry_cooler",
        ("air_flow_design_kg_per_s", "kg/s", 0.01, 1e6, "air at full fan speed"),
        ("conductance_design_w_per_k", "W/K", 1.0, 1e9, "UA of the coils at design flows"),
        ("fan_power_design_w", "W", 1.0, 1e8, "fan power at full speed"),
        ("fan_min_speed_ratio", "1", 0.05, 0.5, "lowest speed of the drive"),
        ("fan_ramp_s", "s", 5.0, 600.0, "time from standstill to full speed"),
        ("loop_gain_per_k", "1/K", 0.0, 1.0, "gain of the facility-water loop"),
        ("loop_integral_time_s", "s", 5.0, 7200.0, "integral time of the same"),
        ("pad_effectiveness", "1", 0.0, 0.95, "saturation by wet pads; 0 without pads"),
        ("wet_start_k", "K", 0.0, 30.0, "outdoor air below the set point that wets the first pad"),
        ("wet_ramp_k", "K", 0.1, 20.0, "rise of outdoor air until all pads are wet"),
        ("concentration_cycles", "1", 1.5, 20.0, "dissolved solids over those of the make-up"),
    ),
    *_of(
        "humidity",
        ("make_up_air_kg_per_s", "kg/s", 0.0, 1e4, "outdoor air let into the hall"),
        ("air_mass_kg", "kg", 1.0, 1e7, "air of the hall and of what moisture it clings to"),
        ("coil_contact_ratio", "1", 0.0, 1.0, "share of air that touches the wet coil"),
    ),
    *_of(
        "chiller_map",
        ("constant", "1", -10.0, 10.0, "a0 of the energy input ratio"),
        ("chw", "1/K", -10.0, 10.0, "a1, of leaving chilled water"),
        ("chw_square", "1/K²", -10.0, 10.0, "a2"),
        ("cw", "1/K", -10.0, 10.0, "a3, of leaving condenser water"),
        ("cw_square", "1/K²", -10.0, 10.0, "a4"),
        ("product", "1/K²", -10.0, 10.0, "a5"),
        ("part_linear", "1", -10.0, 10.0, "b1, of part load"),
        ("part_square", "1", -10.0, 10.0, "b2"),
        ("chw_min_c", "°C", 0.0, 30.0, "bounds of the map: leaving chilled water"),
        ("chw_max_c", "°C", 0.0, 30.0, "the same"),
        ("cw_min_c", "°C", 0.0, 60.0, "bounds of the map: leaving condenser water"),
        ("cw_max_c", "°C", 0.0, 60.0, "the same"),
    ),
    *_of(
        "service",
        ("latency_load_ratio", "1", 0.3, 0.99, "load at which latency meets its target, uncapped"),
        ("latency_target_s", "s", 0.1, 3600.0, "target of the tail latency"),
        ("inference_backlog_max_s", "s", 0.0, 3600.0, "work that waits before requests time out"),
        ("batch_backlog_max_s", "s", 0.0, 1e6, "work that waits in a batch queue"),
    ),
    *_of(
        "sensors",
        ("temp_noise_k", "K", 0.0, 5.0, "standard deviation from reading to reading"),
        ("temp_bias_k", "K", 0.0, 5.0, "standard deviation from sensor to sensor"),
        ("power_noise_ratio", "1", 0.0, 0.2, "standard deviation from reading to reading"),
        ("power_bias_ratio", "1", 0.0, 0.2, "standard deviation from meter to meter"),
        ("flow_noise_ratio", "1", 0.0, 0.2, "standard deviation from reading to reading"),
    ),
)
"""Of the plant, one each per site."""

LIQUID_TABLES: Final = ("cdu", "facility_water", "dry_cooler")
"""Tables of a site whose racks are cooled by liquid; all of them or none."""
OPTIONAL_TABLES: Final = (*LIQUID_TABLES, "humidity", "chiller_map")
"""Tables a site may leave out: it has no such device, and its numbers are 0."""

SERVER_PARAMETERS: Final[tuple[Parameter, ...]] = _of(
    "server",
    ("power_design_w", "W", 100.0, 1e5, "server power per GPU at which fans run at design speed"),
    ("host_idle_w", "W", 0.0, 1e4, "CPU, memory, network per GPU without work, W DC"),
    ("host_dynamic_w", "W", 0.0, 1e4, "what full work adds to it, W DC"),
    ("supply_rated_w", "W", 100.0, 1e5, "rating of the power supplies in service, per GPU"),
    ("supply_fixed_loss_ratio", "1", 0.0, 0.1, "no-load loss over rating"),
    ("supply_linear_loss_ratio", "1", 0.0, 0.2, "loss per load, both over rating"),
    ("supply_square_loss_ratio", "1", 0.0, 0.2, "loss per square of load, over rating"),
    ("fan_power_design_w", "W", 0.0, 1e4, "fan power per GPU at design speed"),
    ("fan_min_ratio", "1", 0.05, 1.0, "lowest fan speed over design"),
    ("fan_max_ratio", "1", 0.5, 2.0, "highest fan speed over design"),
    ("fan_knee_temp_c", "°C", 10.0, 40.0, "inlet temperature above which fans speed up"),
    ("fan_slope_per_k", "1/K", 0.0, 0.2, "speed-up per kelvin above it"),
    ("fan_lag_s", "s", 0.0, 600.0, "time constant of fan speed"),
    ("air_flow_design_kg_per_s", "kg/s", 1e-3, 10.0, "air per GPU at design fan speed"),
)
"""Of a server, per GPU; one set for each GPU model of the site."""

LIQUID_SERVER_PARAMETERS: Final[tuple[Parameter, ...]] = _of(
    "server",
    ("plate_resistance_k_per_w", "K/W", 1e-4, 1.0, "cold plate of a GPU to the coolant beside it"),
    ("plate_heat_capacity_j_per_k", "J/K", 10.0, 1e5, "cold plate"),
    ("liquid_host_ratio", "1", 0.0, 1.0, "share of the host's heat that coolant takes"),
)
"""The same, where liquid cools the racks; cold plates replace the GPUs' heat sinks."""

GPU_PARAMETERS: Final[tuple[Parameter, ...]] = _of(
    "device",
    ("idle_power_w", "W", 1.0, 1000.0, "without work"),
    ("clock_min_ratio", "1", 0.05, 0.9, "lowest SM clock over the highest"),
    ("leakage_per_k", "1/K", -0.005, 0.02, "rise of power with die temperature"),
    ("leakage_reference_temp_c", "°C", 0.0, 100.0, "die temperature the powers refer to"),
    ("die_sink_resistance_k_per_w", "K/W", 1e-4, 1.0, "die to heat sink"),
    ("die_time_constant_s", "s", 0.01, 60.0, "of the die on its heat sink"),
    ("sink_air_resistance_k_per_w", "K/W", 1e-4, 1.0, "heat sink to air at design air flow"),
    ("sink_heat_capacity_j_per_k", "J/K", 10.0, 1e5, "heat sink"),
    ("slow_temp_c", "°C", 50.0, 120.0, "die temperature at which clocks begin to fall"),
    ("hard_temp_c", "°C", 50.0, 120.0, "die temperature at which clocks halve at once"),
    ("shutdown_temp_c", "°C", 50.0, 130.0, "die temperature at which the device stops"),
    ("hbm_rise_k", "K", 0.0, 40.0, "memory above die with memory fully busy"),
    ("power_spread_ratio", "1", 0.0, 0.2, "standard deviation of power from unit to unit"),
    ("resistance_spread_ratio", "1", 0.0, 0.3, "standard deviation of thermal resistance"),
    ("overshoot_ratio", "1", 0.0, 1.0, "highest power over the cap, less 1, before the cap acts"),
    ("overshoot_s", "s", 0.0, 10.0, "longest time above the cap"),
    ("cliff_cap_ratio", "1", 1.0, 2.0, "cap over the least limit below which clocks collapse"),
    ("cliff_clock_ratio", "1", 0.05, 1.0, "highest clock at the least limit"),
)
"""Of a GPU model, table ``[device]`` of its file."""

GPU_LIMITS: Final[tuple[Parameter, ...]] = _of(
    "limits",
    ("power_limit_min_w", "W", 1.0, 3000.0, "lowest power limit the device accepts"),
    ("power_limit_max_w", "W", 1.0, 3000.0, "highest power limit the device accepts"),
    ("power_limit_default_w", "W", 1.0, 3000.0, "power limit after boot"),
    ("sm_clock_max_mhz", "MHz", 100.0, 5000.0, "highest clock"),
)
"""Of a GPU model, table ``[limits]`` of its file; a site may keep to less."""

CLASS_PARAMETERS: Final[tuple[Parameter, ...]] = _of(
    "class",
    ("full_power_w", "W", 10.0, 3000.0, "power at the highest clock, fully busy"),
    ("fixed_share", "1", 0.0, 0.9, "share of it that does not depend on the clock"),
    ("slope_low", "1", 0.05, 2.0, "slope of power in clock below the knee"),
    ("power_knee_clock_ratio", "1", 0.2, 0.995, "clock above which voltage rises"),
    ("sensitivity", "1", 0.0, 1.5, "share of time that follows the clock"),
    ("knee_sensitivity", "1", 0.0, 5.0, "what is added below the knee"),
    ("work_knee_clock_ratio", "1", 0.1, 1.0, "clock below which memory is no longer the limit"),
    ("half_load", "1", 1e-3, 1e3, "load scale of the share of active power"),
    ("memory_busy_ratio", "1", 0.0, 1.0, "share of time memory is busy under full load"),
)
"""Of a workload class on a GPU model, table ``[classes.<name>]`` of its file."""

WORKLOAD_CLASSES: Final = ("training", "prefill", "decode", "memory_bound")
"""Order of classes in class tables; the same as of the contract's workload signals."""
