"""When the loop ticks: by the host's clock, or in step with a simulated site."""

import asyncio
import math
from typing import Final, Protocol

from coolcap_agent.clock import Clock

STRAGGLER_S: Final = 0.25
"""Longest wait, host time, for an agent whose telemetry of a frame is late."""


class Ticks(Protocol):
    """What is paced."""

    async def fast(self) -> None:
        """Look at budgets, temperatures and ages."""
        ...

    async def policy(self) -> None:
        """Make a decision."""
        ...

    def overrun(self, count: int) -> None:
        """Note that ``count`` fast ticks did not take place."""
        ...


class Frames(Protocol):
    """Waits for telemetry of one site time from all agents. ``Fleet`` does."""

    async def wait_frame(
        self, after_s: float, *, patience_s: float, straggler_s: float
    ) -> float | None:
        """Return the site time of the next frame, None if there is none within ``patience_s``."""
        ...


async def pace_real(
    ticks: Ticks, *, clock: Clock, policy_period_s: float, fast_period_s: float
) -> None:
    """Tick by the host's clock for ever; decisions fall on multiples of their period."""
    loop = asyncio.get_running_loop()
    next_s = loop.time()
    period: int | None = None
    while True:
        present = math.floor(clock.now_s() / policy_period_s)
        if present != period:
            period = present
            await ticks.policy()
        else:
            await ticks.fast()
        next_s += fast_period_s
        late_s = loop.time() - next_s
        if late_s > 0.0:
            skipped = math.floor(late_s / fast_period_s)
            next_s += skipped * fast_period_s
            if skipped:
                ticks.overrun(skipped)
        await asyncio.sleep(max(0.0, next_s - loop.time()))


async def pace_simulated(
    ticks: Ticks, *, frames: Frames, policy_period_s: float, fast_period_s: float
) -> None:
    """Tick for ever, once per frame of a simulated site, and by the host's clock without any.

    The site waits for the answer to its telemetry, so that no decision is late in site time
    however slow the host is.
    """
    done_s = -math.inf
    period: int | None = None
    while True:
        frame_s = await frames.wait_frame(done_s, patience_s=fast_period_s, straggler_s=STRAGGLER_S)
        if frame_s is None:
            await ticks.fast()
            continue
        done_s = frame_s
        present = math.floor(frame_s / policy_period_s)
        if present != period:
            period = present
            await ticks.policy()
        else:
            await ticks.fast()
