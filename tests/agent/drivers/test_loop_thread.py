import asyncio
import threading

import pytest

from coolcap_agent.drivers.base import DeviceLost, DriverError
from coolcap_agent.drivers.loop_thread import LoopThread


async def _answer(value: int) -> int:
    return value


async def _fail() -> None:
    raise ValueError("as asked")


class Odd(BaseException):
    """Like what bacpypes3 raises."""


async def _fail_oddly() -> None:
    raise Odd


def test_result_and_exception_reach_the_caller() -> None:
    thread = LoopThread("test")

    assert thread.call(_answer(5), deadline_s=1.0, of="adding") == 5
    with pytest.raises(ValueError, match="as asked"):
        thread.call(_fail(), deadline_s=1.0, of="failing")
    with pytest.raises(Odd):
        thread.call(_fail_oddly(), deadline_s=1.0, of="failing")
    assert thread.call(_answer(6), deadline_s=1.0, of="adding") == 6
    thread.close()


def test_late_call_is_cancelled_and_reported_as_a_lost_device() -> None:
    thread = LoopThread("test")
    cancelled = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(DeviceLost, match=r"reading the chiller: no result within 0\.05 s"):
        thread.call(hang(), deadline_s=0.05, of="reading the chiller")

    assert cancelled.wait(1.0)
    thread.close()


def test_timeout_inside_the_call_is_not_taken_for_the_deadline() -> None:
    thread = LoopThread("test")

    async def time_out() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        thread.call(time_out(), deadline_s=5.0, of="timing out")
    thread.close()


def test_closing_ends_what_runs_and_refuses_what_comes() -> None:
    thread = LoopThread("test")
    begun = threading.Event()
    failures: list[BaseException] = []

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            thread.call(hang(), deadline_s=10.0, of="hanging")
        except DriverError as error:
            failures.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    begun.wait(1.0)

    thread.close()
    thread.close()

    caller.join(1.0)
    assert [str(f) for f in failures] == ["hanging: the driver was closed meanwhile"]
    with pytest.raises(DriverError, match="the driver is closed"):
        thread.call(_answer(1), deadline_s=1.0, of="adding")
