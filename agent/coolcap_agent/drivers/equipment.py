"""A device behind a field protocol, and the line to it: connected on demand, dropped when lost."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, runtime_checkable

from coolcap_agent.drivers.base import DeviceLost, DriverError
from coolcap_agent.drivers.points import Address

A = TypeVar("A", bound=Address)
T = TypeVar("T")

RETRY_FIRST_S: Final = 0.5
RETRY_MAX_S: Final = 5.0
"""Pauses between attempts to reach a lost device start and end here, doubling."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a device said about one address, in its own units; ``problem`` if it is unusable.

    ``age_s`` is how old the device says the value is; 0 where it does not say.
    """

    raw: float
    problem: str = ""
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a device holds for a lever, in its own units.

    Attributes:
        in_force: What the equipment follows.
        ours: What stands where this driver writes; NaN if that place is empty.
        stronger: Who decides instead of this driver, for people; empty if nobody does.
        beneath: What would be in force if ours were taken away; NaN if the device does not say.
    """

    in_force: float
    ours: float
    stronger: str = ""
    beneath: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRange:
    """What a device says it accepts, in its own units; ``read_only_reason`` if it accepts nothing.

    An end it does not tell is infinite.
    """

    low: float = -math.inf
    high: float = math.inf
    read_only_reason: str = ""


class Equipment(Protocol[A]):
    """One device, spoken to from one asyncio loop; calls may overlap.

    All but ``disconnect`` raise DeviceLost when there is no answer, NotPermitted and ValueRefused
    when the device refuses, DriverError when it is not the device meant.
    """

    @property
    def name(self) -> str:
        """Return the device's name in the point map."""
        ...

    @property
    def connected(self) -> bool:
        """Return whether the connection stands, as far as this side knows."""
        ...

    async def connect(self) -> None:
        """Reach the device and check that it is the one meant."""
        ...

    async def disconnect(self) -> None:
        """Let go of the device; safe when not connected, never raises."""
        ...

    async def read(self, addresses: Sequence[A]) -> Mapping[A, Sample]:
        """Read values; an address without an answer is missing from the result."""
        ...

    async def range_of(self, address: A) -> DeviceRange:
        """Return what the device accepts there."""
        ...

    async def command_at(self, address: A) -> Command:
        """Return what is in force and who decides."""
        ...

    async def write(self, address: A, raw: float) -> None:
        """Write; an answer is not yet an effect."""
        ...

    async def give_back(self, address: A, *, before: float) -> None:
        """Take our value away; where that cannot be done write ``before``, nothing if it is NaN."""
        ...


@runtime_checkable
class Subscribing(Protocol[A]):
    """Equipment that tells of changes between polls.

    Polls stay the truth: a subscription can end without a word, and then values are as old as the
    last poll.
    """

    async def keep_subscribed(
        self, addresses: Sequence[A], note: Callable[[Mapping[A, Sample]], None]
    ) -> None:
        """Subscribe what is not, and renew what runs out; what cannot be stays polled.

        Args:
            addresses: What is wanted.
            note: Takes changes, in the loop of the equipment.

        Raises:
            DeviceLost: If the device does not answer.
        """
        ...


class Line(Generic[A]):
    """Keeps a device connected and says once when it is lost and once when it is back."""

    def __init__(
        self, equipment: Equipment[A], on_connect: Callable[[Equipment[A]], Awaitable[None]]
    ) -> None:
        self._equipment = equipment
        self._on_connect = on_connect
        self._connecting = asyncio.Lock()
        self._pause_s = RETRY_FIRST_S
        self._retry_mono_s = -math.inf
        self.problem = ""
        """Why the device is lost, empty while it answers."""

    async def use(self, job: Callable[[Equipment[A]], Awaitable[T]], *, urgent: bool = False) -> T:
        """Do ``job`` with the connected device.

        Args:
            job: What to do; a DeviceLost from it drops the connection.
            urgent: Try to connect even if the last attempt failed just now.

        Raises:
            DeviceLost: If the device is not reached, and whatever ``job`` raises.
        """
        async with self._connecting:
            if not self._equipment.connected:
                await self._connect(urgent=urgent)
        try:
            return await job(self._equipment)
        except DeviceLost as error:
            await self._lose(error)
            raise

    async def close(self) -> None:
        """Disconnect."""
        await self._equipment.disconnect()

    async def _connect(self, *, urgent: bool) -> None:
        wait_s = self._retry_mono_s - time.monotonic()
        if wait_s > 0.0 and not urgent:
            raise DeviceLost(f"{self.problem}; next attempt in {wait_s:.1f} s")
        try:
            await self._equipment.connect()
            await self._on_connect(self._equipment)
        except DriverError as error:
            await self._lose(error)
            self._retry_mono_s = time.monotonic() + self._pause_s
            self._pause_s = min(2.0 * self._pause_s, RETRY_MAX_S)
            raise
        except BaseException:
            await self._equipment.disconnect()
            raise
        self._pause_s = RETRY_FIRST_S
        if self.problem:
            _log.info("%s answers again", self._equipment.name)
            self.problem = ""

    async def _lose(self, error: DriverError) -> None:
        if not self.problem:
            _log.warning("%s is lost: %s", self._equipment.name, error)
        self.problem = str(error)
        await self._equipment.disconnect()
