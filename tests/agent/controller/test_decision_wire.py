"""A decision told whole: what bound, what moved the policy, what was expected and what happened."""

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, set_budget
from agent.controller.test_attribution import LinearPolicy
from coolcap_agent.controller.decision_wire import decision_message, tell
from coolcap_agent.controller.decisions import DecisionLog
from coolcap_agent.controller.wishes import Wishes
from coolcap_agent.controller.words import decision_lines
from coolcap_proto.v1 import controller_pb2

SUPPLY = "supply_air_temp_setpoint_c"


def told(bench: LoopBench, subject: str, *, at: int = -1) -> controller_pb2.Decision:
    log = DecisionLog(bench.plant.layout, None)
    for record in bench.records:
        log.add(record)
    record = bench.records[at]
    return decision_message(
        record, tell(log, record, bench.plant.layout, subject=subject), is_group=subject != SUPPLY
    )


def text(decision: controller_pb2.Decision) -> str:
    return "\n".join(decision_lines(decision))


def effect(decision: controller_pb2.Decision, name: str) -> controller_pb2.Effect:
    return next(one for one in decision.effects if one.name == name)


def test_what_happened_is_read_at_the_next_decision() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.plant.group["gpu_power_w"] = 440.0
    bench.decide()
    bench.plant.group["gpu_power_w"] = 400.0
    bench.decide()

    power = effect(told(bench, "node-1/0", at=0), "gpu_power_w")

    assert (power.before, power.after) == (440.0, 400.0)
    assert power.expected_max == pytest.approx(bench.records[0].commanded.power_cap_w[0])
    assert ": as expected" in text(told(bench, "node-1/0", at=0))


def test_newest_decision_has_no_outcome_yet() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()

    decision = told(bench, "node-1/0")

    assert not effect(decision, "gpu_power_w").HasField("after")
    assert "not measured since" in text(decision)


def test_more_than_expected_is_said_aloud() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()
    bench.plant.group["gpu_power_w"] = 480.0
    bench.decide()

    assert "gpu_power_w" in text(told(bench, "node-1/0", at=0))
    assert "MORE than expected" in text(told(bench, "node-1/0", at=0))


def test_setpoint_is_expected_to_keep_the_inlet_below_a_bound() -> None:
    bench = LoopBench(ConstantPolicy(0.5))
    bench.decide(2)

    inlet = effect(told(bench, SUPPLY, at=0), "inlet_temp_max_c")

    seen = bench.records[0].telemetry
    supply_c, inlet_c = (float(seen.of_plant(s)) for s in ("supply_air_temp_c", "inlet_temp_max_c"))
    assert inlet.expected_max >= supply_c + 1.25 * (inlet_c - supply_c) - 1e-9
    assert "1.25 times the measured rise" in inlet.message


def test_budget_that_binds_is_named_with_its_use() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    set_budget(bench, 1500.0)
    bench.decide()

    decision = told(bench, "node-1/0")

    assert decision.steps[0].binding == "budget"
    assert "tightest: site, 100.0 % used" in text(decision)


def test_influences_are_told_in_watts_with_names_and_units() -> None:
    bench = LoopBench(LinearPolicy())
    bench.plant.group["gpu_util_ratio"] = np.array([0.2, 0.6, 0.8, 1.0])
    bench.decide()

    assert "moved by             gpu_util_ratio = 20.0 %:" in text(told(bench, "node-1/0"))
    assert "the mean of the other groups" in text(told(bench, "node-1/0"))


def test_group_outside_the_canary_is_said_to_be() -> None:
    bench = LoopBench(ConstantPolicy(-1.0), wishes=Wishes(canary_ratio=0.25))
    bench.decide()
    outside = bench.plant.layout.group_names[int(np.argmin(bench.records[0].division.groups))]

    decision = told(bench, outside)

    assert decision.arm == controller_pb2.ARM_BASELINE
    assert "a canary of 1 of 4 groups, and this is not among them" in text(decision)


def test_override_is_the_reason_of_its_value() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()
    bench.override("node-1/0", 300.0)
    bench.decide()

    assert "operator holds it at 300 W until" in text(told(bench, "node-1/0"))


def test_takeover_says_how_much_of_the_correction_counts() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()

    assert "20 % of that counts now" in text(told(bench, "node-1/0"))


def test_controller_that_stands_by_says_that_nothing_is_sent() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.plant.leads = False
    bench.decide()

    assert "another controller leads: nothing is sent" in text(told(bench, "node-1/0"))
