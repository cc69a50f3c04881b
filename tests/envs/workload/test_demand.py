"""Tests of the demand generator."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import BoolArray, FloatArray
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.site import load_site
from coolcap_envs.workload.demand import (
    BLOCK_STEPS,
    DEMAND_MAX_RATIO,
    DEMAND_STEP_S,
    DemandGenerator,
    class_table,
)
from coolcap_envs.workload.feed import DemandFeed

Classes = NDArray[np.int8]
SITE = load_site("lab-16")
TABLE = class_table(SITE.workload)
GROUPS = 64


def draw(*, hours: int, seed: int = 0, groups: int = GROUPS) -> tuple[FloatArray, Classes]:
    generator = DemandGenerator(TABLE, groups, np.random.default_rng(seed))
    demand = np.zeros((hours, BLOCK_STEPS, groups))
    classes = np.zeros((hours, BLOCK_STEPS, groups), dtype=np.int8)
    for hour in range(hours):
        generator.fill(demand[hour], classes[hour], local_hour=float(hour % 24))
    return demand.reshape(-1, groups), classes.reshape(-1, groups)


def test_classes_take_the_share_of_time_the_site_says() -> None:
    _, classes = draw(hours=24 * 20)
    for k, name in enumerate(WORKLOAD_CLASSES):
        assert (classes == k).mean() == pytest.approx(SITE.workload[name]["share_ratio"], abs=0.06)


def test_jobs_last_hours() -> None:
    _, classes = draw(hours=24 * 5)
    changes = (np.diff(classes, axis=0) != 0).sum()
    group_hours = GROUPS * 24 * 5
    assert 3.0 < group_hours / changes < 30.0


def test_demand_keeps_to_its_range() -> None:
    demand, _ = draw(hours=48)
    assert demand.min() >= 0.0
    assert demand.max() <= DEMAND_MAX_RATIO


def test_inference_follows_the_day_and_training_does_not() -> None:
    demand, classes = draw(hours=24 * 10)
    hour = (np.arange(len(demand)) * DEMAND_STEP_S / 3600.0) % 24.0
    day, night = (hour > 13) & (hour < 17), (hour > 1) & (hour < 5)

    def mean(work_class: int, when: BoolArray) -> float:
        chosen = (classes == work_class) & when[:, None]
        return float(demand[chosen].mean())

    decode, training = WORKLOAD_CLASSES.index("decode"), WORKLOAD_CLASSES.index("training")
    assert mean(decode, day) > 1.5 * mean(decode, night)
    assert mean(training, day) == pytest.approx(mean(training, night), rel=0.05)


def test_training_pauses_for_checkpoints() -> None:
    demand, classes = draw(hours=24 * 3)
    training = demand[classes == WORKLOAD_CLASSES.index("training")]
    assert 0.01 < (training < 0.2).mean() < 0.08
    assert np.median(training) == pytest.approx(1.0, abs=0.02)


def test_the_same_seed_gives_the_same_demand() -> None:
    assert np.array_equal(draw(hours=2, seed=3)[0], draw(hours=2, seed=3)[0])
    assert not np.array_equal(draw(hours=2, seed=3)[0], draw(hours=2, seed=4)[0])


def test_a_feed_goes_on_where_a_block_ends() -> None:
    """Steps of 25 s and blocks of an hour: no step is lost, repeated or stretched."""
    feed = DemandFeed(TABLE, plants=1, groups=4)
    feed.start(0, np.random.default_rng(5), local_hour=3.0)
    batch = Batch.zeros(
        plants=1, model_of=np.zeros(4, dtype=np.int64), models=1, hourly=np.zeros((1, 1, 4))
    )
    seen = []
    for _ in range(2 * BLOCK_STEPS + 10):
        left = 6
        while left:
            step = min(left, feed.write(batch), 5)
            seen.append((step, batch.get("group_inputs", "demand_ratio")[0]))
            feed.advance(step)
            left -= step
    expected = DemandGenerator(TABLE, 4, np.random.default_rng(5))
    demand = np.zeros((3, BLOCK_STEPS, 4))
    classes = np.zeros((3, BLOCK_STEPS, 4), dtype=np.int8)
    for block in range(3):
        expected.fill(demand[block], classes[block], local_hour=3.0 + block)
    flat = np.repeat(demand.reshape(-1, 4), 6, axis=0)
    got = np.concatenate([np.repeat(values[None], step, axis=0) for step, values in seen])
    assert np.array_equal(got, flat[: len(got)])


def test_a_feed_that_was_never_started_says_so() -> None:
    feed = DemandFeed(TABLE, plants=1, groups=4)
    with pytest.raises(RuntimeError, match="plant 0 was never started"):
        feed.copy_member(0, feed, 0)
