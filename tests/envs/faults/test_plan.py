"""Tests of plans of faults: reading, checking, drawing."""

from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.faults.draw import GRID_S, FaultDraw
from coolcap_envs.faults.kinds import MEANINGS, FaultKind, targets
from coolcap_envs.faults.plan import FaultEvent, FaultPlan, FaultRate, load_plan, shipped_plans
from coolcap_envs.site import load_site

LAYOUT = load_site("lab-16").layout


def draw_of(plan: FaultPlan, seed: int = 0) -> FaultDraw:
    return FaultDraw(plan, LAYOUT, np.random.SeedSequence(seed))


def test_every_kind_says_what_it_means() -> None:
    assert set(MEANINGS) == set(FaultKind)
    for kind, meaning in MEANINGS.items():
        assert meaning.low <= meaning.default <= meaning.high, kind


@pytest.mark.parametrize("name", shipped_plans())
def test_shipped_plans_load_and_fit_the_shipped_sites(name: str) -> None:
    plan = load_plan(name)

    assert {rate.kind for rate in plan.rates} == set(FaultKind)
    for site in ("lab-16", "air-1mw", "dlc-rack-scale"):
        plan.check(load_site(site).layout)


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bad-day.toml"
    path.write_text(
        '[[events]]\nkind = "chiller-trip"\nstart_s = 3600\nduration_s = 600\n'
        '[[rates]]\nkind = "sensor-bias"\nper_day = 2\nmean_s = 900\nlow = -1\nhigh = 3\n'
        'target = "supply_air_temp_c"\n',
        encoding="utf-8",
    )

    plan = load_plan(str(path))

    assert plan.events == (
        FaultEvent(kind=FaultKind.CHILLER_TRIP, start_s=3600.0, duration_s=600.0, value=0.0),
    )
    assert plan.rates[0].target == "supply_air_temp_c"


def test_all_problems_of_a_plan_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        '[[events]]\nkind = "meteor"\nstart_s = -1\nduration_s = 600\n'
        '[[events]]\nkind = "pump-trip"\nstart_s = 0\nvalue = 2\n'
        '[[rates]]\nkind = "sensor-bias"\nper_day = 1\nmean_s = 900\nlow = 3\nhigh = 1\nwho = 1\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        load_plan(str(path))

    said = str(caught.value)
    assert said.startswith(str(path))
    assert "events[0].kind = 'meteor' is not allowed: one of crah-trip, chiller-trip" in said
    assert "events[0].start_s = -1 s is outside 0 to" in said
    assert "events[1].duration_s is missing" in said
    assert "events[1].value = 2 (share that stays fit to run) is outside 0 to 1" in said
    assert "rates[0].low = 3 exceeds high = 1" in said
    assert "unknown key 'rates[0].who'" in said


def test_an_unknown_plan_is_refused_with_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"is no shipped plan of faults \(standard\)"):
        load_plan("friday")


def test_targets_that_a_site_has_not_are_refused_at_once() -> None:
    plan = FaultPlan(
        name="mine",
        events=(
            FaultEvent(kind=FaultKind.NODE_LOSS, start_s=0.0, duration_s=60.0, target="node-99"),
            FaultEvent(kind=FaultKind.PUMP_TRIP, start_s=0.0, duration_s=60.0, target="pump-1"),
        ),
        rates=(
            FaultRate(kind=FaultKind.SENSOR_BIAS, per_day=1.0, mean_s=60.0, target="it_power_w"),
        ),
    )

    with pytest.raises(ConfigError) as caught:
        plan.check(LAYOUT)

    said = str(caught.value)
    assert "mine: events[0].target = 'node-99' is not at lab-16: allowed are node-01, " in said
    assert "events[1].target = 'pump-1' is not allowed: pump-trip hits all of its kind" in said
    assert "rates[0].target = 'it_power_w' is not at lab-16: allowed are supply_air_temp_c" in said


def test_a_site_without_liquid_cooling_has_no_sensors_of_it() -> None:
    assert not [name for name in targets(FaultKind.SENSOR_STUCK, LAYOUT) if "cdu" in name]


def test_events_of_a_day_depend_on_seed_and_day_only() -> None:
    plan = load_plan("standard")

    in_order, alone = draw_of(plan, 3), draw_of(plan, 3)
    first = [in_order.day(k) for k in range(4)]

    assert alone.day(2) == first[2]
    assert first[0] != first[1]
    assert draw_of(plan, 4).day(2) != first[2]


def test_rates_hold_in_the_long_run() -> None:
    rate = FaultRate(kind=FaultKind.CRAH_TRIP, per_day=3.0, mean_s=1200.0, low=0.2, high=0.6)
    draw = draw_of(FaultPlan(rates=(rate,)))
    events = [event for day in range(400) for event in draw.day(day)]

    assert len(events) / 400 == pytest.approx(3.0, rel=0.1)
    assert np.mean([e.duration_s for e in events]) == pytest.approx(1200.0, rel=0.1)
    assert np.mean([e.value for e in events]) == pytest.approx(0.4, rel=0.05)
    assert all(e.start_s % GRID_S == 0.0 and e.duration_s % GRID_S == 0.0 for e in events)


def test_targets_that_are_not_given_are_drawn_from_all() -> None:
    rate = FaultRate(kind=FaultKind.AGENT_SILENCE, per_day=50.0, mean_s=60.0)
    events = draw_of(FaultPlan(rates=(rate,))).day(0)

    assert {e.target for e in events} == {*LAYOUT.nodes, "plant"}
