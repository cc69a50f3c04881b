"""A thread of its own for each device, so that one that hangs holds up nothing else.

A driver call can block for long (a GPU whose firmware has stopped answering: 45 s per call, NVIDIA
Xid 119). Its thread is then left to it, and whoever waits gives up at the deadline. Threads are
daemons: a blocked one does not keep the process from ending.

The way there and back is most of what an agent costs, so it is one queue, one wake-up of the event
loop and one timer; futures of ``concurrent.futures`` took half as much again.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from coolcap_envs.contract.errors import CoolcapError

log = logging.getLogger(__name__)

T = TypeVar("T")


class WorkerError(CoolcapError):
    """A call to a device got no answer in time."""


class Unreachable(WorkerError):  # noqa: N818 - reads as the event it reports
    """An earlier call still blocks the device; this one was dropped and will never be made."""


class TimedOut(WorkerError):  # noqa: N818 - reads as the event it reports
    """The call was begun and has not returned; whether it takes effect is unknown."""


class JobFailed(WorkerError):  # noqa: N818 - reads as the event it reports
    """The call ended in an error that no driver should raise: a fault of the driver."""


class _Call(Generic[T]):
    """A call on its way to the device's thread and back."""

    __slots__ = ("_job", "_lock", "_loop", "_taken", "done", "ended", "error", "result")

    result: T

    def __init__(self, job: Callable[[], T]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._taken = False
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.error: CoolcapError | None = None
        self.done = False

    def take(self) -> bool:
        """Claim the call, to make it or to drop it; return whether nobody had."""
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken

    def make(self, name: str) -> None:
        """Make the call in the device's thread; keeps what it gives or raises."""
        try:
            self.result = self._job()
        except CoolcapError as error:
            self.error = error
        except Exception as error:
            log.debug("%s failed", name, exc_info=True)
            self.error = JobFailed(f"{name} failed with {type(error).__name__}: {error}")

    def give_back(self) -> None:
        """Wake who waits, if the event loop is still there."""
        self.done = True
        with contextlib.suppress(RuntimeError):  # closed: the process ends
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """End the wait; for the event loop only."""
        if not self.ended.done():
            self.ended.set_result(None)


class Worker:
    """Makes the calls to one device, one after the other, in the order they were asked for.

    While a call that was given up still blocks, further ones are not waited for.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._busy = False
        self._hangs = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, job: Callable[[], T], *, deadline_s: float) -> T:
        """Make a blocking call in the device's thread and return its result.

        Raises:
            Unreachable: If an earlier call still blocks; this one will never be made.
            TimedOut: If it was begun but did not return within ``deadline_s``.
            JobFailed: If it raised anything but a CoolcapError.
            CoolcapError: What ``job`` raised.
        """
        self._hangs = self._hangs and self._busy
        if self._hangs:
            raise Unreachable(f"{self._name} is blocked by an earlier call")
        call = _Call(job)
        late = asyncio.get_running_loop().call_later(deadline_s, call.wake)
        self._calls.put(call)
        try:
            await call.ended
        except asyncio.CancelledError:
            call.take()  # who asked has gone; what was not begun is not made
            raise
        finally:
            late.cancel()
        if call.done:
            if call.error is not None:
                raise call.error
            return call.result
        self._hangs = True
        if call.take():
            raise Unreachable(f"{self._name} is blocked by an earlier call")
        raise TimedOut(f"{self._name} did not answer within {deadline_s:g} s")

    def close(self) -> None:
        """Let the thread end after the calls that wait."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if not call.take():
                continue
            self._busy = True
            call.make(self._name)
            self._busy = False
            call.give_back()
            del call
