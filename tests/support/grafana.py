"""Grafana's part of a query: macros and variables filled in as its backend and data source do.

Followed are ``pkg/tsdb/influxdb/models/query.go`` (macros), the data source's ``regexEscape``
(variables inside a regular expression) and ``rangeUtil.roundInterval`` (choice of interval).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "grafana"
POINTS_MAX: Final = 1000
"""A panel about as wide as a screen."""

# Upper bound in ms of the raw interval, and what is taken below it.
_STEPS_MS: Final = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
)
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The range of time shown."""

    start_s: float
    end_s: float

    @property
    def span_ms(self) -> int:
        return int((self.end_s - self.start_s) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One query of a dashboard, with its place for messages."""

    place: str
    query: str
    min_interval: str = ""
    is_table: bool = False


def milliseconds(text: str) -> int:
    """Return the length of an interval such as ``10s``."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    assert found, text
    return int(found[1]) * _UNITS_MS[found[2]]


def interval_text(ms: int) -> str:
    """Return an interval as Grafana writes it."""
    for unit in ("d", "h", "m", "s"):
        if ms % _UNITS_MS[unit] == 0:
            return f"{ms // _UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def interval_ms(shown: Range, min_interval: str) -> int:
    """Return the interval Grafana chooses for a panel, in ms."""
    lowest = milliseconds(min_interval or "1s")
    raw = shown.span_ms / POINTS_MAX
    rounded = next((step for bound, step in _STEPS_MS if raw < bound), DAY_MS)
    return max(rounded, lowest)


def escaped(value: str) -> str:
    """Return a variable's value fit for a regular expression."""
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", lambda found: "\\" + found[0], value)


def expanded(target: Target, shown: Range, variables: Mapping[str, str | Sequence[str]]) -> str:
    """Return the query Grafana would send.

    Args:
        target: The query.
        shown: The range of time shown.
        variables: A text for one value, a list for several; ``.*`` stands for all.
    """
    text = target.query
    for name, value in variables.items():
        parts = [value] if isinstance(value, str) else value
        filled = "|".join(part if part == ".*" else escaped(part) for part in parts)
        replacement = filled if isinstance(value, str) else f"({filled})"
        text = re.sub(rf"\${name}\b", replacement.replace("\\", r"\\"), text)
    ms = interval_ms(shown, target.min_interval)
    time_filter = f"time >= {int(shown.start_s * 1000)}ms and time <= {int(shown.end_s * 1000)}ms"
    for macro, meant in (
        ("$timeFilter", time_filter),
        ("$interval", interval_text(ms)),
        ("$__interval_ms", str(ms)),
        ("$__interval", interval_text(ms)),
    ):
        text = text.replace(macro, meant)
    assert "$" not in re.sub(r"/\^.*?\$/", "", text), f"left over in {target.place}: {text}"
    return text


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the committed dashboards by uid."""
    files = sorted((DEPLOY / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def panel_targets(board: Mapping[str, Any]) -> Iterator[Target]:
    """Give every query of a dashboard's panels and annotations."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield Target(
                place=f"{board['uid']}/{panel['id']} {panel['title']} {target['refId']}",
                query=target["query"],
                min_interval=panel.get("interval", ""),
                is_table=target["resultFormat"] == "table",
            )
    for annotation in board["annotations"]["list"]:
        yield Target(place=f"{board['uid']} annotation", query=annotation["query"], is_table=True)


def variable_targets(board: Mapping[str, Any]) -> Iterator[tuple[str, Target]]:
    """Give the query of each variable, in the order in which they depend on each other."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            place = f"{board['uid']} variable {variable['name']}"
            yield variable["name"], Target(place=place, query=variable["query"], is_table=True)


def alert_rules() -> list[dict[str, Any]]:
    """Return the committed alert rules."""
    path = DEPLOY / "provisioning" / "alerting" / "coolcap.yaml"
    (group,) = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def alert_target(rule: Mapping[str, Any]) -> Target:
    """Return the query of an alert rule."""
    (query,) = (part for part in rule["data"] if part["datasourceUid"] != "__expr__")
    return Target(place=rule["uid"], query=query["model"]["query"])
