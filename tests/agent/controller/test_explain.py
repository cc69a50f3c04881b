"""Decisions kept, and told in words and numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy, RaisingPolicy, set_budget
from coolcap_agent.controller.decisions import DecisionLog, DecisionRecord, reason_codes
from coolcap_agent.controller.explain import (
    Explanation,
    UnknownSubjectError,
    explain_group,
    explain_lever,
)
from coolcap_agent.controller.modes import Mode
from coolcap_envs.safety.shield import Reason

SUPPLY = "supply_air_temp_setpoint_c"


def of_group(bench: LoopBench, group: str = "node-1/0") -> Explanation:
    return explain_group(bench.records[-1], bench.plant.layout, group)


def of_lever(bench: LoopBench, lever: str = SUPPLY) -> Explanation:
    return explain_lever(bench.records[-1], bench.plant.layout, lever)


def words(explanation: Explanation) -> str:
    return "; ".join(why.message for why in explanation.whys)


def codes(explanation: Explanation) -> list[str]:
    return [why.code for why in explanation.whys]


def test_policys_correction_is_told_against_the_rule() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide()

    told = of_group(bench)

    change_w = told.policy - told.baseline
    assert codes(told)[:2] == ["rule", "policy"]
    assert f"would set {told.baseline:.0f} W" in words(told)
    assert f"policy test asks {told.policy:.0f} W, {change_w:+.0f} W" in words(told)
    assert told.commanded == told.read_back
    assert set(told.features) >= {"gpu_power_ratio", "work_rate_ratio"}


def test_policy_that_agrees_is_said_to() -> None:
    bench = LoopBench(ConstantPolicy(0.0))
    bench.decide()

    assert "and policy test agrees" in words(of_lever(bench))


def test_rule_alone_is_said_to_be_alone() -> None:
    bench = LoopBench()
    bench.decide()

    assert "; no other policy is in use" in words(of_lever(bench))


def test_budget_that_binds_is_named_with_its_figure() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    set_budget(bench, 1500.0)
    bench.decide()

    told = of_group(bench)

    assert "budget" in codes(told)
    assert "budgets over this group: site 1500 W, first rack 1200 W" in words(told)


def test_slew_is_told_with_the_rate_allowed() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.decide(5)
    bench.plant.cap_w = np.full(4, 250.0)
    bench.decide()

    assert "changed faster than allowed (site limits): +100 W/min" in words(of_group(bench))
    assert "+0.20 K/min up, -1.00 K/min down" in words(of_lever(bench))


def test_hot_inlet_is_told_with_its_temperature_and_limit() -> None:
    bench = LoopBench(ConstantPolicy(1.0))
    bench.plant.plant["inlet_temp_max_c"] = 26.8
    bench.decide()

    told = of_lever(bench)

    assert "inlet_temp" in codes(told)
    assert "(hottest inlet 26.8 of 27 °C)" in words(told)


def test_failed_policy_is_told_with_what_went_wrong() -> None:
    bench = LoopBench(RaisingPolicy())
    bench.decide()

    told = of_group(bench)

    assert codes(told)[:2] == ["policy_failed", "rule"]
    assert "ZeroDivisionError" in words(told)


def test_unfit_readings_are_told_with_what_is_done() -> None:
    bench = LoopBench()
    bench.plant.plant["inlet_temp_max_c"] = np.nan
    bench.decide()

    assert "caps stay, cooling goes to the safer" in words(of_lever(bench))


def test_unfit_group_is_told_apart() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.plant.groups_age_s = np.array([200.0, 1.0, 1.0, 1.0])
    bench.decide()

    assert "group_unfit" in codes(of_group(bench))
    assert "group_unfit" not in codes(of_group(bench, "node-2/1"))


def test_mode_that_sends_nothing_says_so() -> None:
    bench = LoopBench(mode=Mode.ADVISE)
    bench.decide()

    assert words(of_group(bench)).endswith("mode advise: nothing is sent")


@pytest.mark.parametrize("name", ["node-9", SUPPLY])
def test_group_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    bench = LoopBench()
    bench.decide()

    with pytest.raises(UnknownSubjectError, match="site small has node-1/0, node-1/1"):
        of_group(bench, name)


def test_lever_the_site_lacks_is_told_with_those_it_has() -> None:
    bench = LoopBench()
    bench.decide()

    with pytest.raises(UnknownSubjectError, match=f"site small has {SUPPLY}"):
        of_lever(bench, "cdu_flow_setpoint_ratio")


def test_every_reason_has_a_code_of_its_own() -> None:
    assert len({reason_codes(int(reason)) for reason in Reason}) == len(Reason)
    assert reason_codes(int(Reason.SLEW | Reason.BUDGET)) == ("slew", "budget")


def records(count: int) -> tuple[LoopBench, list[DecisionRecord]]:
    bench = LoopBench(ConstantPolicy(-0.5))
    bench.decide(count)
    return bench, bench.records


def test_decision_at_a_time_is_the_last_one_before_it(tmp_path: Path) -> None:
    bench, made = records(4)
    log = DecisionLog(bench.plant.layout, None)
    for record in made:
        log.add(record)

    assert log.at(None) is made[3]
    assert log.at(made[1].time_s) is made[1]
    assert log.at(made[1].time_s + 29.0) is made[1]
    assert log.at(made[0].time_s - 1.0) is None
    assert log.span_s() == (made[0].time_s, made[3].time_s)


def test_oldest_decisions_leave_memory_and_stay_in_the_file(tmp_path: Path) -> None:
    bench, made = records(5)
    log = DecisionLog(bench.plant.layout, tmp_path / "decisions.jsonl", keep_count=2)
    for record in made:
        log.add(record)
    log.close()

    assert log.span_s() == (made[3].time_s, made[4].time_s)
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5]


def test_file_holds_what_the_record_holds(tmp_path: Path) -> None:
    bench, made = records(1)
    log = DecisionLog(bench.plant.layout, tmp_path / "decisions.jsonl")
    log.add(made[0])
    log.close()

    entry = json.loads((tmp_path / "decisions.jsonl").read_text())
    group = entry["groups"]["node-2/1"]

    assert made[0].asked is not None
    assert group["policy_w"] == pytest.approx(made[0].asked.power_cap_w[3], abs=1e-4)
    assert group["commanded_w"] == pytest.approx(bench.plant.cap_w[3], abs=1e-4)
    assert entry["levers"][SUPPLY]["read_back"] == pytest.approx(bench.plant.levers[SUPPLY])
    assert set(entry["levers"]) == set(bench.plant.levers)
    assert entry["mode"] == "auto"
    assert len(group["features"]) > 10
