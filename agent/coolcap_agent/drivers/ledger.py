"""What this driver wrote to each lever point, and whether it still stands there.

A lever that somebody else has changed meanwhile is left alone until it has been released.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from coolcap_agent.drivers.base import Holder, LeverReading, Overridden, ValueRefused
from coolcap_agent.drivers.equipment import Command, Equipment
from coolcap_agent.drivers.points import Address, LeverPoint

A = TypeVar("A", bound=Address)

SETTLE_POLL_S: Final = 0.05
"""Pause between looks at a value that has not taken effect yet; a PLC cycle is 10 to 100 ms."""


@dataclass(slots=True)
class _Entry:
    """Values in house units; an attempted write may have taken effect without an answer."""

    before: float
    written: float
    attempted: float


class Ledger(Generic[A]):
    """The commands of one lever point; its methods take a connected device."""

    def __init__(self, point: LeverPoint[A]) -> None:
        self.point = point
        self._entry: _Entry | None = None
        self._lock = asyncio.Lock()

    @property
    def taken(self) -> bool:
        """Return whether this driver has written here and not given the point back."""
        return self._entry is not None

    def adopt(self, *, before: float) -> None:
        """Take over what an earlier process wrote; ``before`` is what stood there before that."""
        self._entry = _Entry(before=before, written=math.nan, attempted=math.nan)

    async def read(self, device: Equipment[A]) -> LeverReading:
        """Return what is in force and who decides."""
        command = await device.command_at(self.point.point.address)
        value = await self._value_in_force(device, command)
        entry = self._entry
        holder, message = Holder.LOCAL, ""
        if command.stronger:
            holder, message = Holder.OTHER, command.stronger
        elif entry is not None and not math.isnan(command.ours):
            holder = Holder.OURS if self._is_ours(entry, command) else Holder.OTHER
            message = "" if holder is Holder.OURS else self._foreign(entry, command)
            if holder is Holder.OURS and not self._is_followed(command, value):
                holder = Holder.LOCAL
                message = (
                    f"{self.point.feedback} says our {self._number(entry.written)} is not followed"
                )
        return LeverReading(
            lever=self.point.lever,
            value=value,
            holder=holder,
            message=message,
            local_value=(
                None if math.isnan(command.beneath) else self.point.point.value_of(command.beneath)
            ),
        )

    async def write(self, device: Equipment[A], value: float, *, settle_s: float) -> None:
        """Write ``value`` and see that it stands there; what follows it is not looked at.

        Raises:
            Overridden: If somebody else decides; then nothing was written.
            ValueRefused: If it does not stand there within ``settle_s``.
        """
        address = self.point.point.address
        async with self._lock:
            command = await device.command_at(address)
            self._refuse_if_overridden(command, value)
            if self._entry is None:
                before = self.point.point.value_of(command.ours)
                self._entry = _Entry(before=before, written=before, attempted=value)
            self._entry.attempted = value
            await device.write(address, self.point.point.raw_of(value))
            await self._see_effect(device, value, settle_s=settle_s)
            self._entry.written = value

    async def align(self, device: Equipment[A]) -> None:
        """Write what the equipment follows where our value stands, so that nothing leaps.

        A value of ours that is not followed, because the heartbeat was late, would otherwise come
        in force with the next enable.
        """
        async with self._lock:
            if self._entry is None or self.point.feedback is None:
                return
            command = await device.command_at(self.point.point.address)
            follows = await self._value_in_force(device, command)
            if not math.isfinite(follows) or not self._is_ours(self._entry, command):
                return
            if self._is_followed(command, follows):
                return
            self._entry.attempted = follows
            await device.write(self.point.point.address, self.point.point.raw_of(follows))
            self._entry.written = follows

    async def see_followed(self, device: Equipment[A], value: float, *, settle_s: float) -> None:
        """See that the equipment follows ``value`` where it says so at a point of its own.

        Raises:
            ValueRefused: If it does not within ``settle_s``.
        """
        if self.point.feedback is None:
            return
        deadline = asyncio.get_running_loop().time() + settle_s
        while True:
            command = await device.command_at(self.point.point.address)
            follows = await self._value_in_force(device, command)
            if self.point.matches(follows, value):
                return
            if asyncio.get_running_loop().time() >= deadline:
                raise ValueRefused(
                    f"{self._text(value)} stands at {self.point.point}, but the equipment follows "
                    f"{self._number(follows)} (read from {self.point.feedback})"
                )
            await asyncio.sleep(SETTLE_POLL_S)

    async def give_back(self, device: Equipment[A]) -> str:
        """Hand the point back to the equipment's own program.

        Returns:
            Why it was left as it is, empty if it was given back or nothing of ours was there.
        """
        address = self.point.point.address
        async with self._lock:
            command = await device.command_at(address)
            entry = self._entry
            if math.isnan(command.ours):
                self._entry = None
                return ""
            if entry is not None and not self._is_ours(entry, command):
                self._entry = None
                return self._foreign(entry, command)
            before = math.nan if entry is None else self.point.point.raw_of(entry.before)
            await device.give_back(address, before=before)
            self._entry = None
            return ""

    def _refuse_if_overridden(self, command: Command, value: float) -> None:
        if command.stronger:
            raise Overridden(
                f"{self._text(value)} was not written to {self.point.point}: {command.stronger}"
            )
        entry = self._entry
        if entry is None or math.isnan(command.ours) or self._is_ours(entry, command):
            return
        raise Overridden(
            f"{self._text(value)} was not written to {self.point.point}: "
            f"{self._foreign(entry, command)}; release the lever before commanding it again"
        )

    async def _see_effect(self, device: Equipment[A], value: float, *, settle_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + settle_s
        while True:
            command = await device.command_at(self.point.point.address)
            stands = self.point.point.value_of(command.ours)
            follows = self.point.point.value_of(command.in_force)
            if self.point.matches(stands, value) and self.point.matches(follows, value):
                return
            if command.stronger:
                raise Overridden(
                    f"{self._text(value)} was written to {self.point.point} and has no effect: "
                    f"{command.stronger}"
                )
            if asyncio.get_running_loop().time() >= deadline:
                raise ValueRefused(
                    f"{self._text(value)} was acknowledged by {self.point.point}, but reading back "
                    f"gives {self._number(stands)}, in force {self._number(follows)}"
                )
            await asyncio.sleep(SETTLE_POLL_S)

    async def _value_in_force(self, device: Equipment[A], command: Command) -> float:
        feedback = self.point.feedback
        if feedback is None:
            return self.point.point.value_of(command.in_force)
        sample = (await device.read([feedback.address])).get(feedback.address)
        if sample is None or sample.problem:
            return math.nan
        return feedback.value_of(sample.raw)

    def _is_followed(self, command: Command, value: float) -> bool:
        stands = self.point.point.value_of(command.ours)
        return self.point.feedback is None or self.point.matches(stands, value)

    def _is_ours(self, entry: _Entry, command: Command) -> bool:
        if math.isnan(entry.written) and math.isnan(entry.attempted):
            return True  # adopted: whatever stands there is an earlier process's
        ours = self.point.point.value_of(command.ours)
        return self.point.matches(ours, entry.written) or self.point.matches(ours, entry.attempted)

    def _foreign(self, entry: _Entry, command: Command) -> str:
        now = self._number(self.point.point.value_of(command.ours))
        wrote = self._number(entry.written)
        return f"another writer changed {self.point.point} from our {wrote} to {now}"

    def _number(self, value: float) -> str:
        return f"{value:g} {self.point.unit}"

    def _text(self, value: float) -> str:
        return f"{self.point.lever} {self._number(value)}"
