"""One reading of all GPUs at once; what does not answer in time is said to be unreachable."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coolcap_agent.clock import Clock
from coolcap_agent.daemon.worker import TimedOut, Unreachable, WorkerError
from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    GpuInfo,
    GpuReading,
    NodeReading,
    ResetRequired,
)
from coolcap_agent.logging import FaultLog
from coolcap_agent.node.gpus import Gpus


class GpuState(StrEnum):
    """Whether a GPU answers; the API's ``GpuState``."""

    OK = "ok"
    READ_ONLY = "read_only"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    RESET_REQUIRED = "reset_required"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSample:
    """One GPU at one time; without a reading nothing is known, least of all the last value."""

    info: GpuInfo
    state: GpuState
    reading: GpuReading | None
    work_measured: bool = False
    """Whether the work is counted by the application instead of estimated from the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSample:
    """One node at one time; ``measure_time_s`` is that of its oldest reading."""

    measure_time_s: float
    gpus: Sequence[GpuSample]
    node: NodeReading | None


class Sampler:
    """Reads a node.

    Args:
        gpus: What to read.
        read_only: UUIDs of the GPUs that may not be commanded.
        clock: Site time, for a sample in which no GPU answers.
        faults: Where GPUs that stop answering are noted.
    """

    def __init__(
        self, gpus: Gpus, *, read_only: frozenset[str], clock: Clock, faults: FaultLog
    ) -> None:
        self._gpus = gpus
        self._read_only = read_only
        self._clock = clock
        self._faults = faults

    async def sample(self) -> NodeSample:
        """Read everything once, each GPU in its own thread."""
        now_s = self._clock.now_s()
        node, gpus = await asyncio.gather(
            self._read_node(),
            asyncio.gather(*(self._read_gpu(info) for info in self._gpus.infos)),
        )
        times_s = [gpu.reading.measure_time_s for gpu in gpus if gpu.reading is not None]
        return NodeSample(measure_time_s=min(times_s, default=now_s), gpus=gpus, node=node)

    async def _read_gpu(self, info: GpuInfo) -> GpuSample:
        fault = f"{info.uuid} reading"
        try:
            reading = await self._gpus.read(info.uuid)
        except (DriverError, WorkerError) as error:
            self._faults.begin(fault, f"{info.uuid} cannot be read: {error}")
            return GpuSample(info=info, state=_state_of(error), reading=None)
        self._faults.end(fault, f"{info.uuid} can be read again")
        read_only = info.uuid in self._read_only
        state = GpuState.READ_ONLY if read_only else GpuState.OK
        return GpuSample(info=info, state=state, reading=reading)

    async def _read_node(self) -> NodeReading | None:
        try:
            reading = await self._gpus.read_node()
        except (DriverError, WorkerError) as error:
            self._faults.begin("node reading", f"the server cannot be read: {error}")
            return None
        self._faults.end("node reading", "the server can be read again")
        return reading


def _state_of(error: DriverError | WorkerError) -> GpuState:
    match error:
        case TimedOut() | Unreachable():
            return GpuState.UNREACHABLE
        case ResetRequired():
            return GpuState.RESET_REQUIRED
        case DeviceLost():
            return GpuState.LOST
        case _:
            return GpuState.FAULT
