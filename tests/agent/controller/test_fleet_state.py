"""Readings of GPUs become readings of groups, with ages."""

import numpy as np
import pytest

from coolcap_agent.controller.fleet_state import FleetState
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from support.small_site import SMALL_SITE, small_site

TWO_GPUS_A_GROUP = SMALL_SITE.replace("groups_per_node = 2", "groups_per_node = 1")
NOT_MEASURED = np.full(len(PLANT_SIGNALS), np.nan)


def rows(**columns: list[float]) -> FloatArray:
    """Return readings of a node's two GPUs; signals that are not named are 1."""
    values = np.ones((2, len(GROUP_SIGNALS)))
    for name, column in columns.items():
        values[:, GROUP_COLUMN[name]] = column
    return values


def fleet(text: str = TWO_GPUS_A_GROUP) -> FleetState:
    return FleetState(small_site(text)[0], start_time_s=1000.0)


def at(state: FleetState, time_s: float) -> Telemetry:
    return state.snapshot(lambda: time_s)[0]


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("gpu_power_w", 350.0),  # mean
        ("it_power_w", 700.0),  # sum
        ("gpu_temp_c", 400.0),  # max
        ("work_gpu_h", 700.0),  # sum
        ("work_rate_ratio", 350.0),  # mean
    ],
)
def test_group_is_reduced_by_the_aggregation_of_the_signal(signal: str, expected: float) -> None:
    state = fleet()
    state.take_node("node-2", rows(**{signal: [300.0, 400.0]}), measure_time_s=1000.0)

    assert expected == at(state, 1000.0).group(signal)[1]


def test_each_gpu_can_be_a_group_of_its_own() -> None:
    state = fleet(SMALL_SITE)
    state.take_node("node-2", rows(gpu_power_w=[300.0, 400.0]), measure_time_s=1000.0)

    power_w = at(state, 1000.0).group("gpu_power_w")

    assert power_w[2:].tolist() == [300.0, 400.0]
    assert np.isnan(power_w[:2]).all()


def test_group_with_a_gpu_that_says_nothing_is_unknown() -> None:
    """Half a group is no basis for the other half."""
    state = fleet()
    state.take_node("node-1", rows(gpu_temp_c=[60.0, np.nan]), measure_time_s=1000.0)

    assert np.isnan(at(state, 1000.0).group("gpu_temp_c")[0])


def test_ages_count_from_the_measure_time_of_each_node() -> None:
    state = fleet()
    state.take_node("node-1", rows(), measure_time_s=1005.0)
    state.take_node("node-2", rows(), measure_time_s=1010.0)

    assert at(state, 1012.0).groups_age_s.tolist() == [7.0, 2.0]


def test_lost_node_is_unknown_and_grows_older_while_the_others_stay() -> None:
    state = fleet()
    for node in ("node-1", "node-2"):
        state.take_node(node, rows(), measure_time_s=1005.0)

    state.lose_node("node-1")
    seen = at(state, 1025.0)

    assert np.isnan(seen.groups[0]).all()
    assert (seen.groups[1] > 0.0).all()
    assert seen.groups_age_s.tolist() == [20.0, 20.0]


def test_node_never_heard_of_is_as_old_as_the_controller() -> None:
    assert at(fleet(), 1060.0).groups_age_s.tolist() == [60.0, 60.0]


def test_reading_from_the_future_is_never_fresh() -> None:
    """Such a clock is wrong, and its readings may be of any age."""
    state = fleet()
    state.take_node("node-1", rows(), measure_time_s=2000.0)

    assert np.isinf(at(state, 1000.0).groups_age_s[0])


def test_snapshot_is_not_changed_by_later_readings() -> None:
    state = fleet()
    state.take_node("node-1", rows(gpu_power_w=[300.0, 300.0]), measure_time_s=1000.0)
    before = at(state, 1000.0)

    state.take_node("node-1", rows(gpu_power_w=[1.0, 1.0]), measure_time_s=1001.0)

    assert before.group("gpu_power_w")[0] == 300.0


