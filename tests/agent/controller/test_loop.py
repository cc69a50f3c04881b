"""The loop over a plant in memory: who decides, what is sent, and when."""

import threading

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from coolcap_agent.controller.budgets import BudgetChange
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode, ModeError
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.observation import Observation
from coolcap_envs.safety.shield import Reason

SUPPLY = "supply_air_temp_setpoint_c"


def set_budget(bench: LoopBench, budget_w: float) -> None:
    change = BudgetChange(budget_w=budget_w, start_time_s=0.0, end_time_s=np.inf, reason="test")
    bench.budgets.set("site", change, other_w=np.full(4, 40.0))


class ConstantPolicy:
    """Asks the same of every lever."""

    name = "constant"

    def __init__(self, value: float) -> None:
        self.value = value
        self.seen: list[Observation] = []

    def act(self, observation: Observation) -> Action:
        self.seen.append(observation)
        neutral = Action.neutral(*observation.groups.shape[:-1])
        return Action(groups=neutral.groups + self.value, plant=neutral.plant + self.value)


class RaisingPolicy:
    """Fails until told to stop."""

    name = "raising"

    def __init__(self) -> None:
        self.broken = True

    def act(self, observation: Observation) -> Action:
        if self.broken:
            raise ZeroDivisionError("weights are zero")
        return Action.neutral(*observation.groups.shape[:-1])


class BlockedPolicy:
    """Answers when it is let go."""

    name = "blocked"

    def __init__(self) -> None:
        self.go = threading.Event()

    def act(self, observation: Observation) -> Action:
        self.go.wait(30.0)
        return Action.neutral(*observation.groups.shape[:-1])


def test_policy_moves_caps_around_the_rule() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))

    bench.decide()

    record = bench.records[-1]
    assert record.actor is Actor.POLICY
    assert record.asked is not None
    assert np.all(record.asked.power_cap_w < record.baseline.power_cap_w)
    assert np.array_equal(bench.plant.cap_w, record.shielded.setpoints.power_cap_w)


def test_loop_in_auto_wants_leases_at_every_tick() -> None:
    bench = LoopBench()

    bench.decide()
    bench.guard()

    assert bench.plant.leases_wanted == [(True, True)] * 2


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ADVISE])
def test_shadow_and_advise_decide_and_send_nothing(mode: Mode) -> None:
    bench = LoopBench(ConstantPolicy(-1.0), mode=mode)

    bench.decide(3)
    bench.guard(3)

    assert bench.plant.applied + bench.plant.adjusted == []
    assert {(False, False)} == set(bench.plant.leases_wanted)
    assert [record.actor for record in bench.records] == [Actor.POLICY] * 3
    assert np.isnan(bench.records[-1].commanded.power_cap_w).all()


def test_off_decides_nothing() -> None:
    bench = LoopBench(mode=Mode.OFF)

    bench.decide(2)

    assert bench.records == []
    assert bench.plant.applied == []


