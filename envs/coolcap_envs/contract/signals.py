"""The table of signals: what is measured, in which unit and range, and by whom.

Telemetry arrays, observation features, database fields, documentation and dashboards
derive from these two tuples. A signal's position in its tuple is its column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_envs.contract.levers import PLANT_LEVERS


class Aggregation(StrEnum):
    """How readings of several devices or instants become one number."""

    MEAN = "mean"
    SUM = "sum"
    MAX = "max"
    LAST = "last"


class MeasuredBy(StrEnum):
    """The daemon that reads a signal."""

    NODE_AGENT = "node agent"
    PLANT_AGENT = "plant agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One measured quantity. A value outside ``low`` to ``high`` (inclusive) is invalid."""

    name: str
    unit: str
    low: float
    high: float
    aggregation: Aggregation
    measured_by: MeasuredBy
    meaning: str


def _group(name: str, unit: str, low: float, high: float, how: Aggregation, meaning: str) -> Signal:
    return Signal(
        name=name,
        unit=unit,
        low=low,
        high=high,
        aggregation=how,
        measured_by=MeasuredBy.NODE_AGENT,
        meaning=meaning,
    )


def _plant(name: str, unit: str, low: float, high: float, how: Aggregation, meaning: str) -> Signal:
    return Signal(
        name=name,
        unit=unit,
        low=low,
        high=high,
        aggregation=how,
        measured_by=MeasuredBy.PLANT_AGENT,
        meaning=meaning,
    )


_MEAN, _SUM, _MAX, _LAST = Aggregation.MEAN, Aggregation.SUM, Aggregation.MAX, Aggregation.LAST

GROUP_SIGNALS: Final[tuple[Signal, ...]] = (
    _group("gpu_power_w", "W", 0.0, 3000.0, _MEAN, "power of one GPU, mean over the group"),
    _group("it_power_w", "W", 0.0, 1e6, _SUM, "power at the server input that the group causes"),
    _group("power_limit_w", "W", 0.0, 3000.0, _MEAN, "limit the device enforces, per GPU"),
    _group("sm_clock_mhz", "MHz", 0.0, 5000.0, _MEAN, "clock of the multiprocessors"),
    _group("gpu_util_ratio", "1", 0.0, 1.0, _MEAN, "share of time a kernel was running"),
    _group("mem_util_ratio", "1", 0.0, 1.0, _MEAN, "share of time device memory was busy"),
    _group("gpu_temp_c", "°C", -20.0, 130.0, _MAX, "hottest GPU die of the group"),
    _group("hbm_temp_c", "°C", -20.0, 130.0, _MAX, "hottest GPU memory of the group"),
    _group("inlet_temp_c", "°C", -20.0, 80.0, _MAX, "air or coolant entering the server"),
    _group(
        "work_rate_ratio",
        "1",
        0.0,
        1.5,
        _MEAN,
        "useful work per second, relative to the uncapped device at full demand",
    ),
    _group("latency_ratio", "1", 0.0, 100.0, _MAX, "p99 latency over its target; 0 without one"),
    _group("training_ratio", "1", 0.0, 1.0, _MEAN, "share of GPUs that run training"),
    _group("prefill_ratio", "1", 0.0, 1.0, _MEAN, "share of GPUs that run inference prefill"),
    _group("decode_ratio", "1", 0.0, 1.0, _MEAN, "share of GPUs that run inference decode"),
    _group("memory_bound_ratio", "1", 0.0, 1.0, _MEAN, "share of GPUs with memory-bound work"),
    _group("it_energy_kwh", "kWh", 0.0, 1e12, _SUM, "counter of energy at the server input"),
    _group("work_gpu_h", "GPU·h", 0.0, 1e12, _SUM, "counter of useful work, reference GPU-hours"),
)
"""Per control group. Reference GPU-hour: an hour's work of an uncapped GPU at full demand."""

