"""Units and words of panels, from the schema."""

from collections.abc import Iterable, Mapping
from typing import Final

from coolcap_agent.dashboards.influxql import Query
from coolcap_agent.telemetry_log.measurement import Field
from coolcap_agent.telemetry_log.schema import (
    AGENT,
    BUDGET,
    CAP,
    DECISION,
    FACILITY_1M,
    GROUP,
    LOOP,
    METER,
    PLANT_1M,
    RACK,
    RACK_1M,
    SETPOINT,
)

_UNITS: Final[Mapping[str, str]] = {
    "W": "watt",
    "kWh": "kwatth",
    "°C": "celsius",
    "K": "kelvin",
    "s": "s",
    "L": "litre",
    "kg": "masskg",
    "USD": "currencyUSD",
    "MHz": "suffix: MHz",
    "GPU·h": "suffix: GPU·h",
    "USD/kWh": "suffix: USD/kWh",
    "g/kWh": "suffix: g/kWh",
    "the lever's": "short",
    "": "string",
}
"""Grafana's name of each unit of the schema."""


def grafana_unit(field: Field) -> str:
    """Return Grafana's name of the unit of ``field``; ratios are shown in per cent."""
    if field.unit == "1":
        return "percentunit" if field.name.endswith("_ratio") else "short"
    return _UNITS[field.unit]


_PERIODS: Final[Mapping[str, str]] = {
    **dict.fromkeys((PLANT_1M.name, FACILITY_1M.name, RACK_1M.name, METER.name), "1m"),
    **dict.fromkeys((DECISION.name, CAP.name, SETPOINT.name), "30s"),
    **dict.fromkeys((RACK.name, GROUP.name, LOOP.name, BUDGET.name, AGENT.name), "10s"),
}
"""How often each measurement is usually written; the others each second or when something is."""


def min_interval(queries: Iterable[Query]) -> str:
    """Return the shortest interval that makes sense to ask for; empty for the data source's."""
    names = [source.measurement.name for query in queries for source in query.sources]
    found = [_PERIODS.get(name, "") for name in names]
    return max(found, key=("", "10s", "30s", "1m").index)


def description(what: str, queries: Iterable[Query]) -> str:
    """Return what a panel shows, then where each of its figures comes from.

    Args:
        what: One or two sentences.
        queries: The panel's queries.
    """
    told: dict[str, str] = {}
    for source in (source for query in queries for source in query.sources):
        field = source.field
        unit = f" in {field.unit}" if field.unit not in ("1", "", "the lever's") else ""
        told[f"{source.measurement.name}.{field.name}"] = f"{field.meaning}{unit}"
    lines = [f"- `{name}`: {meaning}" for name, meaning in told.items()]
    return "\n".join([what, "", *lines])
