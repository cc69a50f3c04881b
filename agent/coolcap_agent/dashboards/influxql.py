"""Queries in InfluxQL, made from the log's schema: a field that is renamed there fails here.

Only what InfluxDB 1.8, 2.x and 3.x share is used. Energy comes from counters, as the sum of their
rises, so that a counter that starts anew costs one interval and no more; a ratio of energies is
formed after summing, never as a mean of ratios.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_agent.telemetry_log.measurement import Field, Kind, Measurement
from coolcap_agent.telemetry_log.schema import EVENT

AUTO: Final = "$__interval"
"""Grafana's choice of interval, from the panel's width and the range shown."""
WINDOW: Final = "$window"
"""The dashboard's variable for the length of a meter's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a column of an answer comes from."""

    column: str
    measurement: Measurement
    field: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query and what a panel needs to know of it.

    Attributes:
        text: InfluxQL with Grafana's macros and variables.
        sources: What its columns come from.
        alias: Name of its series in the legend.
        is_table: Whether the answer is a table and no time series.
    """

    text: str
    sources: tuple[Source, ...]
    alias: str = "$col"
    is_table: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: an aggregate of a field, times a factor."""

    name: str
    field: str
    function: str = "mean"
    factor: float = 1.0

    def text(self, of: Measurement) -> str:
        """Return the column as InfluxQL."""
        of.field(self.field)
        scale = "" if self.factor == 1.0 else f" * {self.factor:g}"
        return f'{self.function}("{self.field}"){scale} AS "{self.name}"'


def _where(*conditions: str) -> str:
    return " AND ".join(["$timeFilter", '"site" =~ /^$site$/', *(c for c in conditions if c)])


def _tags(of: Measurement, by: Sequence[str]) -> list[str]:
    if unknown := [tag for tag in by if tag not in of.tags]:
        raise KeyError(f"{of.name} has no tag {', '.join(unknown)}, only {', '.join(of.tags)}")
    return [f'"{tag}"' for tag in by]


def _group_by(of: Measurement, by: Sequence[str], every: str = "") -> str:
    parts = [f"time({every})"] if every else []
    parts += _tags(of, by)
    return f" GROUP BY {', '.join(parts)}" if parts else ""


def _sources(of: Measurement, columns: Sequence[Column]) -> tuple[Source, ...]:
    return tuple(Source(column=c.name, measurement=of, field=of.field(c.field)) for c in columns)


def _alias(by: Sequence[str], columns: Sequence[Column]) -> str:
    tags = " ".join(f"$tag_{tag}" for tag in by)
    return tags if by and len(columns) == 1 else f"{tags} $col".strip()


def over_time(
    of: Measurement,
    columns: Sequence[Column],
    *,
    by: Sequence[str] = (),
    where: str = "",
    every: str = AUTO,
) -> Query:
    """Return columns over time, a series per column and value of the tags ``by``."""
    text = (
        f"SELECT {', '.join(c.text(of) for c in columns)} "
        f'FROM "{of.name}" WHERE {_where(where)}{_group_by(of, by, every)} fill(none)'
    )
    return Query(text=text, sources=_sources(of, columns), alias=_alias(by, columns))


def newest(
    of: Measurement, names: Mapping[str, str], *, by: Sequence[str] = (), where: str = ""
) -> Query:
    """Return the last value of each field in the range shown.

    Args:
        of: The measurement.
        names: Name of each column and its field.
        by: Tags; each combination gives a row.
        where: A further condition.
    """
    columns = [Column(name=name, field=f, function="last") for name, f in names.items()]
    text = (
        f"SELECT {', '.join(c.text(of) for c in columns)} "
        f'FROM "{of.name}" WHERE {_where(where)}{_group_by(of, by)}'
    )
    return Query(
        text=text, sources=_sources(of, columns), alias=_alias(by, columns), is_table=bool(by)
    )


def _rises(of: Measurement, fields: Mapping[str, str], every: str, by: Sequence[str]) -> str:
    """Return a query for the rise of counters in each interval."""
    for field in fields.values():
        if of.field(field).kind is not Kind.COUNTER:
            raise ValueError(f"{of.name}.{field} is no counter: its rises mean nothing")
    parts = [
        f'non_negative_difference(last("{field}")) AS "{name}"' for name, field in fields.items()
    ]
    return f'SELECT {", ".join(parts)} FROM "{of.name}" WHERE {_where()}{_group_by(of, by, every)}'


def used_over_time(
    of: Measurement, counters: Mapping[str, str], *, by: Sequence[str] = (), every: str = WINDOW
) -> Query:
    """Return what counters rose by in each window; ``counters`` by name of the column."""
    columns = [Column(name=name, field=field) for name, field in counters.items()]
    return Query(
        text=f"{_rises(of, counters, every, by)} fill(none)",
        sources=_sources(of, columns),
        alias=_alias(by, columns),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of the rises of two counters."""

    name: str
    over: str
    under: str
    factor: float = 1.0

    @property
    def scale(self) -> str:
        """Return the factor as InfluxQL."""
        return "" if self.factor == 1.0 else f" * {self.factor:g}"


