"""Lowering caps when a GPU nears its temperature limit, whatever the controller wants.

The GPU's firmware slows itself down at that limit, abruptly; a lower cap comes before. Under a live
lease only: without one nothing is written, and the firmware protects the GPU as it did before us.
A cap falls at once and goes back up slowly, to what was commanded last.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_agent.daemon.commander import Commander
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.point import Restrained, Spec
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.drivers.base import DriverError, GpuReading
from coolcap_agent.journal import Key
from coolcap_agent.lease import Lease
from coolcap_agent.node.gpus import GpuPoint
from coolcap_agent.node.limits import power_key
from coolcap_agent.node.sampler import GpuSample
from coolcap_agent.rpc.refusals import RefusedError

CUT_RATIO_PER_S: Final = 0.05
"""Share of the highest limit by which a cap falls per second while the GPU is too hot. The die
follows its power within seconds, so this takes a GPU from full load to its floor in about 10 s."""
RAISE_RATIO_PER_S: Final = 0.01
"""The same on the way back."""
SPAN_MAX_S: Final = 4.0
"""Longest time between two readings that counts for one step."""
HYSTERESIS_K: Final = 2.0
"""The margin must be this much above the least one before a cap goes up again."""


@dataclass(slots=True, kw_only=True)
class Ceiling:
    """Highest cap allowed now, and the one that is in force again once it is gone."""

    value_w: float
    wanted_w: float
    why: str


class ThermalGuard:
    """Holds ceilings over the caps of one node; the commander asks it before each write.

    Args:
        points: The GPUs' power caps by key.
        margin_min_k: Least distance from the highest operating temperature; NaN: do nothing.
        mono_s: Monotonic clock, or site time where it is simulated.
    """

    def __init__(
        self, points: Mapping[Key, GpuPoint], *, margin_min_k: float, mono_s: Callable[[], float]
    ) -> None:
        self._points = points
        self._margin_min_k = margin_min_k
        self._mono_s = mono_s
        self._last_s = math.nan
        self._epoch = 0
        self.ceilings: dict[Key, Ceiling] = {}

    def restrain(self, spec: Spec, *, value: float, start: float, held: bool) -> Restrained:
        """Return the cap that may be written now."""
        del start, held
        ceiling = self.ceilings.get(spec.key)
        if ceiling is None:
            return Restrained(value=value)
        ceiling.wanted_w = value
        if value <= ceiling.value_w:
            return Restrained(value=value)
        return Restrained(value=ceiling.value_w, why=ceiling.why)

    async def watch(self, gpus: Sequence[GpuSample], *, guard: Guard, commander: Commander) -> None:
        """Look at a sample: lower caps of GPUs that are too hot, raise those that are not."""
        now_s = self._mono_s()
        span_s = now_s - self._last_s
        span_s = min(max(span_s, 0.0), SPAN_MAX_S) if math.isfinite(span_s) else 1.0
        self._last_s = now_s
        lease = guard.leases.live()
        if lease is None or lease.epoch != self._epoch:
            self.ceilings.clear()
            self._epoch = 0 if lease is None else lease.epoch
        tasks = [
            self._look_at(gpu.info.uuid, gpu.reading, lease, span_s, guard, commander)
            for gpu in gpus
            if gpu.reading is not None
        ]
        await asyncio.gather(*tasks)

    async def _look_at(
        self,
        uuid: str,
        reading: GpuReading,
        lease: Lease | None,
        span_s: float,
        guard: Guard,
        commander: Commander,
    ) -> None:
        key, margin_k = power_key(uuid), reading.temp_margin_k
        spec, fault = self._points[key].spec, f"{uuid} thermal"
        cool = not margin_k < self._margin_min_k + HYSTERESIS_K  # also if one of them is NaN
        if margin_k <= self._margin_min_k:
            acts = "its cap is lowered" if lease and not spec.refusal else "its cap is left alone"
            guard.faults.begin(
                fault,
                f"{uuid} is {margin_k:.0f} K below its highest operating temperature, less than "
                f"{self._margin_min_k:g} K; {acts}",
            )
        elif cool and key not in self.ceilings:
            guard.faults.end(fault, f"{uuid} is cool enough again")
        if lease is None or spec.refusal or math.isnan(reading.power_limit_requested_w):
            return
        if margin_k <= self._margin_min_k:
            self._lower(key, reading, span_s, commander)
        elif cool and key in self.ceilings:
            self._raise(key, span_s)
        if key in self.ceilings:
            await self._hold(key, reading, lease, guard, commander)

    def _lower(self, key: Key, reading: GpuReading, span_s: float, commander: Commander) -> None:
        spec = self._points[key].spec
        in_force_w = reading.power_limit_requested_w
        ceiling = self.ceilings.get(key)
        start_w = in_force_w if ceiling is None else ceiling.value_w
        value_w = max(spec.low, start_w - CUT_RATIO_PER_S * spec.device_high * span_s)
        wanted_w = commander.commanded.get(key, in_force_w) if ceiling is None else ceiling.wanted_w
        self.ceilings[key] = Ceiling(
            value_w=value_w,
            wanted_w=wanted_w,
            why=f"{spec.say(value_w)} is the most the thermal guard allows now",
        )

    def _raise(self, key: Key, span_s: float) -> None:
        spec, ceiling = self._points[key].spec, self.ceilings[key]
        rate_w_per_s = min(RAISE_RATIO_PER_S * spec.device_high, spec.rise_max_per_s)
        ceiling.value_w += rate_w_per_s * span_s
        ceiling.why = f"{spec.say(ceiling.value_w)} is the most the thermal guard allows now"

    async def _hold(
        self, key: Key, reading: GpuReading, lease: Lease, guard: Guard, commander: Commander
    ) -> None:
        """Write what the ceiling allows, if it is not in force."""
        point, ceiling = self._points[key], self.ceilings[key]
        value_w = min(ceiling.value_w, ceiling.wanted_w)
        if guard.lock(key).locked():
            return  # a command is at it, which keeps below the ceiling
        if not point.spec.unchanged(reading.power_limit_requested_w, value_w):
            try:
                await guard.protect(lease, [point.in_force(reading).entry(key)])
                async with guard.lock(key):
                    await point.write(value_w, allowed=lambda: guard.leases.may_write(lease.epoch))
            except (DriverError, WorkerError, RefusedError) as error:
                guard.faults.begin(f"{key[0]} thermal cap", f"{key[0]}: no lower cap: {error}")
                return
            guard.faults.end(f"{key[0]} thermal cap", f"{key[0]} takes lower caps again")
            commander.commanded[key] = value_w
        if ceiling.value_w >= ceiling.wanted_w:
            del self.ceilings[key]