PLANT_SIGNALS: Final[tuple[Signal, ...]] = (
    *(
        _plant(lever.name, lever.unit, lever.low, lever.high, _LAST, f"in force: {lever.meaning}")
        for lever in PLANT_LEVERS
    ),
    _plant("supply_air_temp_c", "°C", -20.0, 80.0, _MEAN, "air leaving the CRAH"),
    _plant("return_air_temp_c", "°C", -20.0, 100.0, _MEAN, "air entering the CRAH"),
    _plant("inlet_temp_max_c", "°C", -20.0, 80.0, _MAX, "hottest server inlet of the hall"),
    _plant("dew_point_c", "°C", -60.0, 50.0, _MEAN, "dew point of the hall's air"),
    _plant("air_flow_ratio", "1", 0.0, 1.2, _MEAN, "CRAH air flow relative to design"),
    _plant("chw_supply_temp_c", "°C", -5.0, 60.0, _MEAN, "chilled water to the hall"),
    _plant("chw_return_temp_c", "°C", -5.0, 80.0, _MEAN, "chilled water from the hall"),
    _plant("cw_supply_temp_c", "°C", -5.0, 60.0, _MEAN, "condenser water leaving the tower"),
    _plant("cw_return_temp_c", "°C", -5.0, 80.0, _MEAN, "condenser water entering the tower"),
    _plant("cdu_supply_temp_c", "°C", -5.0, 80.0, _MEAN, "coolant to the cold plates"),
    _plant("cdu_return_temp_c", "°C", -5.0, 100.0, _MEAN, "coolant from the cold plates"),
    _plant("cdu_flow_ratio", "1", 0.0, 1.2, _MEAN, "coolant flow relative to design"),
    _plant("outdoor_temp_c", "°C", -60.0, 60.0, _MEAN, "outdoor dry bulb"),
    _plant("wet_bulb_temp_c", "°C", -60.0, 50.0, _MEAN, "outdoor wet bulb"),
    _plant("it_power_w", "W", 0.0, 1e10, _MEAN, "power at the IT equipment's input"),
    _plant("crah_fan_power_w", "W", 0.0, 1e9, _MEAN, "fans of the air handlers"),
    _plant("chiller_power_w", "W", 0.0, 1e9, _MEAN, "compressors"),
    _plant("pump_power_w", "W", 0.0, 1e9, _MEAN, "all water and coolant pumps"),
    _plant("tower_fan_power_w", "W", 0.0, 1e9, _MEAN, "fans of towers and dry coolers"),
    _plant("loss_power_w", "W", 0.0, 1e9, _MEAN, "losses of UPS and power distribution"),
    _plant("facility_power_w", "W", 0.0, 1e10, _MEAN, "power at the facility's meter"),
    _plant("it_energy_kwh", "kWh", 0.0, 1e12, _LAST, "counter of IT energy"),
    _plant("cooling_energy_kwh", "kWh", 0.0, 1e12, _LAST, "counter of cooling energy"),
    _plant("facility_energy_kwh", "kWh", 0.0, 1e12, _LAST, "counter of facility energy"),
    _plant("makeup_water_l", "L", 0.0, 1e12, _LAST, "counter of make-up water"),
    _plant("crah_available_ratio", "1", 0.0, 1.0, _MEAN, "share of air handlers fit to run"),
    _plant("chiller_available_ratio", "1", 0.0, 1.0, _MEAN, "share of chillers fit to run"),
    _plant("price_usd_per_kwh", "USD/kWh", -10.0, 100.0, _MEAN, "price of electricity"),
    _plant("grid_carbon_g_per_kwh", "g/kWh", 0.0, 3000.0, _MEAN, "carbon intensity of the grid"),
)
"""One of each per hall. The first columns are the levers' values in force."""


def columns(table: Sequence[Signal]) -> dict[str, int]:
    """Return the column of each signal of ``table`` by name."""
    return {signal.name: index for index, signal in enumerate(table)}


GROUP_COLUMN: Final = columns(GROUP_SIGNALS)
PLANT_COLUMN: Final = columns(PLANT_SIGNALS)
WORKLOAD_SIGNALS: Final = (
    "training_ratio",
    "prefill_ratio",
    "decode_ratio",
    "memory_bound_ratio",
)
"""One per workload class, in the order the physics and the wire use."""
