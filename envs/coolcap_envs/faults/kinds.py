"""Kinds of faults, what each can hit, and what its value means."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS


class FaultKind(StrEnum):
    """What can go wrong."""

    CRAH_TRIP = "crah-trip"
    CHILLER_TRIP = "chiller-trip"
    TOWER_TRIP = "tower-trip"
    PUMP_TRIP = "pump-trip"
    CDU_TRIP = "cdu-trip"
    SENSOR_BIAS = "sensor-bias"
    SENSOR_STUCK = "sensor-stuck"
    SENSOR_DROPOUT = "sensor-dropout"
    SENSOR_DELAY = "sensor-delay"
    NODE_LOSS = "node-loss"
    AGENT_SILENCE = "agent-silence"
    CAP_OVERSHOOT = "cap-overshoot"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMeaning:
    """How a kind of fault is to be read.

    Attributes:
        summary: What happens, in one clause.
        value: What its value is, with unit; empty if it has none.
        low: Least value.
        high: Greatest value.
        default: Value without one given.
    """

    summary: str
    value: str = ""
    low: float = 0.0
    high: float = 0.0
    default: float = 0.0


def _trip(what: str) -> FaultMeaning:
    return FaultMeaning(
        summary=f"{what} stop", value="share that stays fit to run", high=1.0, default=0.0
    )


MEANINGS: Final = {
    FaultKind.CRAH_TRIP: _trip("air handlers"),
    FaultKind.CHILLER_TRIP: _trip("chillers"),
    FaultKind.TOWER_TRIP: _trip("tower fans"),
    FaultKind.PUMP_TRIP: _trip("pumps"),
    FaultKind.CDU_TRIP: _trip("pumps of coolant distribution"),
    FaultKind.SENSOR_BIAS: FaultMeaning(
        summary="a temperature sensor reads beside the truth",
        value="error, K",
        low=-20.0,
        high=20.0,
        default=2.0,
    ),
    FaultKind.SENSOR_STUCK: FaultMeaning(summary="a sensor keeps the value it had"),
    FaultKind.SENSOR_DROPOUT: FaultMeaning(summary="a sensor gives no value"),
    FaultKind.SENSOR_DELAY: FaultMeaning(
        summary="a sensor gives old values as if they were new",
        value="delay, s",
        low=30.0,
        high=3600.0,
        default=120.0,
    ),
    FaultKind.NODE_LOSS: FaultMeaning(
        summary="a node hangs: its GPUs do no work, draw idle power, and nothing is read"
    ),
    FaultKind.AGENT_SILENCE: FaultMeaning(
        summary="an agent answers no more: readings grow old, commands are lost, and after its "
        "lease it restores what was in force before"
    ),
    FaultKind.CAP_OVERSHOOT: FaultMeaning(
        summary="GPUs of a node follow a cap slowly and draw more than it",
        value="power over the cap",
        low=1.0,
        high=1.5,
        default=1.2,
    ),
}
"""Every kind; a source for each default stands in ``sites/faults/standard.toml``."""

TRIPS: Final = (
    FaultKind.CRAH_TRIP,
    FaultKind.CHILLER_TRIP,
    FaultKind.TOWER_TRIP,
    FaultKind.PUMP_TRIP,
    FaultKind.CDU_TRIP,
)
"""In the order of columns that hold available shares."""
OF_SENSORS: Final = (
    FaultKind.SENSOR_BIAS,
    FaultKind.SENSOR_STUCK,
    FaultKind.SENSOR_DROPOUT,
    FaultKind.SENSOR_DELAY,
)
PLANT_AGENT: Final = "plant"
"""Target of ``agent-silence`` for the agent of the cooling plant."""

GROUP_SENSORS: Final = ("gpu_power_w", "gpu_temp_c", "inlet_temp_c", "it_power_w")
PLANT_SENSORS: Final = (
    "supply_air_temp_c",
    "return_air_temp_c",
    "dew_point_c",
    "air_flow_ratio",
    "chw_supply_temp_c",
    "chw_return_temp_c",
    "cw_supply_temp_c",
    "cw_return_temp_c",
    "cdu_supply_temp_c",
    "cdu_return_temp_c",
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "it_power_w",
    "facility_power_w",
)
"""Sensors that can fail; what is derived from others or commanded cannot."""


def split_sensor(target: str) -> tuple[str, str]:
    """Return group and signal of a sensor's name; the group is empty for one of the plant."""
    group, found, signal = target.rpartition(":")
    return (group, signal) if found else ("", target)


def sensor_names(layout: Layout) -> tuple[str, ...]:
    """Return the names of all sensors of a site that can fail, of the plant first."""
    has_cdu = any(
        has and lever.name.startswith("cdu_")
        for lever, has in zip(PLANT_LEVERS, layout.plant_levers, strict=True)
    )
    of_plant = (name for name in PLANT_SENSORS if has_cdu or not name.startswith("cdu_"))
    of_groups = (f"{group}:{name}" for group in layout.group_names for name in GROUP_SENSORS)
    return (*of_plant, *of_groups)


def targets(kind: FaultKind, layout: Layout) -> tuple[str, ...]:
    """Return what a kind of fault can hit at a site; one empty name for the plant as a whole."""
    if kind is FaultKind.SENSOR_BIAS:
        return tuple(name for name in sensor_names(layout) if name.endswith("_c"))
    if kind in OF_SENSORS:
        return sensor_names(layout)
    if kind is FaultKind.AGENT_SILENCE:
        return (*layout.nodes, PLANT_AGENT)
    if kind in (FaultKind.NODE_LOSS, FaultKind.CAP_OVERSHOOT):
        return layout.nodes
    return ("",)


def target_problem(kind: FaultKind, target: str, layout: Layout) -> str | None:
    """Say why ``target`` cannot be hit by ``kind`` at a site, or return None if it can."""
    allowed = targets(kind, layout)
    if target in allowed or not target:
        return None
    if kind in TRIPS:
        return f"target = {target!r} is not allowed: {kind} hits all of its kind"
    return f"target = {target!r} is not at {layout.name}: allowed are {_few(allowed)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:18])} … {names[-1]}"
