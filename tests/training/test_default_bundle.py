"""The shipped bundle: loads here, acts at any size, and beats the rule it corrects."""

import numpy as np
import pytest

from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from coolcap_training.evaluate import evaluate
from coolcap_training.release import open_policy


@pytest.mark.parametrize("group_count", [4, 16, 1250])
def test_one_bundle_serves_any_number_of_groups(group_count: int) -> None:
    random = np.random.default_rng(0)

    action = open_policy("default").act(
        Observation(
            groups=random.random((group_count, len(GROUP_FEATURES))),
            plant=random.random(len(PLANT_FEATURES)),
        )
    )

    assert action.groups.shape == (group_count, 2)
    assert (np.abs(action.groups) <= 1.0).all()
    assert (np.abs(action.plant) <= 1.0).all()


@pytest.mark.slow
def test_shipped_policy_uses_less_energy_per_work_than_the_rule() -> None:
    report = evaluate(open_policy("default"), "lab-16", scenario_count=6, references=("rule",))

    (against,) = report.comparisons
    assert against.relative["energy_per_work_kwh_per_gpu_h"].high < 0.0
    assert against.absolute["reward_mean"].low > 0.0
