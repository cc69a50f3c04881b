"""However a lease ends, what was written under it goes back; what fails is tried again."""

import asyncio
from pathlib import Path

import pytest

from coolcap_agent.daemon.guard import RETRY_S, GuardState
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.drivers.base import DeviceLost
from coolcap_agent.journal import Entry, Journal
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2
from support.fake_points import FakePoint, HandClock, spec
from support.small_control import TTL_S, A, B, SmallControl

LEVER = ("", "supply_air_temp_setpoint_c")


def test_expiry_restores_what_was_in_force_before_the_first_write(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        small.points[A].value = 650.0
        lease = await small.acquire()
        await small.command(lease, {A: 400.0, B: 300.0})
        await small.command(lease, {A: 350.0}, sequence=2)
        assert small.values() == {A: 350.0, B: 300.0}

        small.clock.time_s += TTL_S - 0.001
        await small.guard.tick()
        assert small.values() == {A: 350.0, B: 300.0}

        small.clock.time_s += 0.001
        await small.guard.tick()
        assert small.values() == {A: 650.0, B: 700.0}
        assert not small.journal_path.exists()
        assert small.guard.state is GuardState.FREE

    asyncio.run(play())


def test_release_restores_before_it_answers(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})

        results = await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)

        assert [(r.entry.key, r.entry.value, r.outcome) for r in results] == [
            (A, 700.0, Outcome.RESTORED)
        ]
        assert small.values()[A] == 700.0
        assert await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch) == []

    asyncio.run(play())


def test_start_restores_the_journal_of_a_process_that_died(tmp_path: Path) -> None:
    async def live_and_die() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})

    async def start_again() -> None:
        point = FakePoint(spec(A), value=400.0)
        small = SmallControl(tmp_path, points=[point])
        await small.guard.start()
        assert point.adopted == Entry(device="GPU-a", lever="power_cap_w", value=700.0)
        assert point.value == 700.0
        assert not small.journal_path.exists()

    asyncio.run(live_and_die())
    assert (tmp_path / "journal.json").exists()
    asyncio.run(start_again())


def test_one_device_that_fails_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0, B: 300.0})
        small.points[A].error = DeviceLost("GPU-a does not answer")
        small.clock.time_s += TTL_S

        await small.guard.tick()
        assert small.values()[B] == 700.0
        assert list(small.journal.entries) == [A]
        assert "could not be restored" in small.faults.about("GPU-a")

        small.points[A].error = None
        await small.guard.tick()
        assert small.values()[A] == 400.0

        small.clock.time_s += RETRY_S
        await small.guard.tick()
        assert small.values()[A] == 700.0
        assert not small.journal_path.exists()
        assert small.faults.about("GPU-a") == ""

    asyncio.run(play())


def test_write_that_the_device_ignores_counts_as_not_restored(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.points[A].ignores = True

        results = await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)

        assert [result.outcome for result in results] == [Outcome.NOT_VERIFIED]
        assert small.journal_path.exists()

    asyncio.run(play())


def test_device_that_failed_keeps_its_first_value_through_the_next_lease(tmp_path: Path) -> None:
    """
    What it holds by then is our own cap, not what was in force before us.
    """

    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.points[A].error = DeviceLost("GPU-a does not answer")
        small.clock.time_s += TTL_S
        await small.guard.tick()

        small.points[A].error = None
        lease = await small.acquire("other")
        await small.command(lease, {A: 350.0})
        await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)

        assert small.values()[A] == 700.0

    asyncio.run(play())


