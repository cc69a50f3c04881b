"""Equal seeds give equal trajectories to the last bit, alone and in any batch."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

ENV_ID = "coolcap_envs.gym:coolcap/DataCenter-v0"
SETTINGS: dict[str, Any] = {"site": "lab-16", "randomise_ratio": 1.0, "work_value": (1.0, 4.0)}


def actions(count: int, steps: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [random.uniform(-1.0, 1.0, (count, 20)).astype(np.float32) for _ in range(steps)]


def test_equal_seeds_give_equal_trajectories() -> None:
    first, second = (gymnasium.make(ENV_ID, **SETTINGS) for _ in range(2))
    assert data_equivalence(first.reset(seed=3), second.reset(seed=3), exact=True)

    for (action,) in actions(1, 50):
        assert data_equivalence(first.step(action), second.step(action), exact=True)


def test_other_seeds_give_other_trajectories() -> None:
    env = gymnasium.make(ENV_ID, **SETTINGS)
    first, _ = env.reset(seed=3)
    second, _ = env.reset(seed=4)

    assert not np.array_equal(first["plant"], second["plant"])


def test_later_resets_without_seed_continue_the_first_ones_randomness() -> None:
    def second_episode() -> Any:
        env = gymnasium.make(ENV_ID, **SETTINGS)
        env.reset(seed=3)
        return env.reset()[0]

    first, second = second_episode(), second_episode()

    assert data_equivalence(first, second, exact=True)


def test_batch_is_the_single_environment_bit_for_bit_through_resets() -> None:
    """
    Gymnasium's own vector environment over single ones is the reference, infos included;
    episodes of three steps end and begin again within the run.
    """
    settings = {**SETTINGS, "duration_s": 90.0, "num_envs": 3}
    native = gymnasium.make_vec(ENV_ID, **settings)
    single = gymnasium.make_vec(
        ENV_ID,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **settings,
    )
    assert data_equivalence(native.reset(seed=5), single.reset(seed=5), exact=True)

    for action in actions(3, 8):
        got, wanted = native.step(action), single.step(action)
        for part, reference in zip(got, wanted, strict=True):
            assert data_equivalence(part, reference, exact=True)


def test_member_does_not_depend_on_the_size_of_the_batch() -> None:
    small = gymnasium.make_vec(ENV_ID, num_envs=2, **SETTINGS)
    large = gymnasium.make_vec(ENV_ID, num_envs=7, **SETTINGS)
    small.reset(seed=11)
    large.reset(seed=11)

    for action in actions(7, 20):
        few, many = small.step(action[:2]), large.step(action)
        np.testing.assert_array_equal(few[0]["groups"], many[0]["groups"][:2])
        np.testing.assert_array_equal(few[0]["plant"], many[0]["plant"][:2])
        np.testing.assert_array_equal(few[1], many[1][:2])


def test_resetting_some_members_leaves_the_others_alone() -> None:
    touched = gymnasium.make_vec(ENV_ID, num_envs=3, **SETTINGS)
    untouched = gymnasium.make_vec(ENV_ID, num_envs=3, **SETTINGS)
    touched.reset(seed=0)
    untouched.reset(seed=0)
    first, *rest = actions(3, 5)
    touched.step(first)
    untouched.step(first)

    touched.reset(seed=50, options={"reset_mask": np.array([False, True, False])})

    for action in rest:
        got, wanted = touched.step(action), untouched.step(action)
        np.testing.assert_array_equal(got[1][[0, 2]], wanted[1][[0, 2]])
        assert got[1][1] != wanted[1][1]
