"""Clocks in a test's hand, and control points that behave as told."""

import asyncio
import math
from collections.abc import Callable

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import InForce, LeaseOver, Spec
from coolcap_agent.drivers.base import DriverError
from coolcap_agent.journal import Entry, Key


class HandClock:
    """Site time and monotonic time that move when the test says so."""

    def __init__(self, time_s: float = 1_000_000.0) -> None:
        self.time_s = time_s

    def now_s(self) -> float:
        return self.time_s

    def mono_s(self) -> float:
        return self.time_s

    async def sleep_until(self, time_s: float) -> None:
        while self.time_s < time_s:
            await asyncio.sleep(0)


def spec(key: Key = ("GPU-a", "power_cap_w"), **changes: object) -> Spec:
    """A GPU's power cap: the device takes 100 to 700 W, the agent writes 150 to 600 W."""
    fields: dict[str, object] = {
        "key": key,
        "name": f"power cap {{}} for {key[0]}",
        "unit": "W",
        "digits": 1,
        "device_low": 100.0,
        "device_high": 700.0,
        "low": 150.0,
        "high": 600.0,
        "limits_origin": "own limits, node.toml",
        "rise_max_per_s": math.inf,
        "fall_max_per_s": math.inf,
        "slew_span_max_s": 60.0,
        "tolerance": 0.5,
        "refusal": "",
        "refusal_outcome": Outcome.READ_ONLY,
        "default": 700.0,
        "releases": False,
        "reapply": True,
    }
    return Spec(**{**fields, **changes})  # type: ignore[arg-type]


class FakePoint:
    """A point in memory. ``error`` is raised by every call, ``written`` keeps what was asked."""

    def __init__(self, fixed: Spec, value: float = 700.0) -> None:
        self._spec = fixed
        self.value = value
        self.enforced_max = math.inf
        self.local = False
        self.overridden = ""
        self.ignores = False
        self.error: DriverError | None = None
        self.written: list[float] = []
        self.released = 0
        self.adopted: Entry | None = None
        self.on_read: Callable[[], None] = lambda: None

    @property
    def spec(self) -> Spec:
        return self._spec

    async def read(self) -> InForce:
        if self.error:
            raise self.error
        self.on_read()
        return InForce(
            requested=self.value,
            effective=min(self.value, self.enforced_max),
            local=self.local,
            overridden=self.overridden,
        )

    async def write(self, value: float, *, allowed: Callable[[], bool]) -> InForce:
        if self.error:
            raise self.error
        if not allowed():
            raise LeaseOver("the lease ended before the write was begun; nothing was written")
        self.written.append(value)
        if not self.ignores:
            self.value = value
            self.local = False
        return await self.read()

    async def adopt(self, entry: Entry) -> None:
        self.adopted = entry

    async def release(self) -> None:
        self.released += 1
        self.local = True


class FakeDriver:
    """Notes acknowledgements."""

    def __init__(self) -> None:
        self.acknowledged: list[float] = []

    async def acknowledge(self, *, answers_time_s: float) -> None:
        self.acknowledged.append(answers_time_s)
