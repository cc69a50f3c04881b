"""Queries are made from the schema, and stay within what all versions of InfluxDB know."""

import pytest

from coolcap_agent.dashboards.influxql import (
    Column,
    Ratio,
    newest,
    over_time,
    ratio_in_range,
    ratio_over_time,
    rest_over_time,
    tag_values,
    used_in_range,
    used_over_time,
)
from coolcap_agent.telemetry_log.schema import FACILITY, GROUP, METER, PLANT
from support.grafana import (
    Range,
    Target,
    alert_rules,
    alert_target,
    dashboards,
    expanded,
    interval_ms,
    interval_text,
    panel_targets,
    variable_targets,
)
from support.influxql_subset import problems

PUE = Ratio(name="PUE", over="facility_energy_kwh", under="it_energy_kwh")


def committed_targets() -> dict[str, Target]:
    found: list[Target] = [alert_target(rule) for rule in alert_rules()]
    for board in dashboards().values():
        found += [*panel_targets(board), *(target for _, target in variable_targets(board))]
    return {target.place: target for target in found}


COMMITTED = committed_targets()


@pytest.mark.parametrize("place", COMMITTED)
def test_committed_query_is_within_the_common_subset(place: str) -> None:
    assert problems(COMMITTED[place].query) == []


@pytest.mark.parametrize("place", [p for p in COMMITTED if "variable site" not in p])
def test_committed_query_is_bounded_in_time_and_to_the_site(place: str) -> None:
    query = COMMITTED[place].query

    assert query.startswith("SHOW") or "$timeFilter" in query
    assert '"site" =~ /^$site$/' in query or 'GROUP BY time(30s), "site"' in query


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ('SELECT integral("it_power_w") FROM "plant"', "function integral"),
        ('SELECT mean("a") FROM "b" GROUP BY "c" SLIMIT 3', "SLIMIT"),
        ("SHOW SERIES", "only SHOW TAG VALUES"),
        ('SELECT "a" INTO "b" FROM "c"', "writes nothing"),
        ('SELECT mean("a") FROM /.*/', "reads everything"),
        ('SELECT mean("a") FROM "b" GROUP BY *', "come and go"),
        ('SELECT mean("a" FROM "b"', "brackets"),
        ('DROP MEASUREMENT "a"', "neither SELECT"),
        ('SELECT mean("a") FROM "b"; SHOW TAG VALUES', "one statement"),
        ('SELECT mean("a") FROM "b" tz(\'Europe/Berlin\')', "time zones"),
    ],
)
def test_subset_finds_what_some_version_does_not_know(query: str, problem: str) -> None:
    assert any(problem in found for found in problems(query))


def test_names_and_patterns_are_no_code() -> None:
    query = 'SELECT mean("into; slimit(") FROM "b" WHERE "t" =~ /^show (a\\/b)$/ AND c = \'::\''

    assert problems(query) == []


def test_means_over_time_have_a_series_per_tag() -> None:
    query = over_time(GROUP, [Column(name="Power", field="gpu_power_w")], by=("group",))

    assert query.text == (
        'SELECT mean("gpu_power_w") AS "Power" FROM "group" WHERE $timeFilter AND '
        '"site" =~ /^$site$/ GROUP BY time($__interval), "group" fill(none)'
    )
    assert query.alias == "$tag_group"
    assert query.sources[0].field.unit == "W"


def test_energy_of_windows_is_the_rise_of_its_counter() -> None:
    query = used_over_time(FACILITY, {"IT": "it_energy_kwh"})

    assert query.text == (
        'SELECT non_negative_difference(last("it_energy_kwh")) AS "IT" FROM "facility" '
        'WHERE $timeFilter AND "site" =~ /^$site$/ GROUP BY time($window) fill(none)'
    )


def test_ratio_of_the_range_is_formed_after_summing() -> None:
    query = ratio_in_range(FACILITY, PUE)

    assert query.text == (
        'SELECT sum("facility_energy_kwh") / sum("it_energy_kwh") AS "PUE" FROM ('
        'SELECT non_negative_difference(last("facility_energy_kwh")) AS "facility_energy_kwh", '
        'non_negative_difference(last("it_energy_kwh")) AS "it_energy_kwh" FROM "facility" '
        'WHERE $timeFilter AND "site" =~ /^$site$/ GROUP BY time($__interval))'
    )


def test_rows_per_tag_are_summed_per_tag() -> None:
    query = used_in_range(METER, {"Work": "work_gpu_h"}, ratios=[PUE], by=("mode",))

    assert query.is_table
    assert query.text.count('"mode"') == 2
    assert query.text.endswith('GROUP BY time($__interval), "mode") GROUP BY "mode"')


def test_rest_is_the_whole_without_its_parts() -> None:
    query = rest_over_time(FACILITY, "Other", whole="facility_energy_kwh", parts=("it_energy_kwh",))

    assert query.text.startswith('SELECT "whole" - "part0" AS "Other" FROM (SELECT ')


@pytest.mark.parametrize(
    "make",
    [
        lambda: used_over_time(PLANT, {"IT": "it_power_w"}),
        lambda: used_in_range(PLANT, {"IT": "it_power_w"}),
        lambda: ratio_over_time(
            PLANT, Ratio(name="x", over="facility_power_w", under="it_power_w")
        ),
    ],
)
def test_powers_are_never_summed_or_divided(make: object) -> None:
    """A quotient of powers is no PUE, and a sum of powers no energy."""
    assert callable(make)
    with pytest.raises(ValueError, match="is no counter: its rises mean nothing"):
        make()


def test_field_or_tag_that_is_not_in_the_schema_is_refused() -> None:
    with pytest.raises(KeyError, match="has no field 'pue'"):
        newest(FACILITY, {"PUE": "pue"})
    with pytest.raises(KeyError, match="has no tag rack"):
        newest(FACILITY, {"IT": "it_power_w"}, by=("rack",))
    with pytest.raises(KeyError, match="has no tag group"):
        tag_values(FACILITY, "group")


def test_variable_offers_values_within_what_is_chosen() -> None:
    assert tag_values(GROUP, "group", "site", "rack") == (
        'SHOW TAG VALUES FROM "group" WITH KEY = "group" '
        'WHERE "site" =~ /^$site$/ AND "rack" =~ /^$rack$/'
    )


def test_macros_are_filled_in_as_grafana_does() -> None:
    target = Target(
        place="here",
        query='SELECT "a" FROM "b" WHERE $timeFilter AND "g" =~ /^$g$/ GROUP BY time($__interval)',
        min_interval="10s",
    )
    hour = Range(start_s=0.0, end_s=3600.0)

    text = expanded(target, hour, {"g": ["a/1", "b.2"]})

    assert text == (
        'SELECT "a" FROM "b" WHERE time >= 0ms and time <= 3600000ms AND '
        r'"g" =~ /^(a\/1|b\.2)$/ GROUP BY time(10s)'
    )


@pytest.mark.parametrize(
    ("span_s", "expected"), [(3600.0, "5s"), (86_400.0, "1m"), (7 * 86_400.0, "10m")]
)
def test_interval_is_rounded_to_grafanas_steps(span_s: float, expected: str) -> None:
    assert interval_text(interval_ms(Range(start_s=0.0, end_s=span_s), "")) == expected
