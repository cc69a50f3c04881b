"""Pictures of the hall: what changes in the hall changes in them, and only there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from coolcap_envs.gym.render import HEIGHT, WIDTH, Frame

ENV_ID = "coolcap_envs.gym:coolcap/DataCenter-v0"
HALL = (slice(40, 470), slice(0, 560))
"""Rows and columns of the picture in which the racks stand."""


def rendered(env: gymnasium.Env[Any, Any]) -> Frame:
    picture = env.unwrapped.render()
    assert isinstance(picture, np.ndarray)
    return picture


def hall_of(**settings: Any) -> Frame:
    env = gymnasium.make(ENV_ID, render_mode="rgb_array", **settings)
    env.reset(seed=1)
    for _ in range(6):
        env.step(np.zeros(20, dtype=np.float32))
    return rendered(env)[HALL]


def events(folder: Path, kind: str, target: str = "") -> str:
    path = folder / f"{kind}.toml"
    path.write_text(
        f'[[events]]\nkind = "{kind}"\nstart_s = 0\nduration_s = 900\ntarget = "{target}"\n',
        encoding="utf-8",
    )
    return str(path)


def test_gymnasium_accepts_the_environment_with_pictures() -> None:
    check_env(gymnasium.make(ENV_ID, render_mode="rgb_array").unwrapped)


def test_a_picture_has_its_size_and_is_the_same_twice() -> None:
    env = gymnasium.make(ENV_ID, render_mode="rgb_array")
    env.reset(seed=0)

    first, second = rendered(env), rendered(env)

    assert first.shape == (HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50


def test_a_hall_that_loses_its_air_turns_red(tmp_path: Path) -> None:
    def redness(picture: Frame) -> float:
        coloured = picture[np.ptp(picture, axis=-1) > 15].astype(np.float64)
        return float((coloured[:, 0] - coloured[:, 1]).mean())

    cool = hall_of(weather="sand-point")
    hot = hall_of(weather="sand-point", faults=events(tmp_path, "crah-trip"))

    assert redness(hot) > redness(cool) + 30.0


def test_a_lost_node_is_hatched(tmp_path: Path) -> None:
    whole = hall_of(weather="miami")
    lost = hall_of(weather="miami", faults=events(tmp_path, "node-loss", "node-01"))

    def hatched(picture: Frame) -> int:
        return int((np.abs(picture.astype(int) - (88, 28, 160)).max(axis=-1) < 30).sum())

    assert hatched(whole) == 0
    assert hatched(lost) > 500


def test_every_member_of_a_batch_has_its_picture() -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, render_mode="rgb_array")
    envs.reset(seed=3)
    single = gymnasium.make(ENV_ID, render_mode="rgb_array")
    single.reset(seed=4)

    pictures = envs.unwrapped.render()

    assert pictures is not None
    assert len(pictures) == 2
    np.testing.assert_array_equal(np.asarray(pictures[1]), rendered(single))
    assert not np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[1]))


def test_a_larger_site_fits_into_the_picture() -> None:
    env = gymnasium.make(ENV_ID, site="air-1mw", render_mode="rgb_array")
    env.reset(seed=0)

    picture = rendered(env)

    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (picture[HALL] != 255).any(axis=-1).mean() > 0.3


def test_an_unknown_render_mode_is_refused() -> None:
    from coolcap_envs.gym.env import DataCenterEnv

    with pytest.raises(ValueError, match="render_mode = 'human' is not allowed: there are None, '"):
        DataCenterEnv(render_mode="human")


def test_without_pictures_matplotlib_is_not_loaded() -> None:
    code = (
        "import gymnasium, sys; env = gymnasium.make("
        f"'{ENV_ID}'); env.reset(seed=0); assert env.unwrapped.render() is None;"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
