"""Tests of faults at work: what they take from plants, commands and readings."""

import numpy as np
import pytest

from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.faults.draw import FaultDraw
from coolcap_envs.faults.kinds import TRIPS, FaultKind
from coolcap_envs.faults.plan import FaultEvent, FaultPlan, load_plan
from coolcap_envs.faults.state import LEASE_TTL_S, UNLIMITED, FaultState
from coolcap_envs.site import load_site

LAYOUT = load_site("lab-16").layout
N = LAYOUT.group_count
INLET = GROUP_COLUMN["inlet_temp_c"]
SUPPLY = PLANT_COLUMN["supply_air_temp_c"]


def event(
    kind: FaultKind, *, start_s: float = 60.0, duration_s: float = 300.0, target: str = "",
    value: float = 0.0,
) -> FaultEvent:  # fmt: skip
    return FaultEvent(kind=kind, start_s=start_s, duration_s=duration_s, target=target, value=value)


class Runner:
    """Steps a state of two plants of which the first has the events; readings count up."""

    def __init__(self, *events: FaultEvent) -> None:
        self.state = FaultState(LAYOUT, plants=2)
        plan = FaultPlan(events=events)
        self.state.start(0, FaultDraw(plan, LAYOUT, np.random.SeedSequence(0)))
        self.now_s = np.zeros(2)
        self.commanded_w = np.full((2, N), 500.0)
        self.state.turn(self.now_s)

    def truth(self) -> tuple[FloatArray, FloatArray]:
        minute = float(self.now_s[0]) / 60.0
        return (
            np.full((2, N, len(GROUP_SIGNALS)), 20.0 + minute),
            np.full((2, len(PLANT_SIGNALS)), 20.0 + minute),
        )

    def look(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        groups, plant = self.truth()
        ages = np.zeros((2, N)), np.zeros((2, len(PLANT_SIGNALS)))
        self.state.spoil(groups, plant, *ages, commanded_w=self.commanded_w, now_s=self.now_s)
        return groups, plant, *ages

    def until(self, time_s: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Step as a plant does: turn, let 30 s pass, look."""
        seen = self.look()
        while self.now_s[0] < time_s:
            self.state.turn(self.now_s)
            self.state.effective_caps_w(self.commanded_w, dt_s=30.0)
            self.now_s += 30.0
            seen = self.look()
        self.state.turn(self.now_s)
        return seen


@pytest.mark.parametrize("kind", TRIPS)
def test_a_trip_leaves_its_share_and_ends(kind: FaultKind) -> None:
    runner = Runner(event(kind, value=0.4))
    column = TRIPS.index(kind)

    runner.until(30.0)
    assert runner.state.available[0, column] == 1.0
    runner.until(60.0)
    assert runner.state.available[0].tolist().count(1.0) == len(TRIPS) - 1
    assert runner.state.available[0, column] == 0.4
    assert np.all(runner.state.available[1] == 1.0)
    runner.until(360.0)
    assert np.all(runner.state.available == 1.0)


def test_of_two_trips_at_once_the_worse_holds_and_the_other_goes_on_after_it() -> None:
    runner = Runner(
        event(FaultKind.CRAH_TRIP, duration_s=600.0, value=0.7),
        event(FaultKind.CRAH_TRIP, start_s=120.0, duration_s=120.0, value=0.2),
    )

    shares = [(runner.until(time_s), runner.state.available[0, 0])[1] for time_s in (60, 150, 300)]

    assert shares == [0.7, 0.2, 0.7]


def test_a_biased_sensor_reads_beside_the_truth_and_the_hottest_inlet_follows() -> None:
    runner = Runner(event(FaultKind.SENSOR_BIAS, target=f"{LAYOUT.group_names[3]}:inlet_temp_c", value=2.5))  # fmt: skip  # noqa: E501

    groups, plant, _, _ = runner.until(120.0)

    assert groups[0, 3, INLET] == 22.0 + 2.5
    assert np.all(np.delete(groups[0, :, INLET], 3) == 22.0)
    assert plant[0, PLANT_COLUMN["inlet_temp_max_c"]] == 24.5
    assert np.all(groups[1] == 22.0)
    assert np.all(plant[1] == 22.0)


def test_a_stuck_sensor_keeps_its_value_and_comes_back() -> None:
    runner = Runner(event(FaultKind.SENSOR_STUCK, target="supply_air_temp_c"))

    seen = [float(runner.until(time_s)[1][0, SUPPLY]) for time_s in (60.0, 90.0, 300.0, 420.0)]

    assert seen == [21.0, 21.0, 21.0, 27.0]


def test_a_lost_sensor_gives_no_value() -> None:
    runner = Runner(event(FaultKind.SENSOR_DROPOUT, target="supply_air_temp_c"))

    plant = runner.until(120.0)[1]

    assert np.isnan(plant[0, SUPPLY])
    assert np.isnan(plant).sum() == 1


def test_a_delayed_sensor_gives_old_values() -> None:
    runner = Runner(
        event(FaultKind.SENSOR_DELAY, target="supply_air_temp_c", duration_s=900.0, value=120.0)
    )

    seen = [float(runner.until(time_s)[1][0, SUPPLY]) for time_s in (90.0, 150.0, 300.0, 600.0)]

    assert seen == [21.5, 21.5, 23.0, 28.0]


def test_reading_twice_gives_the_same() -> None:
    runner = Runner(
        event(FaultKind.SENSOR_STUCK, target="supply_air_temp_c"),
        event(FaultKind.SENSOR_DELAY, target="it_power_w", value=90.0),
        event(FaultKind.AGENT_SILENCE, target=LAYOUT.nodes[0]),
    )

    for time_s in (60.0, 120.0, 240.0):
        first = runner.until(time_s)
        for one, other in zip(first, runner.look(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_lost_node_works_no_more_hears_nothing_and_is_not_read() -> None:
    node = LAYOUT.nodes[1]
    members = np.array([name == node for name in LAYOUT.node_names])
    runner = Runner(event(FaultKind.NODE_LOSS, target=node))

    groups, plant, groups_age_s, _ = runner.until(150.0)

    assert np.all(runner.state.rate_max[0, members] == 0.0)
    assert np.all(runner.state.rate_max[0, ~members] == UNLIMITED)
    np.testing.assert_array_equal(runner.state.deaf[0], members)
    assert not runner.state.restored.any()
    assert np.isnan(groups[0, members]).all()
    assert np.all(groups_age_s[0, members] == 90.0)
    assert np.isfinite(groups[0, ~members]).all()
    assert np.isfinite(plant[0]).all()


def test_a_silent_agents_readings_grow_old_and_its_lease_runs_out() -> None:
    node = LAYOUT.nodes[0]
    members = np.array([name == node for name in LAYOUT.node_names])
    runner = Runner(event(FaultKind.AGENT_SILENCE, target=node))

    groups, _, groups_age_s, _ = runner.until(120.0)
    assert np.all(groups[0, members, INLET] == 21.0)  # of 60 s, the last before the silence
    assert np.all(groups_age_s[0, members] == 60.0)
    assert np.all(groups[0, ~members, INLET] == 22.0)
    np.testing.assert_array_equal(runner.state.deaf[0], members)
    assert not runner.state.restored.any()

    runner.until(60.0 + LEASE_TTL_S)
    np.testing.assert_array_equal(runner.state.restored[0], members)

    groups, _, groups_age_s, _ = runner.until(390.0)
    assert np.all(groups[0, :, INLET] == 26.5)
    assert not groups_age_s.any()
    assert not runner.state.deaf.any()
    assert not runner.state.restored.any()


def test_a_silent_plant_agent_leaves_the_groups_alone() -> None:
    runner = Runner(event(FaultKind.AGENT_SILENCE, target="plant"))

    groups, plant, groups_age_s, plant_age_s = runner.until(180.0)

    assert np.all(plant[0] == 21.0)
    assert np.all(plant_age_s[0] == 120.0)
    assert np.all(groups[0, :, INLET] == 23.0)
    assert not groups_age_s.any()
    assert runner.state.deaf_plant.tolist() == [True, False]
    assert runner.state.restored_plant.tolist() == [True, False]


def test_failing_cap_control_lags_and_overshoots_while_it_reports_the_cap() -> None:
    node = LAYOUT.nodes[2]
    members = np.array([name == node for name in LAYOUT.node_names])
    runner = Runner(event(FaultKind.CAP_OVERSHOOT, target=node, duration_s=3000.0, value=1.2))
    runner.until(60.0)
    runner.commanded_w = np.full((2, N), 300.0)
    caps = []
    for _ in range(40):
        runner.state.turn(runner.now_s)
        caps.append(runner.state.effective_caps_w(runner.commanded_w, dt_s=30.0))
        runner.now_s += 30.0

    failing = np.array(caps)[:, 0, members]
    assert np.all(failing[0] > 420.0)
    assert np.all(np.diff(failing, axis=0) <= 1e-9)
    assert failing[-1] == pytest.approx(np.full(members.sum(), 360.0), abs=0.1)
    assert np.all(np.array(caps)[:, 0, ~members] == 300.0)
    assert np.all(np.array(caps)[:, 1] == 300.0)
    reported = runner.look()[0][0, :, GROUP_COLUMN["power_limit_w"]]
    assert np.all(reported == 300.0)


def test_members_without_a_plan_cost_nothing_and_stay_whole() -> None:
    state = FaultState(LAYOUT, plants=3)

    assert not state.in_use
    assert state.turn(np.full(3, 1e6)) == []
    state.start(1, FaultDraw(load_plan("standard"), LAYOUT, np.random.SeedSequence(0)))
    assert state.in_use
    state.start(1, None)
    assert not state.in_use


def test_a_member_has_the_same_faults_alone_and_in_a_batch() -> None:
    plan = load_plan("standard")

    def history(plants: int, member: int) -> list[list[float]]:
        state = FaultState(LAYOUT, plants=plants)
        for b in range(plants):
            seed = np.random.SeedSequence(7 + b - member)
            state.start(b, FaultDraw(plan, LAYOUT, seed))
        seen = []
        for k in range(2880 * 2):
            state.turn(np.full(plants, 30.0 * k))
            seen.append([*state.available[member], *state.rate_max[member], *state.deaf[member]])
        return seen

    alone = history(1, 0)

    assert alone == history(3, 1)
    assert len({tuple(row) for row in alone}) > 2


def test_a_copy_has_the_same_faults_from_there_on() -> None:
    draw = FaultDraw(load_plan("standard"), LAYOUT, np.random.SeedSequence(1))
    first, second = FaultState(LAYOUT, plants=2), FaultState(LAYOUT, plants=3)
    first.start(1, draw)
    for k in range(600):
        first.turn(np.full(2, 30.0 * k))
    second.copy_member(2, first, 1)

    for k in range(600, 2880):
        first.turn(np.full(2, 30.0 * k))
        second.turn(np.full(3, 30.0 * k))
        np.testing.assert_array_equal(second.available[2], first.available[1])
        np.testing.assert_array_equal(second.deaf[2], first.deaf[1])
