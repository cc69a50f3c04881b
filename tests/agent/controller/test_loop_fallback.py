"""What takes over when policy or readings fail, and how the policy comes back."""

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import BlockedPolicy, ConstantPolicy, RaisingPolicy
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode
from coolcap_envs.safety.shield import Reason

SUPPLY = "supply_air_temp_setpoint_c"


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
