"""Every query of dashboards, variables and alert rules answers, on a real InfluxDB."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from coolcap_agent.dashboards.variables import WINDOWS
from support.filled_influx import FilledInflux
from support.grafana import (
    Range,
    Target,
    alert_rules,
    alert_target,
    dashboards,
    expanded,
    panel_targets,
    variable_targets,
)
from support.influx_server import Answered
from support.logged_site import (
    BUDGET_FROM_S,
    BUDGET_TO_S,
    DROPPED_FROM_S,
    HOT_FROM_S,
    HOT_TO_S,
    HOUR_S,
    OLD_FROM_S,
    OLD_TO_S,
    SILENT_FROM_S,
    SILENT_TO_S,
    START_S,
)

pytestmark = pytest.mark.influxdb

HOUR = Range(start_s=START_S, end_s=START_S + HOUR_S)
WEEK = Range(start_s=START_S + HOUR_S - 7 * 86_400.0, end_s=START_S + HOUR_S)
BOARDS = dashboards()
RULES = {rule["uid"]: rule for rule in alert_rules()}
TARGETS = {target.place: target for board in BOARDS.values() for target in panel_targets(board)}
CHOSEN: dict[str, str | Sequence[str]] = {
    "site": "small",
    "rack": ["rack-01", "rack-02"],
    "group": "node-1/0",
    "lever": "supply_air_temp_setpoint_c",
    "window": "5m",
}


def answered(
    filled: FilledInflux,
    target: Target,
    shown: Range = HOUR,
    variables: Mapping[str, str | Sequence[str]] = CHOSEN,
) -> list[Answered]:
    text = expanded(target, shown, variables)
    (series,) = filled.server.query(text, database=filled.database)
    return series


@pytest.mark.parametrize("place", TARGETS)
def test_panel_has_data_in_every_column(filled: FilledInflux, place: str) -> None:
    series = answered(filled, TARGETS[place])

    assert series
    for one in series:
        for name, column in one.columns.items():
            assert any(value is not None for value in column), f"{name} of {one.tags} is empty"


@pytest.mark.parametrize("window", WINDOWS)
def test_every_window_gives_an_answer(filled: FilledInflux, window: str) -> None:
    """A rise needs a value in the window before, which the first window does not have."""
    target = next(t for p, t in TARGETS.items() if p.startswith("coolcap-energy/101 "))

    series = answered(filled, target, shown=WEEK, variables={**CHOSEN, "window": window})

    expected = {"5m": 11, "15m": 3, "1h": 0, "6h": 0, "1d": 0}[window]
    assert sum(len(one.columns["time"]) for one in series) == expected


def test_pue_of_the_range_is_the_meters_own(filled: FilledInflux) -> None:
    """What the panel shows is what the plant's counters say."""
    text = (
        'SELECT last("facility_energy_kwh") - first("facility_energy_kwh") AS "f", '
        'last("it_energy_kwh") - first("it_energy_kwh") AS "i" FROM "plant"'
    )
    ((counters,),) = filled.server.query(text, database=filled.database)
    for uid, panel in (("coolcap-operations", 6), ("coolcap-energy", 1)):
        target = next(t for p, t in TARGETS.items() if p.startswith(f"{uid}/{panel} "))

        (series,) = answered(filled, target)

        expected = counters.columns["f"][0] / counters.columns["i"][0]
        # The panel starts with the first interval that has a predecessor.
        assert series.columns["PUE"] == [pytest.approx(expected, rel=2e-3)]


def test_pue_of_windows_lies_around_that_of_the_range(filled: FilledInflux) -> None:
    by_window = next(t for p, t in TARGETS.items() if p.startswith("coolcap-energy/101 "))
    of_range = next(t for p, t in TARGETS.items() if p.startswith("coolcap-energy/1 "))

    (windows,) = answered(filled, by_window)
    (whole,) = answered(filled, of_range)

    pues = windows.columns["PUE"]
    assert len(pues) >= 11
    assert min(pues) <= whole.columns["PUE"][0] <= max(pues)


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_offer_what_the_site_has(filled: FilledInflux, uid: str) -> None:
    expected = {
        "site": ["small"],
        "rack": ["rack-01", "rack-02"],
        "group": ["node-1/0", "node-1/1", "node-2/0", "node-2/1"],
        "lever": [
            "air_flow_setpoint_ratio",
            "chw_supply_temp_setpoint_c",
            "cw_supply_temp_setpoint_c",
            "supply_air_temp_setpoint_c",
        ],
    }
    for name, target in variable_targets(BOARDS[uid]):
        series = answered(filled, target)

        assert sorted(v for one in series for v in one.columns["value"]) == expected[name]


