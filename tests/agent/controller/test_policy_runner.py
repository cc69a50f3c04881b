from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.controller.policy_runner import (
    LoadedPolicy,
    PolicyFailedError,
    PolicyRunner,
    load_policy,
)
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from support.tiny_bundle import write_tiny_bundle

SEEN = Observation(groups=np.ones((4, len(GROUP_FEATURES))), plant=np.ones(len(PLANT_FEATURES)))


class Answering:
    """Gives back what it was made with."""

    name = "answering"

    def __init__(self, action: Action) -> None:
        self._action = action

    def act(self, observation: Observation) -> Action:
        return self._action


def runner(action: Action) -> PolicyRunner:
    loaded = LoadedPolicy(policy=Answering(action), name="answering")
    return PolicyRunner(loaded, deadline_s=5.0)


def test_no_folder_means_the_rule() -> None:
    loaded = load_policy(None)

    assert (loaded.name, loaded.graph_sha256) == ("rule", "")
    action = PolicyRunner(loaded, deadline_s=5.0).ask(SEEN)
    assert not action.groups.any()


def test_bundle_is_loaded_and_asked(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)

    loaded = load_policy(tmp_path)

    assert loaded.name == "tiny"
    assert len(loaded.graph_sha256) == 64
    action = PolicyRunner(loaded, deadline_s=5.0).ask(SEEN)
    assert action.groups[:, 0].tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_hash": "0123456789abcdef"}, "schema 0123456789abcdef of the bundle is not"),
        ({"graph_sha256": "0" * 64}, "the file was changed or truncated"),
        ({"format": 99}, "format 99, this software reads"),
    ],
)
def test_bundle_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_tiny_bundle(tmp_path, **changes)

    with pytest.raises(BundleError, match=said):
        load_policy(tmp_path)


def test_missing_bundle_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        load_policy(tmp_path / "nowhere")


def test_answer_of_another_shape_is_a_failure() -> None:
    with pytest.raises(PolicyFailedError, match="are needed"):
        runner(Action.neutral(3)).ask(SEEN)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answer_that_is_not_finite_is_a_failure(bad: float) -> None:
    action = Action.neutral(4)
    action.plant[2] = bad

    with pytest.raises(PolicyFailedError, match="1 values that are not finite"):
        runner(action).ask(SEEN)
