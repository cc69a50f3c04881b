"""Rows as agents: layout of rows, masked actions, gains over the twin, ends of episodes."""

import numpy as np
import pytest

from coolcap_envs.contract.observation import ACTION_WIDTH, ROW_FEATURES
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.site import Site, load_site
from coolcap_training.vec_env import RowAgentsVecEnv

NAMES = [f.name for f in ROW_FEATURES]
AGENTS = 17


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site("lab-16")


def env_of(site: Site, *, seed: int = 0, duration_s: float = 3600.0) -> RowAgentsVecEnv:
    settings = EpisodeSettings(duration_s=duration_s, randomise_ratio=1.0, work_value=(1.0, 4.0))
    return RowAgentsVecEnv([Episodes(site, batch_size=3, settings=settings)], seed=seed)


def random_actions(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform(-1.0, 1.0, (count, ACTION_WIDTH)).astype(np.float32)


def test_every_group_and_every_plant_is_a_row_with_its_role(site: Site) -> None:
    rows = env_of(site).reset()

    assert rows.shape == (3 * AGENTS, len(ROW_FEATURES))
    is_plant = rows[:, NAMES.index("role_plant")]
    assert np.flatnonzero(is_plant).tolist() == [16, 33, 50]


def test_neutral_actions_gain_exactly_nothing(site: Site) -> None:
    """
    The twin has the same seed and the rule, so without corrections both are the same plant.
    """
    env = env_of(site)
    env.reset()

    for _ in range(5):
        _, rewards, _, _ = env.step(np.zeros((env.num_envs, ACTION_WIDTH), dtype=np.float32))
        np.testing.assert_array_equal(rewards, 0.0)


def test_actions_without_a_lever_change_nothing(site: Site) -> None:
    """
    A group's row has one lever; the plant of this site lacks the two of a coolant unit.
    """
    masked, unmasked = env_of(site), env_of(site)
    masked.reset()
    unmasked.reset()
    actions = random_actions(masked.num_envs)
    stripped = actions.copy()
    is_plant = np.arange(masked.num_envs) % AGENTS == 16
    stripped[~is_plant, 1:] = 0.0
    stripped[is_plant, 4:] = 0.0

    got, wanted = masked.step(actions), unmasked.step(stripped)

    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(got[1], wanted[1])


def test_equal_seeds_give_equal_rows_and_rewards(site: Site) -> None:
    first, second = env_of(site, seed=4), env_of(site, seed=4)
    np.testing.assert_array_equal(first.reset(), second.reset())

    for k in range(10):
        actions = random_actions(first.num_envs, k)
        got, wanted = first.step(actions), second.step(actions)
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_array_equal(got[1], wanted[1])


def test_ends_are_staggered_and_told_as_truncations(site: Site) -> None:
    """
    Over one episode length every site ends exactly once, with the last row of the old episode.
    """
    env = env_of(site, duration_s=600.0)
    env.reset()
    ends: dict[int, int] = {}

    for k in range(20):
        rows, _, dones, infos = env.step(random_actions(env.num_envs, k))
        assert isinstance(rows, np.ndarray)
        for row in np.flatnonzero(dones).tolist():
            ends[row] = ends.get(row, 0) + 1
            assert infos[row]["TimeLimit.truncated"]
            assert infos[row]["terminal_observation"].shape == rows[row].shape
            assert not np.array_equal(infos[row]["terminal_observation"], rows[row])
        assert all(not info for info, done in zip(infos, dones, strict=True) if not done)

    assert ends == dict.fromkeys(range(env.num_envs), 1)


def test_rows_of_one_site_end_together_with_one_statistic(site: Site) -> None:
    env = env_of(site, duration_s=60.0)
    env.reset()
    env.step(random_actions(env.num_envs))

    _, _, dones, infos = env.step(random_actions(env.num_envs))

    ended = dones.reshape(3, AGENTS)
    assert (ended.all(axis=1) == ended.any(axis=1)).all()
    told = [k for k, info in enumerate(infos) if "episode" in info]
    assert told == [AGENTS * b for b in np.flatnonzero(ended[:, 0])]


def test_sites_of_different_size_stand_side_by_side(site: Site) -> None:
    settings = EpisodeSettings(duration_s=600.0)
    large = Episodes(load_site("air-1mw"), batch_size=1, settings=settings)
    env = RowAgentsVecEnv([Episodes(site, batch_size=2, settings=settings), large], seed=0)

    rows = env.reset()
    env.step(random_actions(env.num_envs))

    assert rows.shape[0] == env.num_envs == 2 * 17 + 129
    kinds = env.kinds
    assert np.bincount(kinds).tolist() == [32, 2, 128, 1]
    np.testing.assert_array_equal(rows[:, NAMES.index("role_plant")] == 1.0, kinds % 2 == 1)
    assert {name.split("/")[0] for name in env.take_metrics()} == {"lab-16", "air-1mw"}
