"""One reading of all signals and levers of a plant, each with what it is worth."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_agent.clock import Clock
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.drivers.base import DriverError, LeverInfo, LeverReading, SignalReading
from coolcap_agent.drivers.combine import combine_readings
from coolcap_agent.logging import FaultLog
from coolcap_agent.plant.equipment import Equipment
from coolcap_envs.contract.signals import PLANT_SIGNALS, Signal

SIGNALS: Final[Mapping[str, Signal]] = {signal.name: signal for signal in PLANT_SIGNALS}


class Validity(StrEnum):
    """How far a reading can be trusted; the API's ``Validity``."""

    VALID = "valid"
    STALE = "stale"
    OUT_OF_RANGE = "out_of_range"
    FAULT = "fault"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSample:
    """One signal and whether it may be used."""

    reading: SignalReading
    validity: Validity


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverSample:
    """One lever; without a reading it did not answer."""

    info: LeverInfo
    reading: LeverReading | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSample:
    """One plant at one time."""

    measure_time_s: float
    signals: Sequence[SignalSample]
    levers: Sequence[LeverSample]


class Sampler:
    """Reads a plant.

    Args:
        equipment: What to read.
        age_max_s: Readings older than this are stale.
        clock: Site time.
        faults: Where what stops answering is noted.
    """

    def __init__(
        self, equipment: Equipment, *, age_max_s: float, clock: Clock, faults: FaultLog
    ) -> None:
        self._equipment = equipment
        self._age_max_s = age_max_s
        self._clock = clock
        self._faults = faults

    async def sample(self) -> PlantSample:
        """Read everything once."""
        now_s = self._clock.now_s()
        readings, levers = await asyncio.gather(
            self._read_signals(),
            asyncio.gather(*(self._read_lever(info) for info in self._equipment.infos)),
        )
        return PlantSample(
            measure_time_s=now_s,
            signals=[
                SignalSample(
                    reading=reading,
                    validity=validity_of(reading, now_s=now_s, age_max_s=self._age_max_s),
                )
                for reading in readings
            ],
            levers=levers,
        )

    async def _read_signals(self) -> Sequence[SignalReading]:
        """Return one reading per known signal; none at all if the driver does not answer."""
        try:
            readings = await self._equipment.read()
        except (DriverError, WorkerError) as error:
            self._faults.begin("signals reading", f"the plant's signals cannot be read: {error}")
            return []
        self._faults.end("signals reading", "the plant's signals can be read again")
        return combine_readings(reading for reading in readings if reading.signal in SIGNALS)

    async def _read_lever(self, info: LeverInfo) -> LeverSample:
        fault = f"{info.name} reading"
        try:
            reading = await self._equipment.read_lever(info.name)
        except (DriverError, WorkerError) as error:
            self._faults.begin(fault, f"{info.name} cannot be read: {error}")
            return LeverSample(info=info, reading=None)
        self._faults.end(fault, f"{info.name} can be read again")
        return LeverSample(info=info, reading=reading)


def validity_of(reading: SignalReading, *, now_s: float, age_max_s: float) -> Validity:
    """Say how far a reading of a known signal can be trusted at ``now_s``."""
    signal = SIGNALS[reading.signal]
    if math.isnan(reading.value):
        return Validity.FAULT if reading.problem else Validity.NOT_MEASURED
    if not signal.low <= reading.value <= signal.high:
        return Validity.OUT_OF_RANGE
    if not now_s - reading.measure_time_s <= age_max_s:
        return Validity.STALE
    return Validity.VALID
