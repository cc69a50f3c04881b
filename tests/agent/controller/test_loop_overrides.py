"""Values in the hand of people or of the plant's own control."""

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, RaisingPolicy, set_budget
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode

SUPPLY = "supply_air_temp_setpoint_c"
RELUCTANT = "chilled water is in the hand of the operator's panel"


def test_override_of_a_cap_enters_overridden_and_is_sent_at_the_next_fast_tick() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.decide()

    bench.override("node-2/0", 300.0)
    bench.guard()

    assert bench.mode() is Mode.OVERRIDDEN
    assert "node-2/0 is overridden by operator: a test" in bench.loop.state.mode.reason
    assert bench.records[-1].actor is Actor.OVERRIDE
    assert bench.plant.cap_w[2] == 300.0
    assert np.isnan(bench.plant.adjusted[-1].power_cap_w[[0, 1, 3]]).all()


def test_rule_decides_about_the_rest_while_something_is_overridden() -> None:
    policy = ConstantPolicy(-1.0)
    bench = LoopBench(policy)
    bench.decide()
    bench.override("node-2/0", 300.0)

    bench.decide(3)

    record = bench.records[-1]
    assert record.actor is Actor.RULE
    assert bench.plant.cap_w[2] == 300.0
    assert np.allclose(
        record.shielded.setpoints.power_cap_w[[0, 1, 3]], record.baseline.power_cap_w[[0, 1, 3]]
    )


def test_override_ends_by_itself_and_the_policy_comes_back() -> None:
    bench = LoopBench(ConstantPolicy(0.5))
    bench.decide()
    bench.override("node-2/0", 300.0, for_s=65.0)
    bench.decide(2)
    assert bench.mode() is Mode.OVERRIDDEN

    bench.decide()

    assert bench.mode() is Mode.AUTO
    assert bench.records[-1].actor is Actor.POLICY
    assert bench.loop.state.overrides == ()


def test_value_goes_on_from_where_the_override_left_it() -> None:
    """Back to the rule without a bump: it has followed the value that was in hand."""
    bench = LoopBench()
    bench.decide()
    bench.override("node-2/0", 300.0, for_s=65.0)
    bench.decide(2)

    bench.decide()

    assert bench.plant.cap_w[2] == pytest.approx(300.0, abs=10.0)


def test_lifted_override_lets_the_value_go() -> None:
    bench = LoopBench()
    bench.decide()
    bench.override(SUPPLY, 20.0)
    bench.decide(4)
    assert bench.mode() is Mode.OVERRIDDEN

    bench.loop.wish(bench.loop.state.wishes.without_override(SUPPLY))
    bench.decide()

    assert bench.mode() is Mode.AUTO


def test_override_of_a_setpoint_moves_within_its_slew() -> None:
    bench = LoopBench()
    bench.decide()
    before_c = bench.plant.levers[SUPPLY]
    fall_k = float(bench.plant.limits.lever_fall_max_per_min[0]) * 0.5

    bench.override(SUPPLY, before_c - 3.0)
    bench.decide()

    assert bench.plant.levers[SUPPLY] == pytest.approx(before_c - fall_k, abs=1e-6)


def test_override_breaks_no_budget() -> None:
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    set_budget(bench, 1500.0)
    bench.decide()

    bench.override("node-1/0", 500.0)
    bench.decide(10)

    assert float((bench.plant.cap_w + 40.0).sum() * 1.03) <= 1500.0 * (1.0 + 1e-6)


def test_override_does_not_keep_caps_up_while_cooling_is_lost() -> None:
    bench = LoopBench()
    bench.decide()
    bench.override("node-1/0", 450.0)
    bench.plant.group["inlet_temp_c"] = 30.0
    bench.plant.plant["inlet_temp_max_c"] = 30.0

    bench.guard(4)

    assert bench.plant.cap_w[0] < 400.0


def test_lever_the_plants_own_control_overrides_is_not_fought() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.decide()
    bench.plant.overridden = {SUPPLY: RELUCTANT}
    bench.plant.levers[SUPPLY] = 19.0
    bench.guard()

    bench.decide(5)

    assert bench.mode() is Mode.OVERRIDDEN
    assert RELUCTANT in bench.loop.state.mode.reason
    assert all(np.isnan(sent.plant[0]) for sent in bench.plant.applied[-5:])
    assert np.isfinite(bench.plant.applied[-1].plant[1])
    assert bench.records[-1].baseline.plant[0] == pytest.approx(19.0, abs=0.7)


def test_plant_that_lets_go_hands_the_lever_back() -> None:
    bench = LoopBench()
    bench.decide()
    bench.plant.overridden = {SUPPLY: RELUCTANT}
    bench.decide(4)
    bench.plant.overridden = {}

    bench.decide()

    assert bench.mode() is Mode.AUTO
    assert np.isfinite(bench.plant.applied[-1].plant[0])


def test_hold_holds_what_is_overridden_too() -> None:
    bench = LoopBench()
    bench.decide()
    bench.override("node-1/0", 300.0)
    bench.decide()

    bench.loop.ask_mode(Mode.HOLD, reason="test", reset_trip=False)
    bench.decide(3)

    assert bench.mode() is Mode.HOLD
    assert bench.plant.cap_w[0] == 300.0


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW])
def test_peoples_overrides_do_not_outlive_a_mode_that_writes(mode: Mode) -> None:
    bench = LoopBench()
    bench.decide()
    bench.override("node-1/0", 300.0)
    bench.decide()

    bench.loop.ask_mode(mode, reason="test", reset_trip=False)
    bench.decide()

    assert bench.loop.state.wishes.overrides == ()
    assert bench.loop.state.overrides == ()


def test_failing_policy_after_an_override_leaves_the_rule_in_charge() -> None:
    bench = LoopBench(RaisingPolicy())
    bench.decide()
    bench.override("node-1/0", 300.0, for_s=40.0)
    bench.decide()

    bench.decide(5)

    assert bench.mode() is Mode.FALLBACK


def test_controller_that_does_not_lead_decides_and_sends_nothing() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.plant.leads = False

    bench.decide(3)
    bench.guard(3)

    assert bench.plant.applied + bench.plant.adjusted == []
    assert [record.leads for record in bench.records] == [False] * 3
    assert bench.mode() is Mode.AUTO


def test_controller_that_loses_the_lead_sends_nothing_more_and_forgets_its_commands() -> None:
    bench = LoopBench()
    bench.decide(2)
    bench.plant.leads = False

    bench.decide()

    assert len(bench.plant.applied) == 2
    assert np.isnan(bench.loop.state.commanded.power_cap_w).all()