def test_shadow_rule_starts_each_time_from_what_is_in_force() -> None:
    """Advice is about the next step from here, and switching to auto makes no jump."""
    bench = LoopBench(mode=Mode.SHADOW)
    bench.decide(20)
    bench.plant.cap_w = np.full(4, 300.0)
    bench.decide()

    assert np.allclose(bench.records[-1].baseline.power_cap_w, 300.0, atol=10.0)

    bench.loop.ask_mode(Mode.AUTO, reason="test", reset_trip=False)
    before = bench.plant.levers[SUPPLY]
    bench.decide()
    assert bench.plant.levers[SUPPLY] == pytest.approx(before, abs=0.11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_action_that_is_not_finite_leaves_the_rule_in_charge(value: float) -> None:
    bench = LoopBench(ConstantPolicy(value))

    bench.decide()

    assert bench.mode() is Mode.FALLBACK
    assert bench.records[-1].actor is Actor.RULE
    assert "not finite" in bench.loop.state.mode.reason
    assert np.isfinite(bench.plant.applied[-1].power_cap_w).all()


def test_policy_that_raises_leaves_the_rule_in_charge_and_says_what_it_raised() -> None:
    bench = LoopBench(RaisingPolicy())

    bench.decide()

    assert bench.mode() is Mode.FALLBACK
    assert "ZeroDivisionError: weights are zero" in bench.records[-1].failure


def test_policy_that_works_again_acts_after_three_good_decisions() -> None:
    policy = RaisingPolicy()
    bench = LoopBench(policy)
    bench.decide(2)
    policy.broken = False

    bench.decide(2)
    assert bench.mode() is Mode.FALLBACK

    bench.decide()
    assert bench.mode() is Mode.AUTO
    assert bench.records[-1].actor is Actor.POLICY


def test_policy_that_misses_its_deadline_is_not_waited_for() -> None:
    policy = BlockedPolicy()
    bench = LoopBench(policy, deadline_s=0.02)

    bench.decide()
    assert bench.records[-1].actor is Actor.RULE
    assert "no answer within 0.02 s" in bench.records[-1].failure

    bench.decide()
    assert "still works on an earlier observation" in bench.records[-1].failure
    policy.go.set()


def test_hand_over_from_policy_to_rule_keeps_what_is_in_force() -> None:
    """The rule, far from where the policy left the devices, must not pull them back at once."""
    policy = ConstantPolicy(1.0)
    bench = LoopBench(policy)
    bench.plant.cap_w = np.full(4, 300.0)
    bench.decide(10)
    before_w, before = bench.plant.cap_w.copy(), dict(bench.plant.levers)
    policy.value = np.nan

    bench.decide()

    assert np.array_equal(before_w, bench.plant.cap_w)
    assert before == bench.plant.levers


def test_missing_plant_reading_makes_setpoints_safe_at_the_next_fast_tick() -> None:
    bench = LoopBench()
    bench.plant.levers[SUPPLY] = 24.0
    bench.decide()
    bench.plant.plant["inlet_temp_max_c"] = np.nan

    bench.guard()

    assert bench.mode() is Mode.FALLBACK
    assert bench.records[-1].actor is Actor.SAFE
    assert "inlet_temp_max_c of the plant is missing or NaN" in bench.loop.state.failure
    assert bench.plant.levers[SUPPLY] < 24.0
    assert np.array_equal(bench.plant.adjusted[-1].power_cap_w, bench.plant.cap_w)


def test_safe_setpoints_are_sent_once_and_then_with_each_decision() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.plant["inlet_temp_max_c"] = np.nan

    bench.guard(5)

    assert len(bench.plant.adjusted) == 1


def test_old_telemetry_is_not_acted_on() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.age_s = 91.0

    bench.decide()

    assert bench.mode() is Mode.FALLBACK
    assert "91.0 s old; at most 90 s" in bench.loop.state.mode.reason


def test_rule_goes_on_from_what_safe_setpoints_left() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.plant["inlet_temp_max_c"] = np.nan
    bench.decide(4)
    left = bench.plant.levers[SUPPLY]
    del bench.plant.plant["inlet_temp_max_c"]

    bench.decide()

    assert bench.records[-1].actor is Actor.RULE
    assert bench.plant.levers[SUPPLY] == pytest.approx(left, abs=0.11)


def test_silent_node_leaves_the_policy_to_the_others() -> None:
    """Its groups keep what they have; the others are decided as if it were not there."""
    policy = ConstantPolicy(-0.5)
    bench = LoopBench(policy)
    bench.plant.group["gpu_temp_c"] = np.array([np.nan, np.nan, 60.0, 60.0])
    bench.plant.groups_age_s = np.array([200.0, 200.0, 1.0, 1.0])

    bench.decide()

    assert bench.mode() is Mode.AUTO
    assert policy.seen[-1].groups.shape[:1] == (2,)
    record = bench.records[-1]
    assert record.groups_fit.tolist() == [False, False, True, True]
    assert record.observation is not None
    assert np.isnan(record.observation.groups[:2]).all()
    stale = record.shielded.group_reasons & Reason.STALE
    assert np.all(bench.plant.cap_w[:2] <= 450.0)
    assert not stale[2:].any()


def test_most_nodes_silent_is_no_basis_for_a_decision() -> None:
    bench = LoopBench()
    bench.plant.groups_age_s = np.array([200.0, 200.0, 200.0, 1.0])

    bench.decide()

    assert bench.mode() is Mode.FALLBACK
    assert bench.records[-1].actor is Actor.SAFE


def test_group_that_does_not_obey_counts_with_what_it_may_draw() -> None:
    """The others make room for it, or the budget would hold on paper only."""
    obedient, partly = LoopBench(), LoopBench()
    for bench in (obedient, partly):
        bench.plant.group["gpu_power_w"] = 440.0
        bench.plant.cap_w = np.full(4, 500.0)
        set_budget(bench, 2000.0)
    partly.plant.obeys = np.array([True, True, True, False])

    obedient.decide()
    partly.decide()

    assert partly.plant.cap_w[3] == 500.0
    assert np.all(partly.plant.cap_w[:3] < obedient.plant.cap_w[:3])


def test_hold_keeps_the_last_command_whatever_the_policy_asks() -> None:
    policy = ConstantPolicy(-1.0)
    bench = LoopBench(policy)
    bench.decide(2)
    kept_w, kept = bench.plant.cap_w.copy(), dict(bench.plant.levers)
    bench.loop.ask_mode(Mode.HOLD, reason="test", reset_trip=False)
    policy.value = 1.0

    bench.decide(5)

    assert bench.records[-1].actor is Actor.HOLD
    assert np.array_equal(kept_w, bench.plant.cap_w)
    assert kept == bench.plant.levers


def test_hold_cannot_follow_off() -> None:
    bench = LoopBench(mode=Mode.OFF)

    with pytest.raises(ModeError, match="hold cannot follow off"):
        bench.loop.ask_mode(Mode.HOLD, reason="test", reset_trip=False)


def test_release_gives_up_leases_and_forgets_commands() -> None:
    bench = LoopBench()
    bench.decide()

    state = bench.loop.release(reason="test")

    bench.guard()
    assert state.mode is Mode.OFF
    assert bench.plant.leases_wanted[-1] == (False, False)
    assert np.isnan(bench.loop.state.commanded.power_cap_w).all()


def test_hall_that_stays_too_hot_trips_and_hands_cooling_back() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.plant["inlet_temp_max_c"] = 33.0

    bench.decide(4)
    assert bench.mode() is Mode.AUTO
    bench.decide()

    assert bench.mode() is Mode.TRIPPED
    assert "above 32 °C for 120 s" in bench.loop.state.mode.reason
    assert bench.plant.leases_wanted[-1] == (True, False)
    sent = len(bench.plant.applied)
    bench.decide(3)
    assert sent == len(bench.plant.applied)


def test_trip_is_left_by_a_person_with_a_reset_only() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.plant["inlet_temp_max_c"] = 33.0
    bench.decide(6)
    with pytest.raises(ModeError, match="--reset-trip"):
        bench.loop.ask_mode(Mode.AUTO, reason="test", reset_trip=False)
    bench.plant.plant["inlet_temp_max_c"] = 24.0

    state = bench.loop.ask_mode(Mode.AUTO, reason="filter changed", reset_trip=True)

    assert state.mode is Mode.AUTO
    bench.decide()
    assert bench.mode() is Mode.AUTO


def test_short_excursion_does_not_trip() -> None:
    bench = LoopBench()
    for _ in range(5):
        bench.plant.plant["inlet_temp_max_c"] = 33.0
        bench.decide(3)
        bench.plant.plant["inlet_temp_max_c"] = 26.0
        bench.decide()

    assert bench.mode() is Mode.AUTO


def test_record_holds_latencies_and_counts() -> None:
    bench = LoopBench(RaisingPolicy())

    bench.decide(3)

    assert bench.loop.state.tick_count == 3
    assert bench.loop.state.missed_count == 3
    assert [record.number for record in bench.records] == [1, 2, 3]
    assert all(record.latency_s >= record.policy_latency_s >= 0.0 for record in bench.records)


def drawn_at_worst_w(bench: LoopBench) -> float:
    """IT power with every GPU at its cap: 40 W beside each (small site), 3 % margin."""
    return float((bench.plant.cap_w + 40.0).sum() * 1.03)


def test_lower_budget_is_met_at_the_next_fast_tick() -> None:
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide()
    set_budget(bench, 1500.0)
    assert drawn_at_worst_w(bench) > 1500.0

    bench.guard()

    assert drawn_at_worst_w(bench) <= 1500.0 * (1.0 + 1e-6)
    record = bench.records[-1]
    assert record.actor is Actor.GUARD
    assert np.all(record.shielded.group_reasons & Reason.BUDGET)
    assert len(bench.plant.adjusted) == 1


@pytest.mark.parametrize("value", [1.0, -1.0, np.nan])
def test_no_policy_breaks_a_budget(value: float) -> None:
    bench = LoopBench(ConstantPolicy(value))
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    set_budget(bench, 1500.0)

    for _ in range(20):
        bench.decide()
        assert drawn_at_worst_w(bench) <= 1500.0 * (1.0 + 1e-6)


def test_budget_that_cannot_be_kept_is_named() -> None:
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide()
    assert not bench.loop.state.budgets_short
    bench.plant.obeys = np.array([True, True, False, False])
    set_budget(bench, 1400.0)

    bench.guard()

    assert bench.loop.state.budgets_short == ("site",)


def test_guard_sends_nothing_while_all_is_well() -> None:
    bench = LoopBench()
    bench.decide()

    bench.guard(20)

    assert bench.plant.adjusted == []
    assert len(bench.records) == 1


def test_guard_cuts_caps_and_cools_more_when_cooling_is_lost() -> None:
    bench = LoopBench()
    bench.decide()
    cap_w, supply_c = bench.plant.cap_w.copy(), bench.plant.levers[SUPPLY]
    bench.plant.group["inlet_temp_c"] = 30.0
    bench.plant.plant["inlet_temp_max_c"] = 30.0

    bench.guard(2)

    assert np.all(bench.plant.cap_w < cap_w - 40.0)
    assert bench.plant.levers[SUPPLY] < supply_c


def test_guard_raises_nothing() -> None:
    """Raising is for decisions; between them a cap may only fall."""
    bench = LoopBench(ConstantPolicy(1.0))
    bench.plant.cap_w = np.full(4, 250.0)
    bench.decide()
    cap_w = bench.plant.cap_w.copy()
    bench.plant.group["inlet_temp_c"] = 28.0

    bench.guard(5)

    assert np.all(bench.plant.cap_w <= cap_w)


def test_hold_still_keeps_budgets() -> None:
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide()
    bench.loop.ask_mode(Mode.HOLD, reason="test", reset_trip=False)
    set_budget(bench, 1500.0)

    bench.guard()

    assert drawn_at_worst_w(bench) <= 1500.0 * (1.0 + 1e-6)