def test_snapshot_tells_whose_telemetry_of_which_time_it_holds() -> None:
    state = fleet()
    state.take_node("node-1", rows(), measure_time_s=1005.0)
    state.take_plant("plant", NOT_MEASURED, NOT_MEASURED, measure_time_s=1007.0)

    assert state.snapshot(lambda: 1010.0)[1] == {"node-1": 1005.0, "plant": 1007.0}


def test_plant_signal_keeps_its_own_age() -> None:
    state = fleet()
    values, times_s = NOT_MEASURED.copy(), NOT_MEASURED.copy()
    supply, wet_bulb = PLANT_COLUMN["supply_air_temp_c"], PLANT_COLUMN["wet_bulb_temp_c"]
    values[[supply, wet_bulb]] = 20.0, 15.0
    times_s[[supply, wet_bulb]] = 1009.0, 1002.0
    state.take_plant("plant", values, times_s, measure_time_s=1010.0)

    ages_s = at(state, 1010.0).plant_age_s

    assert ages_s[[supply, wet_bulb]].tolist() == [1.0, 8.0]


def take_ranges(state: FleetState) -> None:
    for node in ("node-1", "node-2"):
        state.take_cap_range(
            node,
            low_w=np.array([150.0, 250.0]),
            high_w=np.array([480.0, 450.0]),
            commandable=np.array([True, True]),
        )
        state.set_obeys(node, True)


def test_cap_range_is_what_site_and_all_gpus_of_the_group_allow() -> None:
    state = fleet()
    take_ranges(state)
    limits = small_site(TWO_GPUS_A_GROUP)[1]

    narrowed = state.narrow(limits)

    assert narrowed.power_cap_min_w.tolist() == [250.0, 250.0]
    assert narrowed.power_cap_max_w.tolist() == [450.0, 450.0]


@pytest.mark.parametrize(
    ("limits_w", "expected_w"), [([380.0, 400.0], 400.0), ([np.nan, 400.0], 500.0)]
)
def test_node_that_does_not_obey_is_held_to_what_it_may_draw(
    limits_w: list[float], expected_w: float
) -> None:
    state = fleet()
    take_ranges(state)
    state.take_node("node-1", rows(power_limit_w=limits_w), measure_time_s=1000.0)
    state.set_obeys("node-1", False)

    narrowed = state.narrow(small_site(TWO_GPUS_A_GROUP)[1])

    assert expected_w == narrowed.power_cap_min_w[0] == narrowed.power_cap_max_w[0]
    assert narrowed.power_cap_min_w[1] == 250.0


def test_group_with_one_read_only_gpu_is_not_commanded() -> None:
    state = fleet()
    take_ranges(state)
    state.take_cap_range(
        "node-2",
        low_w=np.array([150.0, 150.0]),
        high_w=np.array([500.0, 500.0]),
        commandable=np.array([True, False]),
    )

    state.take_node("node-2", rows(power_limit_w=[400.0, 380.0]), measure_time_s=1000.0)

    narrowed = state.narrow(small_site(TWO_GPUS_A_GROUP)[1])

    assert 400.0 == narrowed.power_cap_min_w[1] == narrowed.power_cap_max_w[1]


def test_lever_range_is_what_site_and_agent_allow() -> None:
    state = fleet()
    low, high = np.full(6, np.nan), np.full(6, np.nan)
    low[0], high[0] = 18.0, 40.0
    state.take_lever_range(low=low, high=high)
    limits = small_site(TWO_GPUS_A_GROUP)[1]

    narrowed = state.narrow(limits)

    assert (narrowed.lever_low[0], narrowed.lever_high[0]) == (18.0, 26.0)
    assert (narrowed.lever_low[1], narrowed.lever_high[1]) == (7.0, 20.0)
    assert np.isnan(narrowed.lever_low[4])


def test_node_that_may_have_restored_counts_with_the_highest_limit() -> None:
    """Its lease is over, so that what it was last seen with says nothing any more."""
    state = fleet()
    take_ranges(state)
    state.take_node("node-1", rows(power_limit_w=[300.0, 300.0]), measure_time_s=1000.0)
    state.set_obeys("node-1", False, limit_known=False)

    narrowed = state.narrow(small_site(TWO_GPUS_A_GROUP)[1])

    assert narrowed.power_cap_min_w[0] == narrowed.power_cap_max_w[0] == 500.0
