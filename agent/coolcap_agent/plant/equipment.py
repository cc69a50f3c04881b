"""The plant's equipment behind workers with deadlines: one for readings, one for each lever."""

import math
from collections.abc import Callable, Sequence

from coolcap_agent.daemon.point import InForce, LeaseOver, Spec
from coolcap_agent.daemon.worker import Worker, WorkerError
from coolcap_agent.drivers.base import (
    CoolingDriver,
    DriverError,
    Holder,
    LeverInfo,
    LeverReading,
    SignalReading,
)
from coolcap_agent.journal import Entry


class Equipment:
    """A driver, called without ever blocking the event loop or one lever because of another."""

    def __init__(self, driver: CoolingDriver, *, deadline_s: float) -> None:
        self._driver = driver
        self._deadline_s = deadline_s
        self._reader = Worker("the plant's driver")
        self._workers: dict[str, Worker] = {}
        self.infos: Sequence[LeverInfo] = ()

    async def open(self, *, deadline_s: float) -> None:
        """Connect and ask for the levers. Raises DriverError, WorkerError."""

        def connect() -> Sequence[LeverInfo]:
            self._driver.open()
            return self._driver.levers()

        try:
            self.infos = await self._reader.call(connect, deadline_s=deadline_s)
        except (DriverError, WorkerError):
            self._reader.close()
            raise
        self._workers = {info.name: Worker(info.name) for info in self.infos}

    async def close(self) -> None:
        """Disconnect; a driver that hangs is left behind."""
        for worker in self._workers.values():
            worker.close()
        try:
            await self._reader.call(self._driver.close, deadline_s=self._deadline_s)
        except WorkerError:
            return
        self._reader.close()

    async def read(self) -> Sequence[SignalReading]:
        """Sample all signals. Raises DriverError, WorkerError."""
        return await self._reader.call(self._driver.read, deadline_s=self._deadline_s)

    async def read_lever(self, lever: str) -> LeverReading:
        """Ask what a lever is set to. Raises DriverError, WorkerError."""
        return await self._workers[lever].call(
            lambda: self._driver.read_lever(lever), deadline_s=self._deadline_s
        )

    async def set_setpoint(
        self,
        lever: str,
        value: float,
        *,
        start: float,
        tolerance: float,
        allowed: Callable[[], bool],
    ) -> LeverReading:
        """Command a lever and ask what it is set to.

        Args:
            lever: The lever.
            value: What to write.
            start: What ``value`` is a permitted step from; NaN: nothing in particular.
            tolerance: Within it ``start`` is still in force.
            allowed: Asked right before the write.

        Raises:
            LeaseOver: If ``allowed`` said no; nothing was written.
            DriverError: If the device refuses, or ``start`` is not in force any more.
            WorkerError: If it does not answer.
        """

        def write() -> LeverReading:
            # Over a bad line seconds pass between a reading and the write that follows from it.
            now = self._driver.read_lever(lever).value
            if abs(now - start) > tolerance:
                raise DriverError(
                    f"{lever} moved by itself from {start:g} to {now:g} while it was commanded; "
                    "nothing was written: command it again from there"
                )
            if not allowed():
                raise LeaseOver("the lease ended before the write was begun; nothing was written")
            self._driver.set_setpoint(lever, value=value)
            return self._driver.read_lever(lever)

        return await self._workers[lever].call(write, deadline_s=self._deadline_s)

    async def adopt(self, lever: str, *, before: float) -> None:
        """Tell the driver that an earlier process wrote it. Raises DriverError, WorkerError."""
        await self._workers[lever].call(
            lambda: self._driver.adopt(lever, before=before), deadline_s=self._deadline_s
        )

    async def release(self, lever: str) -> None:
        """Give a lever back to the equipment's own program. Raises DriverError, WorkerError."""
        await self._workers[lever].call(
            lambda: self._driver.release(lever), deadline_s=self._deadline_s
        )

    async def acknowledge(self, *, answers_time_s: float) -> None:
        """Tell the driver that a command was carried out. Raises DriverError, WorkerError."""
        await self._reader.call(
            lambda: self._driver.acknowledge(answers_time_s=answers_time_s),
            deadline_s=self._deadline_s,
        )


class LeverPoint:
    """One lever as a control point.

    Attributes:
        spec: What may be done with it; replaced as a whole when the limits are read again.
    """

    def __init__(self, equipment: Equipment, lever: str, spec: Spec) -> None:
        self._equipment = equipment
        self._lever = lever
        self._newest = math.nan
        self.spec = spec

    async def read(self) -> InForce:
        """Ask the equipment. Raises DriverError, WorkerError."""
        found = in_force(await self._equipment.read_lever(self._lever))
        self._newest = found.value
        return found

    async def write(self, value: float, *, allowed: Callable[[], bool]) -> InForce:
        """Write, if what was read last is still in force, and read back; all in one go.

        Raises:
            LeaseOver: If ``allowed`` said no; nothing was written.
            DriverError: If the device refuses, or something else is in force by now.
            WorkerError: If it does not answer.
        """
        done = await self._equipment.set_setpoint(
            self._lever,
            value,
            start=self._newest,
            tolerance=max(self.spec.tolerance, 1e-6),
            allowed=allowed,
        )
        return in_force(done)

    async def adopt(self, entry: Entry) -> None:
        """Tell the driver that an earlier process wrote it. Raises DriverError, WorkerError."""
        before = math.nan if entry.value is None else entry.value
        await self._equipment.adopt(self._lever, before=before)

    async def release(self) -> None:
        """Give the lever back to the equipment's own program. Raises DriverError, WorkerError."""
        await self._equipment.release(self._lever)


def in_force(reading: LeverReading) -> InForce:
    """Return what a lever is set to; equipment reports no request apart from what it follows."""
    overridden = ""
    if reading.holder is Holder.OTHER:
        overridden = reading.message or f"somebody else holds {reading.lever}"
    return InForce(
        requested=reading.value,
        effective=reading.value,
        local=reading.holder is Holder.LOCAL,
        overridden=overridden,
        local_value=math.nan if reading.local_value is None else reading.local_value,
    )
