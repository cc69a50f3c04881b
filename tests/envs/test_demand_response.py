"""Tests of demand-response schedules."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.demand_response import DemandResponse, read_schedule
from coolcap_envs.site import load_site

LIMITS = load_site("lab-16").limits
SITE = LIMITS.budget_names.index("site")
SITE_W = float(LIMITS.budget_w[SITE])
JULY = dt.datetime(2025, 7, 15, tzinfo=dt.UTC).timestamp()

ON_THE_CALENDAR = """[[events]]
start_time = 2025-07-15T21:00:00Z
end_time = 2025-07-15T23:30:00Z
budget = "site"
power_w = 12000.0
source = "made up"
"""
EVERY_NIGHT = """[[events]]
from_hour = 22.0
to_hour = 2.0
budget = "site"
reduction_ratio = 0.25
source = "made up"
"""


def schedule(folder: Path, text: str) -> DemandResponse:
    path = folder / "events.toml"
    path.write_text(text, encoding="utf-8")
    return DemandResponse(read_schedule(str(path)), LIMITS, origin=str(path))


def site_w(response: DemandResponse, *hours: float, utc_offset_h: float = 0.0) -> list[float]:
    time_s = JULY + 3600.0 * np.array(hours)
    budget_w = response.budget_w(time_s, np.full(len(hours), utc_offset_h))
    return [float(value) for value in budget_w[:, SITE]]


def test_an_event_on_the_calendar_lowers_its_budget_while_it_lasts(tmp_path: Path) -> None:
    response = schedule(tmp_path, ON_THE_CALENDAR)

    assert site_w(response, 20.99, 21.0, 23.49, 23.5, 45.0) == [
        SITE_W, 12000.0, 12000.0, SITE_W, SITE_W,
    ]  # fmt: skip


def test_a_daily_event_follows_local_time_and_may_pass_midnight(tmp_path: Path) -> None:
    response = schedule(tmp_path, EVERY_NIGHT)
    lowered_w = 0.75 * SITE_W

    assert site_w(response, 2.9, 3.0, 6.9, 7.0, 27.0, utc_offset_h=-5.0) == [
        SITE_W, lowered_w, lowered_w, SITE_W, lowered_w,
    ]  # fmt: skip


def test_of_two_events_at_once_the_lower_budget_holds(tmp_path: Path) -> None:
    text = ON_THE_CALENDAR.replace("12000.0", f"{0.9 * SITE_W}") + EVERY_NIGHT

    assert site_w(schedule(tmp_path, text), 21.5, 22.5) == [
        pytest.approx(0.9 * SITE_W),
        0.75 * SITE_W,
    ]


def test_other_budgets_are_left_alone(tmp_path: Path) -> None:
    response = schedule(tmp_path, ON_THE_CALENDAR)
    budget_w = response.budget_w(np.array([JULY + 22 * 3600.0]), np.zeros(1))

    assert np.delete(budget_w[0], SITE).tolist() == np.delete(LIMITS.budget_w, SITE).tolist()


def test_all_problems_of_a_schedule_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        '[[events]]\nstart_time = 2025-07-15T21:00:00\nbudget = "site"\npower_w = 1\n'
        "reduction_ratio = 0.1\n"
        '[[events]]\nfrom_hour = 25\nto_hour = 2\nbudget = "site"\nsource = "x"\nwhy = 1\n'
        "[[events]]\nstart_time = 2025-07-15T21:00:00Z\nend_time = 2025-07-15T20:00:00Z\n"
        'budget = "site"\nreduction_ratio = 2\nsource = "x"\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        read_schedule(str(path))

    said = str(caught.value)
    assert said.startswith(str(path))
    assert "events[0].start_time = 2025-07-15 21:00:00 is not allowed: a time with zone" in said
    assert "events[0].end_time is missing" in said
    assert "events[0].power_w or reduction_ratio is needed, and only one of them" in said
    assert "events[0].source is missing" in said
    assert "events[1].from_hour = 25 h is outside 0 to 24 h" in said
    assert "events[1].power_w or reduction_ratio is needed" in said
    assert "unknown key 'events[1].why'" in said
    assert "events[2].end_time must come after start_time" in said
    assert "events[2].reduction_ratio = 2 (ratio) is outside 0 to 1" in said


def test_budgets_a_site_has_not_or_would_raise_are_refused(tmp_path: Path) -> None:
    text = ON_THE_CALENDAR.replace("12000.0", "9e6") + EVERY_NIGHT.replace('"site"', '"moon"')

    with pytest.raises(ConfigError) as caught:
        schedule(tmp_path, text)

    said = str(caught.value)
    assert f"events[0].power_w = 9e+06 W is above budget site itself, {SITE_W:g} W" in said
    assert "events[1].budget = 'moon' is not at the site: there are" in said
