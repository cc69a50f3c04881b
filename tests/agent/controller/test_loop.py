"""The loop over a plant in memory: who decides, what is sent, and when."""

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, RaisingPolicy
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode, ModeError

SUPPLY = "supply_air_temp_setpoint_c"


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
