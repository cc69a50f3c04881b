"""One reading of all signals and levers of a plant, each with what it is worth."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_agent.clock import Clock
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.drivers.base import DriverError, LeverInfo, LeverReading, SignalReading
from coolcap_agent.drivers.combine import combine_readings
from coolcap_agent.logging import FaultLog
from coolcap_agent.plant.counters import Counters
from coolcap_agent.plant.equipment import Equipment
from coolcap_agent.plant.trust import SensorTrust
from coolcap_agent.plant.validity import Validity
from coolcap_envs.contract.signals import PLANT_SIGNALS, Signal

SIGNALS: Final[Mapping[str, Signal]] = {signal.name: signal for signal in PLANT_SIGNALS}


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
        trust: Says which readings to believe.
        counters: Adds up what rolled over; None leaves counters as they are.
    """

    def __init__(
        self,
        equipment: Equipment,
        *,
        age_max_s: float,
        clock: Clock,
        faults: FaultLog,
        trust: SensorTrust,
        counters: Counters | None = None,
    ) -> None:
        self._equipment = equipment
        self.age_max_s = age_max_s
        self._trust = trust
        self._counters = counters
        self._clock = clock
        self._faults = faults

    async def sample(self) -> PlantSample:
        """Read everything once."""
        now_s = self._clock.now_s()
        found, levers = await asyncio.gather(
            self._read_signals(),
            asyncio.gather(*(self._read_lever(info) for info in self._equipment.infos)),
        )
        if self._counters is not None:
            found = self._counters.unroll(found)
        believed, doubts = self._trust.check(found, now_s=now_s)
        for signal in {reading.signal for reading in found}:
            if signal not in doubts:
                self._faults.end(f"{signal} trust", f"{signal} is believed again")
        readings = combine_readings(believed)
        return PlantSample(
            measure_time_s=now_s,
            signals=[
                SignalSample(
                    reading=reading,
                    validity=self._validity(reading, doubts, now_s=now_s),
                )
                for reading in readings
            ],
            levers=levers,
        )

    async def _read_signals(self) -> Sequence[SignalReading]:
        """Return the readings of all points; none at all if the driver does not answer."""
        try:
            readings = await self._equipment.read()
        except (DriverError, WorkerError) as error:
            self._faults.begin("signals reading", f"the plant's signals cannot be read: {error}")
            return []
        self._faults.end("signals reading", "the plant's signals can be read again")
        return [reading for reading in readings if reading.signal in SIGNALS]

    def _validity(
        self, reading: SignalReading, doubts: Mapping[str, Validity], *, now_s: float
    ) -> Validity:
        doubt = doubts.get(reading.signal)
        if doubt is not None:
            self._faults.begin(
                f"{reading.signal} trust",
                f"{reading.signal} is not believed as before ({doubt}): {reading.problem}"
                if math.isnan(reading.value)
                else f"{reading.signal} goes on without a point that is {doubt}",
            )
            if math.isnan(reading.value):
                return doubt
        return validity_of(reading, now_s=now_s, age_max_s=self.age_max_s)

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