def used_in_range(
    of: Measurement,
    counters: Mapping[str, str],
    *,
    ratios: Sequence[Ratio] = (),
    by: Sequence[str] = (),
) -> Query:
    """Return what counters rose by in the whole range shown, and ratios of such rises.

    Args:
        of: The measurement.
        counters: Name of each column and its counter.
        ratios: Further columns.
        by: Tags; each combination gives a row.
    """
    columns = [Column(name=name, field=field) for name, field in counters.items()]
    read = dict.fromkeys([*counters.values(), *(f for r in ratios for f in (r.over, r.under))])
    parts = [f'sum("{field}") AS "{name}"' for name, field in counters.items()]
    parts += [f'sum("{r.over}") / sum("{r.under}"){r.scale} AS "{r.name}"' for r in ratios]
    inner = _rises(of, {field: field for field in read}, AUTO, by)
    text = f"SELECT {', '.join(parts)} FROM ({inner}){_group_by(of, by)}"
    return Query(
        text=text,
        sources=_sources(of, columns),
        alias=_alias(by, columns),
        is_table=bool(by),
    )


def ratio_over_time(of: Measurement, ratio: Ratio, *, every: str = WINDOW) -> Query:
    """Return a ratio of what two counters rose by, in each window."""
    inner = _rises(of, {"over": ratio.over, "under": ratio.under}, every, ())
    text = f'SELECT "over" / "under"{ratio.scale} AS "{ratio.name}" FROM ({inner})'
    return Query(text=text, sources=_of_ratio(of, ratio))


def ratio_in_range(of: Measurement, ratio: Ratio) -> Query:
    """Return a ratio of what two counters rose by in the whole range shown."""
    return dataclasses.replace(
        used_in_range(of, {}, ratios=[ratio]), sources=_of_ratio(of, ratio), alias="$col"
    )


def rest_over_time(
    of: Measurement, name: str, *, whole: str, parts: Sequence[str], every: str = WINDOW
) -> Query:
    """Return what a counter rose by in each window beyond what its parts rose by."""
    inner = {"whole": whole, **{f"part{i}": part for i, part in enumerate(parts)}}
    rest = " - ".join(f'"{name}"' for name in inner)
    columns = [Column(name=name, field=field) for field in (whole, *parts)]
    return Query(
        text=f'SELECT {rest} AS "{name}" FROM ({_rises(of, inner, every, ())})',
        sources=_sources(of, columns),
    )


def _of_ratio(of: Measurement, ratio: Ratio) -> tuple[Source, ...]:
    names = (ratio.over, ratio.under)
    return tuple(Source(column=ratio.name, measurement=of, field=of.field(n)) for n in names)


def events() -> Query:
    """Return the newest events with their words, newest first."""
    names = {"Severity": "severity", "Began": "active", "What": "message"}
    columns = [Column(name=name, field=field, function="") for name, field in names.items()]
    parts = [f'"{c.field}" AS "{c.name}"' for c in columns]
    tags = [f'{tag} AS "{tag[1:-1].capitalize()}"' for tag in _tags(EVENT, ("code", "subject"))]
    text = (
        f'SELECT {", ".join([*tags, *parts])} FROM "{EVENT.name}" WHERE {_where()} '
        "ORDER BY time DESC LIMIT 200"
    )
    return Query(text=text, sources=_sources(EVENT, columns), is_table=True)


def tag_values(of: Measurement, tag: str, *filters: str) -> str:
    """Return the query of a variable: the values of ``tag``, within those of ``filters``."""
    _tags(of, (tag, *filters))
    where = " AND ".join(f'"{name}" =~ /^${name}$/' for name in filters)
    return f'SHOW TAG VALUES FROM "{of.name}" WITH KEY = "{tag}"' + (
        f" WHERE {where}" * bool(where)
    )
