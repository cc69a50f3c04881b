"""Site time waits for its agents, but not for ever, and not for the dead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coolcap_agent.sim.lock_step import LockStep, Pace
from support.small_hall import START_S, SmallHall


class Time:
    """The host's clock in a test's hands: it goes on while somebody sleeps, and then acts."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.act: Callable[[], None] = lambda: None

    def mono_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.act()


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


@pytest.fixture
def time() -> Time:
    return Time()


def lock_step(small: SmallHall, time: Time, *, timeout_s: float = 1.0) -> LockStep:
    return LockStep(
        small.hall,
        timeout_s=timeout_s,
        start_timeout_s=10.0,
        stopped=lambda: False,
        mono_s=time.mono_s,
        sleep=time.sleep,
    )


def acknowledge(small: SmallHall, *agents: str) -> None:
    """Let some agents, or all, answer the newest frame."""
    for name in agents or ("node-1", "node-2", "plant"):
        table = "plant_ack" if name == "plant" else "node_ack"
        row = 0 if name == "plant" else small.hall.node_names.index(name)
        small.hall.table(table)["answers_time_s"][row] = small.hall.time_s()


def periods(small: SmallHall, time: Time, steps: LockStep, count: int) -> list[float]:
    """Run some periods and return how long each waited."""
    waited_s: list[float] = []
    for _ in range(count):
        begin_s = time.now_s
        steps.wait(small.hall.time_s())
        waited_s.append(time.now_s - begin_s)
        small.advance(30.0)
    return waited_s


def test_wait_ends_with_the_last_acknowledgement(small: SmallHall, time: Time) -> None:
    agents = ["node-1", "plant", "node-2"]
    time.act = lambda: acknowledge(small, agents.pop(0))

    lock_step(small, time).wait(START_S)

    assert agents == []
    assert time.now_s < 0.01


def test_acknowledgement_of_an_older_frame_does_not_count(small: SmallHall, time: Time) -> None:
    acknowledge(small)
    small.advance(30.0)

    steps = lock_step(small, time)
    steps.wait(START_S + 30.0)

    assert time.now_s == pytest.approx(10.0, abs=0.01)
    assert steps.missed_count == {"node-1": 1, "node-2": 1, "plant": 1}


def test_first_frame_waits_longer_for_agents_that_start(small: SmallHall, time: Time) -> None:
    assert periods(small, time, lock_step(small, time), 3) == pytest.approx(
        [10.0, 1.0, 1.0], abs=0.01
    )


def test_dead_agent_is_waited_for_in_three_periods_only(small: SmallHall, time: Time) -> None:
    time.act = lambda: acknowledge(small, "node-1", "plant")
    steps = lock_step(small, time)

    waited_s = periods(small, time, steps, 6)

    assert waited_s == pytest.approx([10.0, 1.0, 1.0, 0.0, 0.0, 0.0], abs=0.01)
    assert steps.missed_count == {"node-1": 0, "node-2": 6, "plant": 0}


def test_agent_that_answers_again_is_waited_for_again(small: SmallHall, time: Time) -> None:
    time.act = lambda: acknowledge(small, "node-1", "plant")
    steps = lock_step(small, time)
    periods(small, time, steps, 4)
    time.act = lambda: acknowledge(small)
    periods(small, time, steps, 2)
    time.act = lambda: acknowledge(small, "node-1", "plant")

    assert periods(small, time, steps, 1) == pytest.approx([1.0], abs=0.01)


def test_hall_without_any_agent_takes_the_timeout_in_each_period(
    small: SmallHall, time: Time
) -> None:
    """So a lease of a few seconds runs out within a few periods of a dead controller."""
    steps = lock_step(small, time)

    assert periods(small, time, steps, 6)[1:] == pytest.approx([1.0] * 5, abs=0.01)


def test_absence_is_logged_when_it_begins_and_when_it_ends(
    small: SmallHall, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    steps = lock_step(small, time)
    time.act = lambda: acknowledge(small, "node-1", "plant")
    periods(small, time, steps, 3)
    time.act = lambda: acknowledge(small)
    periods(small, time, steps, 3)

    assert caplog.messages == [
        "node-2 lets site time pass without acknowledging it",
        "node-2 acknowledges site time again",
    ]


def test_timeout_of_zero_never_waits(small: SmallHall, time: Time) -> None:
    steps = lock_step(small, time, timeout_s=0.0)

    assert periods(small, time, steps, 3) == [0.0, 0.0, 0.0]


def test_stopping_ends_the_wait(small: SmallHall, time: Time) -> None:
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True

    time.act = stop
    LockStep(
        small.hall,
        timeout_s=100.0,
        start_timeout_s=100.0,
        stopped=lambda: stopped,
        mono_s=time.mono_s,
        sleep=time.sleep,
    ).wait(START_S)

    assert time.now_s < 1.0


def test_pace_holds_site_time_to_the_speed(time: Time) -> None:
    pace = Pace(60.0, stopped=lambda: False, mono_s=time.mono_s, sleep=time.sleep)

    for _ in range(4):
        pace.wait(30.0)

    assert time.now_s == pytest.approx(4 * 0.5)


def test_pace_does_not_catch_up_lost_time(time: Time) -> None:
    pace = Pace(60.0, stopped=lambda: False, mono_s=time.mono_s, sleep=time.sleep)
    pace.wait(30.0)
    time.now_s += 5.0
    pace.wait(30.0)
    begin_s = time.now_s

    pace.wait(30.0)

    assert time.now_s - begin_s == pytest.approx(0.5)


def test_pace_without_a_speed_does_not_wait(time: Time) -> None:
    Pace(None, stopped=lambda: False, mono_s=time.mono_s, sleep=time.sleep).wait(30.0)

    assert time.now_s == 0.0
