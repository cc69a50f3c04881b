"""Between decisions, and under budgets: what cannot wait, and what no policy can break."""

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, set_budget
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode
from coolcap_envs.safety.shield import Reason

SUPPLY = "supply_air_temp_setpoint_c"


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


def test_lower_budget_is_met_while_readings_are_unfit() -> None:
    """Whoever cannot see may still have to lower caps: worst-case power needs no readings."""
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide()
    bench.plant.age_s = 1000.0
    bench.guard(3)
    set_budget(bench, 1500.0)

    bench.guard()

    assert drawn_at_worst_w(bench) <= 1500.0 * (1.0 + 1e-6)


def test_lost_cooling_lowers_caps_at_the_next_fast_tick_before_anything_warms() -> None:
    bench = LoopBench()
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide()
    before_w = drawn_at_worst_w(bench)
    carried_w = 0.3 * bench.plant.layout.it_power_design_w
    assert before_w > carried_w
    bench.plant.plant["crah_available_ratio"] = 0.3

    bench.guard()

    assert drawn_at_worst_w(bench) <= carried_w * (1.0 + 1e-6)
