"""What the console knows of the controller, kept up to date with each tick, put to JSON once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from coolcap_agent.console.history import History
from coolcap_agent.console.view import (
    HISTORY_NAMES,
    history_row,
    layout_view,
    numbers,
    state_view,
    status_view,
)
from coolcap_agent.controller.controller import Controller
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.telemetry_log.fleet_sums import racks

PERIOD_S: Final = 1.0
"""Host time between two messages to a browser, at least."""
SILENCE_MAX_S: Final = 10.0
"""Without news so much later something is sent, so that a browser sees a dead connection."""


class Feed:
    """Follows the controller. Make it in the event loop the console runs in.

    Args:
        controller: What to follow.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.history = History(HISTORY_NAMES)
        self.layout = layout_view(controller.config.layout, controller.config.limits)
        self._racks = racks(controller.config.layout)
        self._events = asyncio.get_running_loop()
        self._tick = 0
        self._changed = asyncio.Condition()
        self._made = (-1, b"")
        self._stopped = False
        controller.listeners.append(self._on_tick)

    def _on_tick(self, state: LoopState) -> None:
        """Take in a tick, in the loop's thread."""
        self.history.add(
            float(state.telemetry.time_s),
            history_row(state.telemetry, self.controller.config.layout),
        )
        if not self._events.is_closed():
            self._events.call_soon_threadsafe(self._note)

    def _note(self) -> None:
        self._tick += 1
        self._wake()

    def _wake(self) -> None:
        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._waking = self._events.create_task(wake())

    def stop(self) -> None:
        """End all streams."""
        self._stopped = True
        self._wake()

    def state(self) -> dict[str, Any]:
        """Return the hall as it is now."""
        scene = self.controller.scene()
        return state_view(
            scene,
            self._racks,
            self.controller.fleet.state.gpus(),
            status=status_view(scene),
            log=self.controller.log_status(),
        )

    def _message(self) -> bytes:
        """Return the newest state as a server-sent event; made once for all who listen."""
        if self._made[0] != self._tick:
            text = json.dumps(self.state(), separators=(",", ":"), allow_nan=False)
            self._made = (self._tick, f"event: state\ndata: {text}\n\n".encode())
        return self._made[1]

    async def stream(self) -> AsyncIterator[bytes]:
        """Give a server-sent event with each tick, at most one per ``PERIOD_S``."""
        seen = -1
        while not self._stopped:
            if seen != self._tick:
                seen = self._tick
                yield self._message()
                await self._pause()
                continue
            try:
                async with asyncio.timeout(SILENCE_MAX_S), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                yield b": still here\n\n"

    async def _pause(self) -> None:
        """Wait for ``PERIOD_S``, but not beyond the end."""
        try:
            async with asyncio.timeout(PERIOD_S), self._changed:
                await self._changed.wait_for(lambda: self._stopped)
        except TimeoutError:
            return

    def past(self, span: str) -> dict[str, Any]:
        """Return a span of the history by columns. Raises KeyError if there is no such span."""
        times_s, rows = self.history.read(span)
        columns = {name: numbers(rows[:, i], 3) for i, name in enumerate(self.history.names)}
        return {"time_s": times_s.tolist(), "columns": columns}