def test_no_lease_is_granted_before_an_expired_one_is_cleaned_up(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.clock.time_s += TTL_S

        assert small.guard.state is GuardState.RESTORING
        with pytest.raises(RefusedError, match="are being restored") as caught:
            await small.acquire("other")
        assert caught.value.reason == common_pb2.REFUSAL_REASON_NOT_READY

        await small.guard.tick()
        assert (await small.acquire("other")).epoch == 2

    asyncio.run(play())


def test_value_of_somebody_else_from_before_is_not_touched_if_nothing_was_written(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        await small.acquire()
        small.points[A].value = 500.0
        small.clock.time_s += TTL_S
        await small.guard.tick()

        assert small.values()[A] == 500.0
        assert small.points[A].written == []

    asyncio.run(play())


def test_damaged_journal_leads_to_the_devices_defaults(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_bytes(b"{")
    barred = spec(B, refusal="not in allowed_gpus")

    async def play() -> None:
        points = [FakePoint(spec(A, default=650.0), 300.0), FakePoint(barred, 300.0)]
        small = SmallControl(tmp_path, points=points)
        await small.guard.start()

        assert small.values() == {A: 650.0, B: 300.0}

    asyncio.run(play())


def test_stopping_restores_at_once_and_grants_no_lease(tmp_path: Path) -> None:
    async def play() -> None:
        slow = FakePoint(spec(LEVER, rise_max_per_s=0.01, fall_max_per_s=0.01), 20.0)
        small = SmallControl(tmp_path, points=[slow], ramp=True)
        lease = await small.acquire()
        slow.value = 400.0
        await small.command(lease, {LEVER: 400.3})
        small.points[LEVER].value = 500.0

        await small.guard.shut_down()

        assert slow.value == 400.0
        with pytest.raises(RefusedError, match="is stopping"):
            await small.acquire()

    asyncio.run(play())


def test_ramp_back_takes_one_slew_per_reading_and_lets_a_new_lease_in(tmp_path: Path) -> None:
    async def play() -> None:
        clock = HandClock()
        lever = FakePoint(spec(LEVER, rise_max_per_s=1.0, fall_max_per_s=1.0), 200.0)
        lever.local = True
        small = SmallControl(tmp_path, points=[lever], clock=clock, ramp=True)
        lease = await small.acquire()
        await small.command(lease, {LEVER: 230.0})
        assert lever.value == 230.0
        clock.time_s += TTL_S
        await small.guard.tick()
        assert lever.value == 227.0
        assert small.guard.state is GuardState.RESTORING

        clock.time_s += 10.0
        await small.guard.tick()
        assert lever.value == 227.0
        await small.guard.advance_ramps()
        assert lever.value == 217.0
        assert lever.released == 0

        taken = await small.acquire("other")
        await small.command(taken, {LEVER: 217.0})
        clock.time_s += 1.0
        await small.guard.advance_ramps()
        assert lever.value == 217.0

        clock.time_s += TTL_S + 60.0
        await small.guard.tick()
        assert (lever.value, lever.released) == (200.0, 1)
        assert not small.journal_path.exists()

    asyncio.run(play())


def test_lever_that_somebody_overrides_is_left_to_them_and_given_back(tmp_path: Path) -> None:
    async def play() -> None:
        lever = FakePoint(spec(LEVER, releases=True), 200.0)
        lever.local = True
        small = SmallControl(tmp_path, points=[lever])
        lease = await small.acquire()
        await small.command(lease, {LEVER: 230.0})
        lever.value, lever.overridden = 180.0, "the operator's panel holds it"

        (result,) = await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)

        assert result.outcome is Outcome.RESTORED
        assert "the operator's panel holds it" in result.message
        assert (lever.value, lever.released) == (180.0, 1)

    asyncio.run(play())


def test_journaled_device_that_is_gone_is_reported_with_what_to_do(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.json").add([Entry(device="GPU-z", lever="power_cap_w", value=1.0)])

    async def play() -> None:
        small = SmallControl(tmp_path)
        (result,) = await small.guard.start()
        assert result.outcome is Outcome.REFUSED_UNKNOWN_DEVICE
        assert "remove its journal" in result.message

    asyncio.run(play())


def test_value_close_to_the_one_from_before_is_set_back_exactly(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        small.points[A].value = 400.0
        lease = await small.acquire()
        await small.command(lease, {A: 400.1})
        assert small.values()[A] == 400.1

        await small.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)

        assert small.values()[A] == 400.0

    asyncio.run(play())
