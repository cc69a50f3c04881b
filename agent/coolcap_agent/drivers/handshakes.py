"""Enable, heartbeat and override points: how the equipment itself watches over this driver.

The equipment follows our setpoints only while enable is 1 and the heartbeat keeps changing. The
heartbeat counts with the polls, so it stops with the agent's sampling, not only with the process.
"""

import asyncio
import math
from typing import Final, Generic, TypeVar

from coolcap_agent.drivers.equipment import Equipment
from coolcap_agent.drivers.points import Address, Handshake

A = TypeVar("A", bound=Address)

BEATS: Final = 10_000
"""The heartbeat counts from 1 to this and starts again; fits a signed 16-bit register."""


class HandshakeKeeper(Generic[A]):
    """Keeps the handshake of one device; its methods take the connected device."""

    def __init__(self, handshake: Handshake[A]) -> None:
        self._handshake = handshake
        self._beat = 0
        self._lock = asyncio.Lock()
        self.turn = asyncio.Lock()
        """Held while a lever's value is written and enabled: one lever at a time comes in force."""

    async def overridden(self, device: Equipment[A]) -> str:
        """Return why a person may have taken the device over, empty if the switch is off."""
        point = self._handshake.override
        if point is None:
            return ""
        sample = (await device.read([point.address])).get(point.address)
        if sample is None:
            return f"override switch {point} does not answer"
        if sample.problem:
            return f"override switch {point} is unknown: {sample.problem}"
        return f"override switch {point} is on ({sample.raw:g})" if sample.raw else ""

    async def enabled(self, device: Equipment[A]) -> bool:
        """Return whether the equipment follows our setpoints."""
        return (await device.command_at(self._handshake.enable.address)).ours == 1.0

    async def keep(self, device: Equipment[A]) -> None:
        """Beat once and switch enable on if it is not."""
        await self.beat(device)
        enable = self._handshake.enable.address
        async with self._lock:
            if not await self.enabled(device):
                await device.write(enable, 1.0)

    async def beat(self, device: Equipment[A]) -> None:
        """Count the heartbeat up."""
        if self._handshake.heartbeat is None:
            return
        async with self._lock:
            self._beat = self._beat % BEATS + 1
            await device.write(self._handshake.heartbeat.address, float(self._beat))

    async def end(self, device: Equipment[A]) -> None:
        """Switch enable off and let go of the heartbeat."""
        async with self._lock:
            await device.give_back(self._handshake.enable.address, before=0.0)
            if self._handshake.heartbeat is not None:
                await device.give_back(self._handshake.heartbeat.address, before=math.nan)
