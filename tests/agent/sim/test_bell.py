"""Whoever waits at a file is woken by its bell, and by time alone where there is none."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from coolcap_agent.sim.bell import Bell, ring

NEVER_S = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file"


def test_ring_wakes_every_waiting_task(path: Path) -> None:
    async def run() -> None:
        listening = Bell(path)
        tasks = [asyncio.create_task(listening.wait(timeout_s=NEVER_S)) for _ in range(3)]
        await asyncio.sleep(0)
        ring(path)
        await asyncio.wait_for(asyncio.gather(*tasks), timeout=5.0)

    asyncio.run(run())


def test_ring_before_the_wait_is_not_missed(path: Path) -> None:
    async def run() -> None:
        listening = Bell(path)
        ring(path)
        await asyncio.wait_for(listening.wait(timeout_s=NEVER_S), timeout=5.0)

    asyncio.run(run())


def test_bell_can_be_heard_in_one_loop_after_another(path: Path) -> None:
    listening = Bell(path)

    async def run() -> None:
        ring(path)
        await asyncio.wait_for(listening.wait(timeout_s=NEVER_S), timeout=5.0)

    asyncio.run(run())
    asyncio.run(run())


def test_wait_ends_by_its_timeout_without_a_ring(path: Path) -> None:
    start_s = time.monotonic()

    asyncio.run(Bell(path).wait(timeout_s=0.02))

    assert time.monotonic() - start_s >= 0.02


def test_wait_ends_by_its_timeout_where_files_cannot_be_watched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "other")
        deaf = Bell(path)
    ring(path)

    asyncio.run(deaf.wait(timeout_s=0.01))

    assert not deaf.is_heard


def test_cancelled_wait_leaves_the_bell_usable(path: Path) -> None:
    async def run() -> None:
        listening = Bell(path)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listening.wait(timeout_s=NEVER_S), timeout=0.01)
        ring(path)
        await asyncio.wait_for(listening.wait(timeout_s=NEVER_S), timeout=5.0)

    asyncio.run(run())
