"""Site time of a simulation comes from the hall, and from nothing else."""

import asyncio
from pathlib import Path

import pytest

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.simulated_clock import SimulatedClock
from support.small_hall import START_S, SmallHall


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


def test_now_is_the_time_of_the_newest_frame(small: SmallHall) -> None:
    clock = SimulatedClock(small.path)

    times_s = [clock.now_s()]
    small.advance(30.0)
    times_s.append(clock.now_s())

    assert times_s == [START_S, START_S + 30.0]


def test_time_that_has_come_is_not_waited_for(small: SmallHall) -> None:
    clock = SimulatedClock(small.path)

    asyncio.run(asyncio.wait_for(clock.sleep_until(START_S), timeout=5.0))


def test_sleeper_wakes_once_the_frame_of_its_time_is_there(small: SmallHall) -> None:
    clock = SimulatedClock(small.path)
    woken: list[float] = []

    async def sleeper() -> None:
        await clock.sleep_until(START_S + 45.0)
        woken.append(clock.now_s())

    async def run() -> None:
        task = asyncio.create_task(sleeper())
        for _ in range(2):
            await clock.sleep_until(clock.now_s())
            assert woken == []
            small.advance(30.0)
        await asyncio.wait_for(task, timeout=5.0)

    asyncio.run(run())

    assert woken == [START_S + 60.0]


def test_sleeper_in_a_hall_that_ended_can_still_be_cancelled(small: SmallHall) -> None:
    clock = SimulatedClock(small.path)
    small.hall.end()

    async def run() -> None:
        await asyncio.wait_for(clock.sleep_until(START_S + 30.0), timeout=0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_clock_without_a_hall_says_who_creates_it(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="coolcap sim"):
        SimulatedClock(tmp_path / "hall")
