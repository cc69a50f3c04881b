"""A thread of its own for each device, so that one that hangs holds up nothing else.

A driver call can block for long (a GPU whose firmware has stopped answering: 45 s per call, NVIDIA
Xid 119). Its thread is then left to it, and whoever waits gives up at the deadline. Threads are
daemons: a blocked one does not keep the process from ending.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

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


class Worker:
    """Makes the calls to one device, one after the other, in the order they were asked for.

    While a call that was given up still blocks, further ones are not waited for.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._jobs = queue.SimpleQueue()
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
        future: Future[T] = Future()
        self._jobs.put((future, job))
        answer = asyncio.wrap_future(future)
        await asyncio.wait([answer], timeout=deadline_s)
        if answer.done():
            return answer.result()
        self._hangs = True
        never_begun = future.cancel()
        answer.cancel()
        if never_begun:
            raise Unreachable(f"{self._name} is blocked by an earlier call")
        raise TimedOut(f"{self._name} did not answer within {deadline_s:g} s")

    def close(self) -> None:
        """Let the thread end after the calls that wait."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            self._busy = True
            try:
                result = job()
            except CoolcapError as error:
                self._busy = False
                future.set_exception(error)
            except Exception as error:
                log.debug("%s failed", self._name, exc_info=True)
                self._busy = False
                future.set_exception(
                    JobFailed(f"{self._name} failed with {type(error).__name__}: {error}")
                )
            else:
                self._busy = False
                future.set_result(result)
            del future, job, item
