"""Canary, switchback, and how the policy takes over: who decides about which group, and when."""

import dataclasses

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, RaisingPolicy
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.recovery import RECOVER_MAX_PER_DAY
from coolcap_agent.controller.steering_status import arm_messages
from coolcap_agent.controller.switchback import Arm, Plan
from coolcap_agent.controller.takeover import TAKEOVER_TICK_COUNT
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.action import CAP_RESIDUAL_RATIO
from coolcap_proto.v1 import controller_pb2

BEGIN_S = 1_000_000.0


def plan(pair_count: int = 4) -> Plan:
    return Plan(start_time_s=BEGIN_S, block_s=600.0, washout_s=120.0, pair_count=pair_count, seed=7)


def test_canary_moves_its_groups_only_and_leaves_the_plant_to_the_rule() -> None:
    bench = LoopBench(ConstantPolicy(-1.0), wishes=Wishes(canary_ratio=0.5))

    bench.decide(TAKEOVER_TICK_COUNT)

    record = bench.records[-1]
    own = record.division.groups
    sent_w, rule_w = record.shielded.setpoints.power_cap_w, record.baseline.power_cap_w
    assert own.sum() == 2
    assert np.all(sent_w[own] < rule_w[own] - 50.0)
    assert np.allclose(sent_w[~own], rule_w[~own])
    assert np.allclose(record.shielded.setpoints.plant[:2], record.baseline.plant[:2])


def test_canary_and_the_others_are_reported_apart() -> None:
    bench = LoopBench(ConstantPolicy(-1.0), wishes=Wishes(canary_ratio=0.25))
    bench.decide(TAKEOVER_TICK_COUNT)
    bench.guard()

    policy, rule = arm_messages(bench.loop.state, bench.plant.layout)

    assert (policy.arm, policy.group_count) == (controller_pb2.ARM_POLICY, 1)
    assert (rule.arm, rule.group_count) == (controller_pb2.ARM_BASELINE, 3)
    assert policy.power_cap_w < rule.power_cap_w - 50.0


def test_whole_hall_under_the_policy_has_no_arms_to_compare() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()

    assert list(arm_messages(bench.loop.state, bench.plant.layout)) == []


def test_canary_of_nothing_is_the_rule() -> None:
    bench = LoopBench(ConstantPolicy(-1.0), wishes=Wishes(canary_ratio=0.0))

    bench.decide(3)

    assert {record.actor for record in bench.records} == {Actor.BASELINE}


def test_switchback_lets_policy_and_rule_take_turns_as_planned() -> None:
    bench = LoopBench(ConstantPolicy(-0.5), wishes=Wishes(switchback=plan()))

    bench.decide(159)

    for record in bench.records:
        turn = plan().at(record.time_s)
        assert turn == record.division.turn
        assert turn is not None
        wanted = Actor.POLICY if turn.arm is Arm.POLICY else Actor.BASELINE
        assert record.actor is wanted, record.time_s
    assert bench.mode() is Mode.AUTO


def test_policy_decides_all_the_time_once_the_switchback_is_over() -> None:
    bench = LoopBench(ConstantPolicy(-0.5), wishes=Wishes(switchback=plan(pair_count=1)))
    bench.decide(40)

    bench.decide()

    assert bench.records[-1].division.turn is None
    assert bench.records[-1].actor is Actor.POLICY


def test_baselines_turn_is_no_failure() -> None:
    bench = LoopBench(ConstantPolicy(-0.5), wishes=Wishes(switchback=plan()))

    bench.decide(40)

    assert bench.loop.state.missed_count == 0
    assert bench.loop.state.failure == ""


def largest_step(bench: LoopBench, policy: ConstantPolicy) -> tuple[float, float]:
    """Return the largest move of a cap (W) and of the supply air (K) over turns both ways."""
    caps_w = np.array([r.shielded.setpoints.power_cap_w for r in bench.records])
    supply_c = np.array([r.shielded.setpoints.plant[0] for r in bench.records])
    return float(np.abs(np.diff(caps_w, axis=0)).max()), float(np.abs(np.diff(supply_c)).max())


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_turns_change_hands_without_a_bump_in_both_directions(value: float) -> None:
    """Full corrections are a share of each range; they come in five parts and stay when they go."""
    policy = ConstantPolicy(value)
    bench = LoopBench(policy, wishes=Wishes(switchback=plan()))
    bench.decide(159)
    span_w = float(np.ptp([bench.plant.limits.power_cap_min_w, bench.plant.limits.power_cap_max_w]))

    cap_w, supply_k = largest_step(bench, policy)

    assert cap_w <= CAP_RESIDUAL_RATIO * span_w / TAKEOVER_TICK_COUNT + 12.0
    assert supply_k <= float(bench.plant.limits.lever_fall_max_per_min[0]) * 0.5 + 1e-9


def test_policy_takes_over_in_equal_parts() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))

    bench.decide(TAKEOVER_TICK_COUNT + 1)

    parts = [record.authority for record in bench.records]
    assert parts == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_policy_that_keeps_failing_waits_for_a_person() -> None:
    policy = RaisingPolicy()
    bench = LoopBench(policy)
    for _ in range(RECOVER_MAX_PER_DAY + 1):
        policy.broken = True
        bench.decide()
        policy.broken = False
        bench.decide(3)

    assert bench.mode() is Mode.FALLBACK
    bench.decide(20)
    assert bench.mode() is Mode.FALLBACK

    bench.loop.ask_mode(Mode.AUTO, reason="the driver was updated", reset_trip=False)
    bench.decide()
    assert bench.mode() is Mode.AUTO


def test_switchback_asked_for_in_auto_begins_at_its_time() -> None:
    bench = LoopBench(ConstantPolicy(-0.5))
    bench.decide()
    later = dataclasses.replace(plan(), start_time_s=bench.plant.time_s + 300.0)

    bench.loop.wish(dataclasses.replace(bench.loop.state.wishes, switchback=later))
    bench.decide(9)
    assert bench.records[-1].division.turn is None

    bench.decide()
    assert bench.records[-1].division.turn is not None