def test_groups_offered_are_those_of_the_racks_chosen(filled: FilledInflux) -> None:
    targets = dict(variable_targets(BOARDS["coolcap-gpus"]))

    series = answered(filled, targets["group"], variables={**CHOSEN, "rack": ["rack-02"]})

    assert [v for one in series for v in one.columns["value"]] == ["node-2/0", "node-2/1"]


def test_groups_chosen_are_the_groups_shown(filled: FilledInflux) -> None:
    """A group's name holds a slash, which ends a regular expression unless it is escaped."""
    target = next(t for p, t in TARGETS.items() if p.startswith("coolcap-gpus/302 "))

    series = answered(filled, target, variables={**CHOSEN, "group": ["node-1/1", "node-2/0"]})

    assert [one.tags["group"] for one in series] == ["node-1/1", "node-2/0"]


def test_another_sites_data_is_not_shown(filled: FilledInflux) -> None:
    for target in TARGETS.values():
        assert answered(filled, target, variables={**CHOSEN, "site": "smal"}) == []


REDUCERS: dict[str, Callable[[list[float]], float]] = {
    "last": lambda points: points[-1],
    "min": min,
    "max": max,
    "sum": sum,
}
EVALUATORS: dict[str, Callable[[float, list[float]], bool]] = {
    "gt": lambda number, limits: number > limits[0],
    "lt": lambda number, limits: number < limits[0],
    "within_range": lambda number, limits: limits[0] < number < limits[1],
}


def holds(filled: FilledInflux, rule: Mapping[str, Any], elapsed_s: float) -> set[str] | None:
    """Return for which series a rule's condition holds at a time, by tag; None: no data.

    Grafana reduces each series and compares it, as is done here.
    """
    end_s = START_S + elapsed_s
    by_ref = {part["refId"]: part["model"] for part in rule["data"]}
    span_s = rule["data"][0]["relativeTimeRange"]["from"]
    series = answered(filled, alert_target(rule), Range(start_s=end_s - span_s, end_s=end_s), {})
    if not series:
        return None
    found = set()
    for one in series:
        points = [value for value in one.columns["value"] if value is not None]
        number = REDUCERS[by_ref["B"]["reducer"]](points)
        (condition,) = by_ref["C"]["conditions"]
        evaluator = condition["evaluator"]
        if EVALUATORS[evaluator["type"]](number, evaluator["params"]):
            found |= {v for tag, v in one.tags.items() if tag != "site"} or set(one.tags.values())
    return found


QUIET_S = 1000.0
FAULTS = {
    "coolcap-telemetry-stale": (OLD_FROM_S + 100.0, {"small"}),
    "coolcap-inlet-near-limit": (HOT_FROM_S + 100.0, {"small"}),
    "coolcap-budget-exceeded": (BUDGET_FROM_S, {"site"}),
    "coolcap-fallback": (OLD_TO_S - 20.0, {"small"}),
    "coolcap-agent-lost": (SILENT_FROM_S + 50.0, {"node-2"}),
    "coolcap-log-dropped": (DROPPED_FROM_S + 50.0, {"small"}),
}
assert max(BUDGET_TO_S, HOT_TO_S, SILENT_TO_S) < HOUR_S


@pytest.mark.parametrize("uid", RULES)
def test_rule_is_silent_while_all_is_well(filled: FilledInflux, uid: str) -> None:
    assert holds(filled, RULES[uid], QUIET_S) == set()


@pytest.mark.parametrize("uid", FAULTS)
def test_rule_speaks_for_what_is_wrong(filled: FilledInflux, uid: str) -> None:
    elapsed_s, expected = FAULTS[uid]

    assert holds(filled, RULES[uid], elapsed_s) == expected


def test_rule_of_stale_telemetry_takes_silence_for_a_fault(filled: FilledInflux) -> None:
    rule = RULES["coolcap-telemetry-stale"]

    assert holds(filled, rule, HOUR_S + 1000.0) is None
    assert rule["noDataState"] == "Alerting"


def test_every_rule_but_the_trip_was_heard() -> None:
    """A trip needs a hall that stays too hot in spite of all, which the hour does not have."""
    assert set(RULES) - set(FAULTS) == {"coolcap-tripped"}
