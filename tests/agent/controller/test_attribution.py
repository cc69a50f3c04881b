"""Which inputs moved the policy, held against policies whose answer is known in closed form."""

from pathlib import Path

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy
from coolcap_agent.controller.attribution import Influence, influences
from coolcap_agent.controller.policy_runner import load_policy
from coolcap_envs.contract.action import CAP_RESIDUAL_RATIO, PLANT_RESIDUAL_RATIO, Action
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from coolcap_envs.contract.policy import Policy
from support.tiny_bundle import write_tiny_bundle

UTIL = [f.name for f in GROUP_FEATURES].index("gpu_util_ratio")
OUTDOOR = [f.name for f in PLANT_FEATURES].index("outdoor_temp_c")
SUPPLY = "supply_air_temp_setpoint_c"


class LinearPolicy:
    """Caps follow utilisation, the supply air follows the weather; nothing else matters."""

    name = "linear"

    def act(self, observation: Observation) -> Action:
        action = Action.neutral(*observation.groups.shape[:-1])
        action.groups[..., 0] = 0.5 * observation.groups[..., UTIL]
        action.plant[..., 0] = 0.01 * observation.plant[..., OUTDOOR]
        return action


def decided(policy: Policy, *, count: int = 1) -> LoopBench:
    bench = LoopBench(policy)
    bench.plant.group["gpu_util_ratio"] = np.array([0.2, 0.6, 0.8, 1.0])
    bench.plant.cap_w = np.full(4, 300.0)
    for _ in range(count):
        bench.plant.plant["outdoor_temp_c"] = 20.0
        bench.decide()
    bench.plant.plant["outdoor_temp_c"] = 30.0
    bench.decide()
    return bench


def of_group(bench: LoopBench, n: int) -> tuple[Influence, ...]:
    return influences(bench.records[-1], _history(bench), group=n)


def _history(bench: LoopBench) -> list[Observation]:
    return [r.observation for r in bench.records[:-1] if r.observation is not None]


def test_input_that_matters_is_found_with_its_effect_in_watts() -> None:
    bench = decided(LinearPolicy())
    span_w = float((bench.plant.limits.power_cap_max_w - bench.plant.limits.power_cap_min_w)[0])

    (only,) = of_group(bench, 0)

    assert only.name == "gpu_util_ratio"
    assert only.value == pytest.approx(0.2)
    assert only.reference == pytest.approx(0.8)
    assert only.effect == pytest.approx(0.5 * (0.2 - 0.8) * CAP_RESIDUAL_RATIO * span_w)
    assert only.reference_meaning == "mean of the other groups"


def test_setpoint_is_moved_by_the_change_against_the_last_hour() -> None:
    bench = decided(LinearPolicy(), count=20)
    limits, k = bench.plant.limits, PLANT_LEVER_COLUMN[SUPPLY]
    span_k = float(limits.lever_high[k] - limits.lever_low[k])

    (only,) = influences(bench.records[-1], _history(bench), lever=k)

    assert only.name == "plant_outdoor_temp_c"
    assert (only.value, only.reference) == pytest.approx((30.0, 20.0))
    assert only.effect == pytest.approx(0.01 * 10.0 * PLANT_RESIDUAL_RATIO * span_k)
    assert only.reference_meaning == "mean of the last hour"


def test_without_an_hour_to_look_back_the_middle_of_the_range_is_the_reference() -> None:
    bench = decided(LinearPolicy())

    (only,) = influences(bench.records[-1], _history(bench), lever=PLANT_LEVER_COLUMN[SUPPLY])

    assert (only.reference, only.reference_meaning) == (10.0, "middle of its range")


def test_policy_that_ignores_everything_is_moved_by_nothing() -> None:
    assert of_group(decided(ConstantPolicy(-0.5)), 0) == ()


def test_group_the_policy_did_not_see_has_no_influences() -> None:
    bench = LoopBench(LinearPolicy())
    bench.plant.groups_age_s = np.array([200.0, 1.0, 1.0, 1.0])
    bench.decide()

    assert of_group(bench, 0) == ()


def test_rule_alone_is_not_asked() -> None:
    bench = LoopBench()
    bench.decide()

    assert of_group(bench, 0) == ()


def test_bundle_is_asked_through_onnx_runtime_as_well(tmp_path: Path) -> None:
    """The graph made by hand multiplies the first input of a row with 0.5."""
    write_tiny_bundle(tmp_path)
    loaded = load_policy(tmp_path)
    bench = LoopBench(loaded.policy)
    bench.plant.group["gpu_power_w"] = np.array([200.0, 300.0, 300.0, 400.0])
    bench.decide()

    found = of_group(bench, 0)

    first = GROUP_FEATURES[0].name
    assert found[0].name == first
    assert abs(found[0].effect) > 10.0 * max((abs(i.effect) for i in found[1:]), default=0.0)
