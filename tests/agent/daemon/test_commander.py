"""Every command is checked whole, journaled, written, read back, and answered per device."""

import asyncio
import math
from pathlib import Path

import pytest

from coolcap_agent import journal
from coolcap_agent.daemon.commands import Result
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.drivers.base import DeviceLost, NotPermitted
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2
from support.fake_points import FakePoint, HandClock, spec
from support.small_control import A, B, SmallControl


def command_once(small: SmallControl, watts: float) -> Result:
    """The result of asking GPU-a for ``watts`` under a fresh lease."""

    async def play() -> Result:
        lease = await small.acquire()
        (result,) = (await small.command(lease, {A: watts})).results
        return result

    return asyncio.run(play())


def test_cap_is_written_and_read_back(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.APPLIED
    assert result.in_force is not None
    assert (result.in_force.requested, result.in_force.effective) == (400.0, 400.0)
    assert small.values() == {A: 400.0, B: 700.0}


def test_values_in_force_are_on_disk_before_the_first_write(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    on_disk: list[bool] = []
    original = small.points[A].write

    async def write(*args: object, **kwargs: object) -> object:
        on_disk.append(small.journal_path.exists())
        return await original(*args, **kwargs)  # type: ignore[arg-type]

    small.points[A].write = write  # type: ignore[method-assign, assignment]
    command_once(small, 400.0)

    assert on_disk == [True]


def test_nothing_is_written_when_the_journal_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SmallControl(tmp_path)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "write_durably", full)
    with pytest.raises(RefusedError, match=r"nothing was written.*No space left") as caught:
        command_once(small, 400.0)

    assert caught.value.reason == common_pb2.REFUSAL_REASON_NOT_READY
    assert small.points[A].written == []


@pytest.mark.parametrize("watts", [90.0, 700.1, -5.0, 0.0])
def test_cap_outside_the_device_range_is_refused_and_not_written(
    tmp_path: Path, watts: float
) -> None:
    small = SmallControl(tmp_path)

    result = command_once(small, watts)

    assert result.outcome is Outcome.REFUSED_OUT_OF_RANGE
    assert result.message == (
        f"power cap {watts:.1f} W for GPU-a is outside 100.0 to 700.0 W "
        "(limits read from the device)"
    )
    assert small.points[A].written == []


@pytest.mark.parametrize("watts", [math.nan, math.inf, -math.inf])
def test_cap_that_is_no_number_refuses_the_whole_command(tmp_path: Path, watts: float) -> None:
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        with pytest.raises(RefusedError, match=r"GPU-a is not a finite number.*100.0") as caught:
            await small.command(lease, {B: 400.0, A: watts})
        assert caught.value.reason == common_pb2.REFUSAL_REASON_INVALID

    asyncio.run(play())
    assert small.values() == {A: 700.0, B: 700.0}


@pytest.mark.parametrize(("asked", "written"), [(120.0, 150.0), (650.0, 600.0)])
def test_cap_beyond_own_limits_is_clamped_and_says_which(
    tmp_path: Path, asked: float, written: float
) -> None:
    small = SmallControl(tmp_path)

    result = command_once(small, asked)

    assert (result.outcome, result.written) == (Outcome.CLAMPED, written)
    assert "outside 150.0 to 600.0 W (own limits, node.toml)" in result.message
    assert small.values()[A] == written


def test_one_bad_device_does_not_stop_the_others(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    small.points[A].error = DeviceLost("GPU-a does not answer")

    async def play() -> list[Outcome]:
        lease = await small.acquire()
        answer = await small.command(lease, {A: 400.0, ("GPU-z", "power_cap_w"): 300.0, B: 500.0})
        return [result.outcome for result in answer.results]

    assert asyncio.run(play()) == [
        Outcome.DEVICE_UNREACHABLE,
        Outcome.REFUSED_UNKNOWN_DEVICE,
        Outcome.APPLIED,
    ]
    assert small.values()[B] == 500.0


def test_missing_right_is_told_and_nothing_changes(tmp_path: Path) -> None:
    point = FakePoint(spec(A, refusal="needs CAP_SYS_ADMIN", refusal_outcome=Outcome.READ_ONLY))

    result = command_once(SmallControl(tmp_path, points=[point]), 400.0)

    assert (result.outcome, result.message) == (Outcome.READ_ONLY, "needs CAP_SYS_ADMIN")
    assert point.written == []


def test_right_that_is_lost_later_is_told_too(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def write(*_: object, **__: object) -> object:
        raise NotPermitted("power limit of GPU-a cannot be set: run the agent as root")

    small.points[A].write = write  # type: ignore[method-assign, assignment]

    assert command_once(small, 400.0).outcome is Outcome.READ_ONLY


def test_write_the_device_ignores_is_not_verified(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    small.points[A].ignores = True

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.NOT_VERIFIED
    assert "the device reports 700.0 W as requested" in result.message


def test_value_already_in_force_is_not_written_but_watched_over(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    small.points[A].value = 400.0

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.UNCHANGED
    assert small.points[A].written == []
    assert small.guard.holds(A)


def test_lever_held_by_somebody_else_is_not_fought(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)
    small.points[A].overridden = "the operator's panel holds it"

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.OVERRIDDEN
    assert "the operator's panel holds it" in result.message
    assert small.points[A].written == []
    assert not small.journal_path.exists()


def test_device_whose_value_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    """
    It could not be put back.
    """
    small = SmallControl(tmp_path)
    small.points[A].value = math.nan

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.DEVICE_ERROR
    assert "could not be put back" in result.message
    assert small.points[A].written == []


def test_repeated_command_returns_the_recorded_answer_and_writes_nothing(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        first = await small.command(lease, {A: 400.0}, sequence=7)
        small.points[A].value = 555.0
        assert await small.command(lease, {A: 400.0}, sequence=7) == first
        assert small.points[A].written == [400.0]

    asyncio.run(play())


def test_older_sequence_and_other_content_are_refused(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def refused(sequence: int, watts: float) -> common_pb2.RefusalReason.ValueType:
        lease = await small.acquire()
        with pytest.raises(RefusedError) as caught:
            await small.command(lease, {A: watts}, sequence=sequence)
        return caught.value.reason

    async def play() -> None:
        lease = await small.acquire()
        await small.command(lease, {A: 400.0}, sequence=7)
        assert await refused(6, 300.0) == common_pb2.REFUSAL_REASON_STALE_SEQUENCE
        assert await refused(7, 300.0) == common_pb2.REFUSAL_REASON_INVALID
        assert await refused(0, 300.0) == common_pb2.REFUSAL_REASON_INVALID

    asyncio.run(play())
    assert small.points[A].written == [400.0]


def test_sequences_start_again_with_each_lease(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        await small.command(lease, {A: 400.0}, sequence=100)
        await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)
        lease = await small.acquire()
        (result,) = (await small.command(lease, {A: 300.0}, sequence=1)).results
        assert result.outcome is Outcome.APPLIED

    asyncio.run(play())


def test_write_waiting_when_the_lease_ends_is_not_made(tmp_path: Path) -> None:
    """
    The check stands right before the write, not at the arrival of the command.
    """
    clock = HandClock()
    small = SmallControl(tmp_path, clock=clock)

    def pause() -> None:
        clock.time_s += 3.0

    small.points[A].on_read = pause

    result = command_once(small, 400.0)

    assert result.outcome is Outcome.DEVICE_UNREACHABLE
    assert "the lease ended" in result.message
    assert small.points[A].written == []


def test_slew_is_measured_from_the_last_write_on_the_sites_clock(tmp_path: Path) -> None:
    clock = HandClock()
    point = FakePoint(spec(A, rise_max_per_s=2.0), 300.0)
    small = SmallControl(tmp_path, points=[point], clock=clock)

    async def play() -> None:
        lease = await small.acquire()
        await small.command(lease, {A: 200.0}, sequence=1)
        clock.time_s += 2.0
        (result,) = (await small.command(lease, {A: 500.0}, sequence=2)).results
        assert (result.outcome, result.written) == (Outcome.CLAMPED, 204.0)

    asyncio.run(play())


@pytest.mark.parametrize("targets", [{}, {A: 400.0}, {A: 90.0}])
def test_command_that_was_carried_out_is_acknowledged_to_the_driver(
    tmp_path: Path, targets: dict[tuple[str, str], float]
) -> None:
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        await small.command(lease, targets, answers_time_s=1_000_030.0)

    asyncio.run(play())
    assert small.driver.acknowledged == [1_000_030.0]


def test_refused_command_is_not_acknowledged(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        with pytest.raises(RefusedError):
            await small.command(lease, {A: math.nan}, answers_time_s=1.0)

    asyncio.run(play())
    assert small.driver.acknowledged == []


def test_device_being_restored_is_not_commanded_at_the_same_time(tmp_path: Path) -> None:
    small = SmallControl(tmp_path)

    async def play() -> Outcome:
        lease = await small.acquire()
        async with small.guard.lock(A):
            (result,) = (await small.command(lease, {A: 400.0})).results
        return result.outcome

    assert asyncio.run(play()) is Outcome.DEVICE_UNREACHABLE
    assert small.points[A].written == []


def test_command_that_was_begun_is_finished_though_its_caller_is_gone(tmp_path: Path) -> None:
    """
    Half a command would look like a foreign change, and be undone.
    """
    small = SmallControl(tmp_path)

    async def play() -> None:
        lease = await small.acquire()
        caller = asyncio.create_task(small.command(lease, {A: 400.0, B: 300.0}))
        while not small.journal_path.exists():
            await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        while not small.commander.commanded:
            await asyncio.sleep(0)

    asyncio.run(play())
    assert small.values() == {A: 400.0, B: 300.0}
    assert small.commander.commanded == {A: 400.0, B: 300.0}
