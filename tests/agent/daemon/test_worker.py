"""A call that hangs holds up its own device and nothing else."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from coolcap_agent.daemon.worker import JobFailed, TimedOut, Unreachable, Worker
from coolcap_agent.drivers.base import DeviceLost


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("GPU-a")
    yield worker
    worker.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def lost() -> None:
    raise DeviceLost("GPU-a does not answer")


def test_calls_return_what_they_compute_or_raise(worker: Worker) -> None:
    async def play() -> int:
        with pytest.raises(DeviceLost):
            await worker.call(lost, deadline_s=5.0)
        return await worker.call(lambda: 42, deadline_s=5.0)

    assert asyncio.run(play()) == 42


def test_bug_of_a_driver_is_reported_and_does_not_end_its_thread(worker: Worker) -> None:
    async def play() -> int:
        with pytest.raises(JobFailed, match="GPU-a failed with ZeroDivisionError"):
            await worker.call(lambda: 1 // 0, deadline_s=5.0)
        return await worker.call(lambda: 42, deadline_s=5.0)

    assert asyncio.run(play()) == 42


def test_call_that_does_not_return_times_out(worker: Worker, gate: threading.Event) -> None:
    async def play() -> None:
        with pytest.raises(TimedOut, match="GPU-a did not answer within"):
            await worker.call(gate.wait, deadline_s=0.02)

    asyncio.run(play())


def test_call_behind_one_that_hangs_is_dropped_and_never_made(
    worker: Worker, gate: threading.Event
) -> None:
    """
    Otherwise a cap would be written long after the command that asked for it.
    """
    made: list[str] = []

    async def play() -> None:
        with pytest.raises(TimedOut):
            await worker.call(gate.wait, deadline_s=0.02)
        with pytest.raises(Unreachable):
            await worker.call(lambda: made.append("late"), deadline_s=5.0)
        gate.set()
        while not made:
            with suppress(Unreachable):
                await worker.call(lambda: made.append("next"), deadline_s=5.0)

    asyncio.run(play())

    assert made == ["next"]


def test_calls_are_made_in_the_order_they_were_asked_for(worker: Worker) -> None:
    made: list[int] = []

    async def play() -> None:
        await asyncio.gather(
            *(worker.call(partial(made.append, n), deadline_s=5.0) for n in range(50))
        )

    asyncio.run(play())

    assert made == list(range(50))


def test_late_answer_of_a_call_given_up_disturbs_nobody(
    worker: Worker, gate: threading.Event
) -> None:
    def fail_late() -> None:
        gate.wait()
        raise DeviceLost("nobody waits for this")

    async def play() -> int:
        with pytest.raises(TimedOut):
            await worker.call(fail_late, deadline_s=0.02)
        gate.set()
        while True:
            with suppress(Unreachable):
                return await worker.call(lambda: 1, deadline_s=5.0)

    assert asyncio.run(play()) == 1


def test_call_whose_asker_has_gone_is_not_made(worker: Worker, gate: threading.Event) -> None:
    made: list[str] = []

    async def play() -> None:
        first = asyncio.create_task(worker.call(gate.wait, deadline_s=5.0))
        second = asyncio.create_task(worker.call(lambda: made.append("late"), deadline_s=5.0))
        await asyncio.sleep(0)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        gate.set()
        await first
        await worker.call(lambda: made.append("next"), deadline_s=5.0)

    asyncio.run(play())

    assert made == ["next"]


def test_answer_that_comes_after_the_event_loop_disturbs_nobody(gate: threading.Event) -> None:
    worker = Worker("GPU-a")

    async def play() -> None:
        with pytest.raises(TimedOut):
            await worker.call(gate.wait, deadline_s=0.02)

    asyncio.run(play())
    gate.set()

    assert asyncio.run(worker_answers(worker)) == 1


async def worker_answers(worker: Worker) -> int:
    while True:
        with suppress(Unreachable):
            return await worker.call(lambda: 1, deadline_s=5.0)
