"""A CoolingDriver over a point map: all protocols share it and supply an Equipment per device."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    Holder,
    LeverInfo,
    LeverReading,
    NotPermitted,
    Overridden,
    SignalReading,
    ValueRefused,
)
from coolcap_agent.drivers.equipment import DeviceRange, Equipment, Line, Sample, Subscribing
from coolcap_agent.drivers.handshakes import HandshakeKeeper
from coolcap_agent.drivers.ledger import Ledger
from coolcap_agent.drivers.loop_thread import LoopThread
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.points import Address, Device, Point, PointMap
from coolcap_agent.drivers.readings import Readings

A = TypeVar("A", bound=Address)
D = TypeVar("D", bound=Device)
T = TypeVar("T")

GRACE_S: Final = 0.5
"""For ending what is late in a poll, before the poll itself counts as hung."""

_WORST_FIRST: Final = (Overridden, NotPermitted, ValueRefused, DeviceLost)
"""Which error stands for a lever whose points failed in different ways."""

_log = logging.getLogger(__name__)


class PointDriver(Generic[D, A]):
    """Cooling equipment, meters and weather behind a field protocol.

    Calls may come from any thread. ``now_s`` is the clock that stamps readings, s since 1970 UTC.
    """

    def __init__(
        self,
        points: PointMap[D, A],
        make_equipment: Callable[[Sequence[D]], Sequence[Equipment[A]]],
        *,
        name: str,
        patience: Patience,
    ) -> None:
        """Connect to nothing yet.

        Args:
            points: What to read and write.
            make_equipment: Makes the connections to the devices; called in the driver's loop.
            name: Protocol, as it appears in ``origin``.
            patience: How long to wait.
        """
        self.now_s: Callable[[], float] = time.time
        self._points = points
        self._make_equipment = make_equipment
        self._name = name
        self._patience = patience
        self._thread: LoopThread | None = None
        self._lines: dict[str, Line[A]] = {}
        self._ledgers: dict[str, list[Ledger[A]]] = {}
        self._handshakes: dict[str, HandshakeKeeper[A]] = {}
        self._ranges: dict[Point[A], DeviceRange] = {}
        self._readings = Readings(points, protocol=name)
        self._polled_mono_s: dict[str, float] = {}

    def open(self) -> None:
        """Connect; does nothing while open.

        Raises:
            DriverError: If nothing can be reached, or a device is not the one meant.
        """
        if self._thread is not None:
            return
        self._thread = LoopThread(f"{self._name}-driver")
        deadline_s = self._patience.poll_s + GRACE_S
        try:
            self._call(self._open(), deadline_s=deadline_s, of="connecting")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect; safe to call twice. Levers keep what they are set to."""
        if self._thread is None:
            return
        with suppress(DriverError):
            self._call(self._close(), deadline_s=self._patience.command_s, of="disconnecting")
        self._thread.close()
        self._thread = None

    def levers(self) -> Sequence[LeverInfo]:
        """Return the levers of the point map within what the devices accept."""
        names = dict.fromkeys(point.lever for point in self._points.levers)
        return [self._lever_info(name) for name in names]

    def read(self) -> Sequence[SignalReading]:
        """Poll all devices; one reading per sensor and one per lever point.

        A device that does not answer in time leaves the readings of earlier polls, with their own
        times, until they are older than the point map allows.
        """
        self._call(self._poll(), deadline_s=self._patience.poll_s + GRACE_S, of="polling")
        problems = {name: line.problem for name, line in self._lines.items()}
        return self._readings.all(now_s=self.now_s(), problems=problems)

    def read_setpoint(self, lever: str) -> float:
        """Return the value in force, the equipment's own program's too. Raises DeviceLost."""
        return self.read_lever(lever).value

    def read_lever(self, lever: str) -> LeverReading:
        """Return what is in force and who decides. Raises DeviceLost if no point answers."""
        ledgers = self._of(lever)
        results = self._on_each(ledgers, self._read_lever, "reading")
        readings = [r for r in results if isinstance(r, LeverReading)]
        errors = [r for r in results if isinstance(r, DriverError)]
        if not readings:
            raise _worst(lever, errors, done=0)
        holders = {r.holder for r in readings}
        local = [r.local_value for r in readings if r.local_value is not None]
        holder = Holder.OTHER if Holder.OTHER in holders else Holder.LOCAL
        said = [r.message for r in readings if r.message] + [str(e) for e in errors]
        return LeverReading(
            lever=lever,
            value=sum(r.value for r in readings) / len(readings),
            holder=Holder.OURS if holders == {Holder.OURS} else holder,
            message=f"{lever}: {'; '.join(said)}" if said else "",
            local_value=sum(local) / len(local) if len(local) == len(ledgers) else None,
        )

    def set_setpoint(self, lever: str, *, value: float) -> None:
        """Command a value and see that it stands and is followed at every point of the lever.

        Raises:
            Overridden: If somebody else decides at one of the points.
            ValueRefused: If the value is not finite, out of range, or has no effect.
            NotPermitted: If the lever is read-only.
            DeviceLost: If a device does not answer; the value may have taken effect.
        """
        ledgers = self._of(lever)
        info = self._lever_info(lever)
        if info.read_only_reason:
            raise NotPermitted(f"{lever} cannot be set: {info.read_only_reason}")
        if not (math.isfinite(value) and info.low <= value <= info.high):
            raise ValueRefused(
                f"{lever} {value:g} is outside {info.low:g} to {info.high:g} {info.unit} "
                "(point map and device)"
            )
        results = self._on_each(ledgers, lambda ledger, dev: self._set(ledger, dev, value), "set")
        if errors := [r for r in results if isinstance(r, DriverError)]:
            raise _worst(lever, errors, done=len(ledgers) - len(errors))

    def release(self, lever: str) -> None:
        """Give the lever back to the equipment's own program; idempotent.

        What somebody else has put where we wrote is left as it is. A BACnet slot is emptied even if
        this process has not written to it: the slot is ours, the value an earlier process's.

        Raises:
            DeviceLost: If a device does not answer; release again when it is back.
        """
        ledgers = self._of(lever)
        results = self._on_each(ledgers, self._release, "release")
        if errors := [r for r in results if isinstance(r, DriverError)]:
            raise _worst(lever, errors, done=len(ledgers) - len(errors))

    def adopt(self, lever: str, *, before: float) -> None:
        """Note that an earlier process wrote this lever, and what stood there before.

        A later release then restores ``before`` where there is no slot to empty, and a handshake
        of the earlier process is ended.
        """
        for ledger in self._of(lever):
            ledger.adopt(before=before)

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Do nothing; only simulated hardware keeps in step by it."""

    def _of(self, lever: str) -> list[Ledger[A]]:
        if self._thread is None:
            raise DriverError(f"{self._name} driver is not open: call open() first")
        if lever not in self._ledgers:
            known = ", ".join(self._ledgers) or "none"
            raise DriverError(f"the point map has no lever {lever!r}; its levers are: {known}")
        return self._ledgers[lever]

    def _call(self, coroutine: Coroutine[Any, Any, T], *, deadline_s: float, of: str) -> T:
        if self._thread is None:
            coroutine.close()
            raise DriverError(f"{self._name} driver is not open: call open() first")
        return self._thread.call(coroutine, deadline_s=deadline_s, of=f"{self._name} {of}")

    def _on_each(
        self,
        ledgers: Sequence[Ledger[A]],
        job: Callable[[Ledger[A], Equipment[A]], Coroutine[Any, Any, T]],
        of: str,
    ) -> list[T | BaseException]:
        """Do ``job`` at all points of a lever at once; failures are returned, DriverErrors only."""

        async def one(ledger: Ledger[A]) -> T:
            line = self._lines[ledger.point.point.device]
            return await line.use(lambda device: job(ledger, device), urgent=True)

        async def all_of_them() -> list[T | BaseException]:
            return await asyncio.gather(*(one(e) for e in ledgers), return_exceptions=True)

        lever = ledgers[0].point.lever
        results = self._call(all_of_them(), deadline_s=self._patience.command_s, of=f"{of} {lever}")
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, DriverError):
                raise result
        return results

    async def _open(self) -> None:
        equipment = self._make_equipment(self._points.devices)
        self._lines = {e.name: Line(e, self._learn) for e in equipment}
        self._handshakes = {h.device: HandshakeKeeper(h) for h in self._points.handshakes}
        self._ledgers = {}
        for point in self._points.levers:
            self._ledgers.setdefault(point.lever, []).append(Ledger(point))
        errors = await self._in_time([line.use(_nothing) for line in self._lines.values()])
        for error in errors:
            if not isinstance(error, DeviceLost):
                raise error
        if len(errors) == len(self._lines):
            raise DeviceLost("; ".join(str(e) for e in errors))

    async def _close(self) -> None:
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    async def _learn(self, device: Equipment[A]) -> None:
        """Read what a device accepts, after each connect: it may be another one by now."""
        self._polled_mono_s.pop(device.name, None)
        for lever in self._points.levers:
            if lever.point.device == device.name:
                self._ranges[lever.point] = await device.range_of(lever.point.address)

    async def _poll(self) -> None:
        """Read all devices; what a device did not answer its line and its readings tell."""
        await self._in_time([self._poll_device(name) for name in self._lines])

    async def _in_time(self, jobs: Sequence[Coroutine[Any, Any, None]]) -> list[DriverError]:
        """Do one job per device at once and return what went wrong; who is late is given up."""
        tasks = [asyncio.create_task(job) for job in jobs]
        _, late = await asyncio.wait(tasks, timeout=self._patience.poll_s)
        for task in late:
            task.cancel()
        errors: list[DriverError] = []
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError):
                errors.append(DeviceLost(f"no answer within {self._patience.poll_s:g} s"))
            elif isinstance(result, DriverError):
                errors.append(result)
            elif isinstance(result, BaseException):
                raise result
        return errors

    async def _poll_device(self, name: str) -> None:
        async def job(device: Equipment[A]) -> None:
            if await self._is_due(name, device):
                samples = await device.read(self._readings.wanted(name))
                self._readings.note(name, samples, now_s=self.now_s())
                self._polled_mono_s[name] = time.monotonic()
            if name in self._handshakes and self._holds_something_on(name):
                await self._handshakes[name].beat(device)

        await self._lines[name].use(job)

    async def _is_due(self, name: str, device: Equipment[A]) -> bool:
        """Return whether a device is to be polled now; if so, see that it is subscribed to."""
        period_s = self._patience.poll_period_s
        since_s = time.monotonic() - self._polled_mono_s.get(name, -math.inf)
        if since_s < period_s and not self._lines[name].problem:
            return False
        if period_s > 0.0 and isinstance(device, Subscribing):

            def note(samples: Mapping[A, Sample]) -> None:
                self._readings.note(name, samples, now_s=self.now_s())

            await device.keep_subscribed(self._readings.wanted(name), note)
        return True

    async def _read_lever(self, ledger: Ledger[A], device: Equipment[A]) -> LeverReading:
        reading = await ledger.read(device)
        handshake = self._handshakes.get(device.name)
        if handshake is not None and (why := await handshake.overridden(device)):
            return replace(reading, holder=Holder.OTHER, message=why)
        return reading

    async def _set(self, ledger: Ledger[A], device: Equipment[A], value: float) -> None:
        settle_s = self._patience.settle_s
        handshake = self._handshakes.get(device.name)
        if handshake is not None and (why := await handshake.overridden(device)):
            raise Overridden(f"{ledger.point.lever} {value:g} was not written: {why}")
        if handshake is None:
            await ledger.write(device, value, settle_s=settle_s)
        else:
            async with handshake.turn:
                if not await handshake.enabled(device):
                    await self._align_others(ledger, device)
                await ledger.write(device, value, settle_s=settle_s)
                await handshake.keep(device)
        await ledger.see_followed(device, value, settle_s=settle_s)

    async def _align_others(self, ledger: Ledger[A], device: Equipment[A]) -> None:
        """Before an enable, let no other lever's old value come into force with it."""
        for other in (one for several in self._ledgers.values() for one in several):
            if other is not ledger and other.point.point.device == device.name:
                await other.align(device)

    async def _release(self, ledger: Ledger[A], device: Equipment[A]) -> None:
        if left := await ledger.give_back(device):
            _log.warning("%s was not given back: %s", ledger.point.lever, left)
        handshake = self._handshakes.get(device.name)
        if handshake is None:
            return
        # In turn with writes: a lever that is taken meanwhile must not lose its enable again.
        async with handshake.turn:
            if not self._holds_something_on(device.name):
                await handshake.end(device)

    def _holds_something_on(self, device: str) -> bool:
        return any(
            ledger.taken and ledger.point.point.device == device
            for ledgers in self._ledgers.values()
            for ledger in ledgers
        )

    def _lever_info(self, name: str) -> LeverInfo:
        points = [point for point in self._points.levers if point.lever == name]
        lows, highs, reasons = [], [], []
        for point in points:
            offered = self._ranges.get(point.point, DeviceRange())
            ends = sorted((point.point.value_of(offered.low), point.point.value_of(offered.high)))
            lows.append(max(point.low, ends[0]))
            highs.append(min(point.high, ends[1]))
            if offered.read_only_reason:
                reasons.append(f"{point.point}: {offered.read_only_reason}")
        return LeverInfo(
            name=name,
            unit=points[0].unit,
            low=max(lows),
            high=min(highs),
            read_only_reason="; ".join(reasons),
        )


async def _nothing(_device: object) -> None:
    return None


def _worst(lever: str, errors: Sequence[DriverError], *, done: int) -> DriverError:
    """Return one error for all: of the kind that matters most, with every message."""
    kinds = [kind for kind in _WORST_FIRST if any(isinstance(e, kind) for e in errors)]
    said = "; ".join(str(error) for error in errors)
    if done or len(errors) > 1:
        said = f"{lever}: {len(errors)} of {done + len(errors)} points failed: {said}"
    return (kinds[0] if kinds else DriverError)(said)
