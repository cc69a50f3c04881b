"""An asyncio loop in a thread of its own, for drivers whose libraries speak asyncio.

Driver calls come from worker threads and block; the loop goes on between them, so connections
stay alive and answers are taken in when they arrive.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

from coolcap_agent.drivers.base import DeviceLost, DriverError

T = TypeVar("T")

CLOSE_DEADLINE_S: Final = 5.0
"""How long ``close`` waits for connections to be taken down; far above what a socket needs."""

_log = logging.getLogger(__name__)


class LoopThread:
    """Runs coroutines for callers in other threads, each with a deadline."""

    def __init__(self, name: str) -> None:
        """Start the thread; it ends with the process or by :meth:`close`."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_note_stray_error)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T], *, deadline_s: float, of: str) -> T:
        """Run ``coroutine`` in the loop and return its result.

        Args:
            coroutine: What to run; cancelled when the deadline passes.
            deadline_s: Longest wait, > 0.
            of: What was asked of what, for the message.

        Raises:
            DeviceLost: If there was no result in time; whether it took effect is unknown.
            DriverError: If the loop has been closed, and whatever ``coroutine`` raises.
        """
        if self._loop.is_closed():
            coroutine.close()
            raise DriverError(f"{of}: the driver is closed: call open() first")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(deadline_s)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise DeviceLost(f"{of}: no result within {deadline_s:g} s") from None
        except CancelledError:
            raise DriverError(f"{of}: the driver was closed meanwhile") from None

    def close(self) -> None:
        """Cancel what runs, end the thread and free the loop; safe to call twice."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_DEADLINE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # transports closed by the tasks finish in the next turn


def _note_stray_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Record what a library left unhandled in one of its own tasks; nobody waits for it."""
    _log.debug("stray error in a protocol library: %s", context)
