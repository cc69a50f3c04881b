"""Novelty says when an observation lies outside what a policy was trained on."""

import numpy as np
import pytest
import torch

from coolcap_envs.contract.observation import ROW_FEATURES, Rows
from coolcap_envs.contract.policy import NOVELTY_MAX
from coolcap_training.novelty import FADED, Novelty, fade, fit
from coolcap_training.policy import ROW_SPACE, RowScaler

WIDTH = len(ROW_FEATURES)
LOW, SPAN = ROW_SPACE.low, ROW_SPACE.high - ROW_SPACE.low
NAMES = [f.name for f in ROW_FEATURES]
POWER = NAMES.index("own_gpu_power_ratio")
HAS_COOLANT = NAMES.index("plant_has_cdu_supply_temp_setpoint_c")


def rows_like_training(count: int, *, seed: int) -> Rows:
    """Rows whose features follow five hidden causes, a group's and a plant's in turn."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(5, WIDTH))
    place = 0.5 + 0.05 * (random.normal(size=(count, 5)) @ mixing)
    place += 0.01 * random.normal(size=place.shape)
    rows = (LOW + SPAN * np.clip(place, 0.0, 1.0)).astype(np.float32)
    rows[:, HAS_COOLANT] = 0.0
    rows[:, -2:] = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    return rows


def novelty_of(novelty: Novelty, rows: Rows) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(novelty(RowScaler(ROW_SPACE)(torch.as_tensor(rows))))


@pytest.fixture(scope="module")
def fitted() -> Novelty:
    return fit(rows_like_training(8000, seed=1))


def test_rows_as_in_training_lie_within_the_edge(fitted: Novelty) -> None:
    new = novelty_of(fitted, rows_like_training(4000, seed=2))

    assert (new > 1.0).mean() < 0.01
    assert np.median(new) < 0.9


def test_one_feature_that_breaks_with_the_others_is_new_within_its_own_range(
    fitted: Novelty,
) -> None:
    rows = rows_like_training(400, seed=3)
    seen = rows_like_training(8000, seed=1)[:, POWER]
    rows[:, POWER] = np.where(rows[:, POWER] > np.median(seen), *np.quantile(seen, [0.02, 0.98]))

    assert np.median(novelty_of(fitted, rows)) > 1.0


def test_a_lever_no_training_site_had_is_new(fitted: Novelty) -> None:
    rows = rows_like_training(100, seed=4)
    rows[:, HAS_COOLANT] = 1.0

    assert (novelty_of(fitted, rows) > FADED).all()


def test_novelty_is_bounded_and_finite_far_outside(fitted: Novelty) -> None:
    rows = np.full((2, WIDTH), 1e30, dtype=np.float32)

    assert (novelty_of(fitted, rows) == NOVELTY_MAX).all()


def test_unfitted_novelty_sees_nothing_new() -> None:
    assert (novelty_of(Novelty(), rows_like_training(10, seed=5)) == 0.0).all()


@pytest.mark.parametrize(
    ("novelty", "left"), [(0.0, 1.0), (1.0, 1.0), (1.5, 0.5), (2.0, 0.0), (9.0, 0.0)]
)
def test_corrections_fade_between_the_edge_and_twice_as_far(novelty: float, left: float) -> None:
    assert fade(torch.tensor(novelty)).item() == pytest.approx(left)


def test_fitting_needs_more_rows_of_each_role_than_features() -> None:
    with pytest.raises(ValueError, match="rows of each role"):
        fit(rows_like_training(40, seed=6))
