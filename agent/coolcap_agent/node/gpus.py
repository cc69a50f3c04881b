"""The GPUs of a node behind one worker each, with a deadline for every call."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from coolcap_agent.daemon.point import InForce, LeaseOver, Spec
from coolcap_agent.daemon.worker import Worker, WorkerError
from coolcap_agent.drivers.base import (
    DriverError,
    GpuDriver,
    GpuEvent,
    GpuInfo,
    GpuReading,
    NodeReading,
)
from coolcap_agent.journal import Entry

T = TypeVar("T")


class Gpus:
    """A driver, called without ever blocking the event loop or one GPU because of another."""

    def __init__(self, driver: GpuDriver, *, deadline_s: float) -> None:
        self._driver = driver
        self._deadline_s = deadline_s
        self._node = Worker("the node's driver")
        self._workers: dict[str, Worker] = {}
        self.infos: Sequence[GpuInfo] = ()

    async def open(self, *, deadline_s: float) -> None:
        """Connect and take the inventory. Raises DriverError, WorkerError."""

        def connect() -> Sequence[GpuInfo]:
            self._driver.open()
            return self._driver.inventory()

        try:
            self.infos = await self._node.call(connect, deadline_s=deadline_s)
        except (DriverError, WorkerError):
            self._node.close()
            raise
        self._workers = {info.uuid: Worker(info.uuid) for info in self.infos}

    async def close(self) -> None:
        """Disconnect; a driver that hangs is left behind."""
        for worker in self._workers.values():
            worker.close()
        try:
            await self._node.call(self._driver.close, deadline_s=self._deadline_s)
        except WorkerError:
            return
        self._node.close()

    async def read(self, uuid: str) -> GpuReading:
        """Sample one GPU. Raises DriverError, WorkerError."""
        return await self.call(uuid, lambda: self._driver.read_gpu(uuid))

    async def read_node(self) -> NodeReading:
        """Sample the server. Raises DriverError, WorkerError."""
        return await self._node.call(self._driver.read_node, deadline_s=self._deadline_s)

    async def set_power_limit(
        self, uuid: str, power_limit_w: float, *, allowed: Callable[[], bool]
    ) -> GpuReading:
        """Set a limit and sample the GPU. Raises DriverError, WorkerError, LeaseOver."""

        def write() -> GpuReading:
            if not allowed():
                raise LeaseOver("the lease ended before the write was begun; nothing was written")
            self._driver.set_power_limit(uuid, power_limit_w=power_limit_w)
            return self._driver.read_gpu(uuid)

        return await self.call(uuid, write)

    async def set_sm_clock_max(
        self, uuid: str, sm_clock_max_mhz: float, *, allowed: Callable[[], bool]
    ) -> GpuReading:
        """Set a clock ceiling and sample the GPU. Raises DriverError, WorkerError, LeaseOver."""

        def write() -> GpuReading:
            if not allowed():
                raise LeaseOver("the lease ended before the write was begun; nothing was written")
            self._driver.set_sm_clock_max(uuid, sm_clock_max_mhz=sm_clock_max_mhz)
            return self._driver.read_gpu(uuid)

        return await self.call(uuid, write)

    def take_events(self) -> Sequence[GpuEvent]:
        """Return the critical events since the last call, without waiting."""
        return self._driver.take_events()

    def rights(self) -> Mapping[str, object]:
        """Return what allows or keeps this process from commanding GPUs."""
        return self._driver.rights()

    async def acknowledge(self, *, answers_time_s: float) -> None:
        """Tell the driver that a command was carried out. Raises DriverError, WorkerError."""
        await self._node.call(
            lambda: self._driver.acknowledge(answers_time_s=answers_time_s),
            deadline_s=self._deadline_s,
        )

    async def call(self, uuid: str, job: Callable[[], T]) -> T:
        """Make a call in a GPU's own thread. Raises DriverError, WorkerError."""
        return await self._workers[uuid].call(job, deadline_s=self._deadline_s)


class GpuPoint:
    """The power cap of one GPU as a control point."""

    def __init__(self, gpus: Gpus, uuid: str, spec: Spec) -> None:
        self._gpus = gpus
        self._uuid = uuid
        self._spec = spec

    @property
    def spec(self) -> Spec:
        """Return what is fixed about it."""
        return self._spec

    async def read(self) -> InForce:
        """Ask the device. Raises DriverError, WorkerError."""
        return self.in_force(await self._gpus.read(self._uuid))

    async def write(self, value: float, *, allowed: Callable[[], bool]) -> InForce:
        """Write and read back in one go. Raises DriverError, WorkerError, LeaseOver."""
        return self.in_force(await self._gpus.set_power_limit(self._uuid, value, allowed=allowed))

    async def adopt(self, entry: Entry) -> None:
        """Do nothing: a GPU's limit is what it is, whoever set it."""

    async def release(self) -> None:
        """Do nothing: a GPU has no control of its own that would take over."""

    def in_force(self, reading: GpuReading) -> InForce:
        """Return what a reading says of this lever."""
        return InForce(
            requested=reading.power_limit_requested_w, effective=reading.power_limit_enforced_w
        )


class ClockPoint(GpuPoint):
    """The ceiling of one GPU's SM clock; the highest clock stands for none.

    NVML does not tell which ceiling is in force, so after a crash of the agent it is not known, and
    what the journal holds is written without looking.
    """

    _adopted = False

    async def write(self, value: float, *, allowed: Callable[[], bool]) -> InForce:
        """Write and read back in one go. Raises DriverError, WorkerError, LeaseOver."""
        reading = await self._gpus.set_sm_clock_max(self._uuid, value, allowed=allowed)
        self._adopted = False
        return self.in_force(reading)

    async def adopt(self, entry: Entry) -> None:
        """Note that an earlier process set a ceiling."""
        self._adopted = True

    def in_force(self, reading: GpuReading) -> InForce:
        """Return what a reading says of this lever."""
        value = reading.sm_clock_limit_mhz
        if math.isnan(value):
            value = math.nan if self._adopted else self._spec.device_high
        overridden = ""
        if reading.clocks_held_by_other:
            overridden = f"somebody else holds the clocks of {self._uuid}"
        return InForce(requested=value, effective=value, overridden=overridden)
