"""The environment is one Gymnasium and stable-baselines3 accept, with honest bounds."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FlattenObservation
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES
from coolcap_envs.faults.kinds import FaultKind
from coolcap_envs.faults.plan import FaultEvent, FaultPlan

ENV_ID = "coolcap_envs.gym:coolcap/DataCenter-v0"


@pytest.fixture
def env() -> gymnasium.Env[dict[str, np.ndarray], np.ndarray]:
    return gymnasium.make(ENV_ID, site="lab-16")


def test_gymnasium_accepts_it(env: gymnasium.Env[dict[str, np.ndarray], np.ndarray]) -> None:
    """
    Warnings are errors here, so nothing was merely advised against.
    """
    check_env(env.unwrapped)


def test_stable_baselines3_accepts_it(
    env: gymnasium.Env[dict[str, np.ndarray], np.ndarray],
) -> None:
    """
    It warns of any two-dimensional observation, so warnings are looked at after flattening.
    """
    check_env_sb3(env.unwrapped, warn=False)
    check_env_sb3(FlattenObservation(env.unwrapped), warn=True)


def test_spaces_follow_the_feature_tables_and_the_sites_levers(
    env: gymnasium.Env[dict[str, np.ndarray], np.ndarray],
) -> None:
    assert isinstance(env.observation_space, spaces.Dict)
    groups, plant = env.observation_space["groups"], env.observation_space["plant"]
    assert isinstance(groups, spaces.Box)
    assert isinstance(plant, spaces.Box)

    assert groups.shape == (16, len(GROUP_FEATURES))
    np.testing.assert_allclose(groups.low[7], [f.low for f in GROUP_FEATURES])
    np.testing.assert_allclose(plant.high, [f.high for f in PLANT_FEATURES])
    assert env.action_space == spaces.Box(-1.0, 1.0, (16 + 4,), np.float32)


def test_rewards_add_up_and_terms_stand_in_info(
    env: gymnasium.Env[dict[str, np.ndarray], np.ndarray],
) -> None:
    env.reset(seed=1, options={"work_value": 3.0})

    _, reward, terminated, truncated, info = env.step(np.full(20, 0.5, dtype=np.float32))

    costs = info["costs"]
    assert set(costs) == {"inlet_temp", "gpu_temp", "latency"}
    assert reward == pytest.approx(
        3.0 * info["reward_work"]
        - info["reward_energy"]
        - 0.05 * info["reward_correction"]
        - sum(costs.values())
    )
    assert (terminated, truncated) == (False, False)


def test_episode_is_cut_off_after_its_duration() -> None:
    env = gymnasium.make(ENV_ID, site="lab-16", duration_s=90.0)
    env.reset(seed=0)
    still = np.zeros(20, dtype=np.float32)

    ends = [env.step(still)[2:4] for _ in range(3)]

    assert ends == [(False, False), (False, False), (False, True)]


def test_every_problem_of_the_options_is_reported_at_once(
    env: gymnasium.Env[dict[str, np.ndarray], np.ndarray],
) -> None:
    with pytest.raises(ValueError, match="unknown option 'duraton'") as caught:
        env.reset(seed=0, options={"duraton": 1.0, "work_value": 7.0, "duration_s": 1.0})

    text = str(caught.value)
    assert "work_value = 7 to 7 is not a range within 0 to 5" in text
    assert "duration_s = 1.0 s is below one step of 30 s" in text
    assert "options are duration_s, work_value" in text


def test_what_an_episode_names_is_given_by_options_and_checked(
    env: gymnasium.Env[dict[str, np.ndarray], np.ndarray],
) -> None:
    plain = env.unwrapped
    with pytest.raises(ValueError, match="faults = 3 is not a name or a file"):
        plain.reset(options={"faults": 3, "trace": 1.5})
    with pytest.raises(ConfigError, match=r"episode settings: .*no shipped plan of faults"):
        plain.reset(options={"faults": "monday"})

    trip = FaultEvent(kind=FaultKind.CRAH_TRIP, start_s=0.0, duration_s=600.0)
    warm = {}
    for faults in (None, FaultPlan(events=(trip,))):
        plain.reset(seed=2, options={"weather": "sand-point", "faults": faults})
        info = [plain.step(np.zeros(20, dtype=np.float32))[4] for _ in range(4)][-1]
        warm[faults is not None] = info["costs"]["inlet_temp"]
    assert warm[True] > warm[False] == 0.0
