"""Changes by others are noticed, logged once, and undone where that is right."""

import asyncio
from pathlib import Path

from coolcap_agent.daemon.point import InForce
from coolcap_agent.journal import Key
from support.fake_points import FakePoint, spec
from support.small_control import TTL_S, A, SmallControl


async def look(small: SmallControl) -> None:
    """One reading, compared."""
    before = small.reconciler.before_reading()
    found: dict[Key, InForce] = {key: await point.read() for key, point in small.points.items()}
    await small.reconciler.reconcile(found, before=before)


def test_foreign_change_is_undone_under_a_live_lease(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.points[A].value = 700.0

        await look(small)
        assert small.values()[A] == 400.0
        assert small.faults.about("GPU-a") == (
            "power cap 400.0 W for GPU-a was changed to 700.0 W by somebody else; writing it again"
        )

        await look(small)
        assert small.faults.about("GPU-a") == ""

    asyncio.run(play())


def test_change_after_the_lease_is_nobodys_business(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.clock.time_s += TTL_S
        await small.guard.tick()
        small.points[A].value = 500.0

        await look(small)

        assert small.values()[A] == 500.0
        assert small.faults.present == {}

    asyncio.run(play())


def test_point_that_is_not_to_be_fought_over_is_reported_and_left(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path, points=[FakePoint(spec(A, reapply=False))])
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.points[A].value = 500.0

        await look(small)

        assert small.values()[A] == 500.0
        assert {A} == small.reconciler.overridden
        assert "leaving it alone" in small.faults.about("GPU-a")

    asyncio.run(play())


def test_reading_from_before_a_new_command_is_not_taken_for_a_foreign_change(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0}, sequence=1)
        before = small.reconciler.before_reading()
        found = {A: await small.points[A].read()}
        await small.command(lease, {A: 300.0}, sequence=2)

        await small.reconciler.reconcile(found, before=before)

        assert small.points[A].written == [400.0, 300.0]
        assert small.faults.present == {}

    asyncio.run(play())


def test_stricter_limit_of_somebody_else_is_reported_not_fought(tmp_path: Path) -> None:
    async def play() -> None:
        small = SmallControl(tmp_path)
        lease = await small.acquire()
        await small.command(lease, {A: 400.0})
        small.points[A].enforced_max = 350.0

        await look(small)
        assert "the device follows 350.0 W" in small.faults.about("GPU-a")
        assert small.points[A].written == [400.0]

        small.points[A].enforced_max = 999.0
        await look(small)
        assert small.faults.present == {}

    asyncio.run(play())
