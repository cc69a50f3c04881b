"""Clocks. Site time stamps telemetry and paces sampling; leases use the monotonic clock."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Site time, real or simulated."""

    def now_s(self) -> float:
        """Return site time, seconds since 1970-01-01 UTC."""
        ...

    async def sleep_until(self, time_s: float) -> None:
        """Return once site time has reached ``time_s``."""
        ...


class RealClock:
    """The host's clock."""

    def now_s(self) -> float:
        """Return the host's time, seconds since 1970-01-01 UTC."""
        return time.time()

    async def sleep_until(self, time_s: float) -> None:
        """Sleep until ``time_s``; returns at once if it has passed."""
        await asyncio.sleep(max(0.0, time_s - time.time()))


def time_text(time_s: float) -> str:
    """Return a site time as ISO 8601, UTC."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")
