"""NVIDIA GPUs through NVML. With the ``nvml_…`` files beside it, all that knows ``pynvml``.

Power limits are set with the first version of the setter: the second one's Python wrapper drops
the return code. Fans and persistence mode are never touched: setting a fan by hand ends its
automatic control, and persistence belongs to the site.
"""

import importlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    GpuEvent,
    GpuInfo,
    GpuReading,
    NodeReading,
    NotCommandable,
    ValueRefused,
)
from coolcap_agent.drivers.clocks_event_reasons import APPLICATIONS_CLOCKS_SETTING, reason_names
from coolcap_agent.drivers.nvml_calls import NvmlCalls
from coolcap_agent.drivers.nvml_clock_lock import ClockLock
from coolcap_agent.drivers.nvml_errors import UNSUPPORTED, translate
from coolcap_agent.drivers.nvml_events import NvmlEvents
from coolcap_agent.drivers.nvml_inventory import MW_PER_W, highest_temp_c, look_at, module_scope
from coolcap_agent.drivers.nvml_rights import missing_right, rights_report
from coolcap_envs.contract.config import Table

log = logging.getLogger(__name__)

J_PER_KWH: Final = 3.6e6
MJ_PER_KWH: Final = 1000.0 * J_PER_KWH
"""Millijoules, NVML's unit of energy."""

MEMORY_TEMP: Final = 82
POWER_AVERAGE: Final = 185
CURRENT_LIMIT: Final = 190
REQUESTED_LIMIT: Final = 192
"""Field identifiers (NVML_FI_DEV_…) that older headers lack; the numbers are part of NVML's ABI."""
FIELDS: Final = (MEMORY_TEMP, POWER_AVERAGE, CURRENT_LIMIT, REQUESTED_LIMIT)

SPAN_MIN_S: Final = 0.5
"""Power is energy over at least this time: the counter is refreshed about every 100 ms (Yang et
al., "Part-time Power Measurements", SC'24), so a shorter span would alias."""
SPAN_MAX_S: Final = 60.0
"""Work is not counted over a longer gap between two readings."""
LOOK_AGAIN_S: Final = 5.0
"""How often a lost GPU is asked for a new handle: after a reset the old one is of no use."""


def make_gpu_driver(options: Table, *, node_id: str, folder: Path) -> "NvmlDriver":
    """Return the driver that ``[driver.nvml]`` asks for; connects to nothing.

    Args:
        options: The table. ``assume_rights = true`` tries to set limits without looking first
            whether the process has the rights.
        node_id: Not used: the GPUs are those of this host.
        folder: Not used: there are no paths.
    """
    del node_id, folder
    return NvmlDriver(assume_rights=options.take_bool("assume_rights", default=False))


@dataclass(slots=True)
class _Gpu:
    """What is remembered of one GPU between readings."""

    handle: Any
    info: GpuInfo
    temp_max_c: float = math.nan
    time_s: float = math.nan
    energy_kwh: float = math.nan
    power_w: float = math.nan
    work_gpu_h: float = 0.0
    lock: ClockLock = field(default_factory=ClockLock)
    lost: bool = False
    look_again_s: float = -math.inf


class NvmlDriver:
    """The NVIDIA GPUs of this host.

    Args:
        nvml: The ``pynvml`` module or one like it; default: imported when opened.
        assume_rights: Do not look whether the process may set limits.
    """

    def __init__(self, nvml: ModuleType | None = None, *, assume_rights: bool = False) -> None:
        self._given = nvml
        self._assume_rights = assume_rights
        self._opened: NvmlCalls | None = None
        self._events: NvmlEvents | None = None
        self._gpus: dict[str, _Gpu] = {}
        self.now_s: Callable[[], float] = time.time
        self.mono_s: Callable[[], float] = time.monotonic

    @property
    def _calls(self) -> NvmlCalls:
        if self._opened is None:
            raise DriverError("NVML is not open: call open() first")
        return self._opened

    def open(self) -> None:
        """Load NVML and list the GPUs. Raises DriverError if there is none that answers."""
        nvml: Any = self._given or importlib.import_module("pynvml")
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise translate(error, "NVML cannot be started") from error
        calls = self._opened = NvmlCalls(nvml)
        why = "" if self._assume_rights else missing_right()
        count = calls.ask("the number of GPUs cannot be read", "nvmlDeviceGetCount")
        for index in range(count):
            try:
                handle, info = look_at(calls, index, missing_right=why)
                temp_max_c = highest_temp_c(calls, index, handle)
            except DriverError as error:
                log.warning("left out: %s", error)
            else:
                self._gpus[info.uuid] = _Gpu(handle=handle, info=info, temp_max_c=temp_max_c)
        if not self._gpus:
            self.close()
            raise DriverError(f"NVML lists {count} GPUs and none of them answers")
        self._events = NvmlEvents(calls, {uuid: gpu.handle for uuid, gpu in self._gpus.items()})

    def close(self) -> None:
        """Let NVML go; safe to call twice."""
        events, self._events = self._events, None
        if events is not None:
            events.close()
        calls, self._opened = self._opened, None
        self._gpus = {}
        if calls is not None:
            try:
                calls.nvml.nvmlShutdown()
            except calls.nvml.NVMLError as error:
                log.debug("NVML did not shut down: %s", error)

    def inventory(self) -> Sequence[GpuInfo]:
        """Return the GPUs in index order."""
        return [gpu.info for gpu in self._gpus.values()]

    def read_gpu(self, uuid: str) -> GpuReading:
        """Sample one GPU. Raises DeviceLost."""
        gpu = self._gpu(uuid)
        try:
            reading = self._read(gpu)
        except DeviceLost:
            gpu.lost = True
            raise
        gpu.lost = False
        return reading

    def read_node(self) -> NodeReading:
        """Return the time; NVML measures nothing of the server."""
        nan = math.nan
        return NodeReading(
            measure_time_s=self.now_s(), it_power_w=nan, it_energy_kwh=nan, inlet_temp_c=nan
        )

    def set_power_limit(self, uuid: str, *, power_limit_w: float) -> None:
        """Request a power limit. Raises DeviceLost, NotPermitted, NotCommandable, ValueRefused."""
        gpu = self._gpu(uuid)
        low_w, high_w = gpu.info.power_limit_min_w, gpu.info.power_limit_max_w
        asked = f"power limit {power_limit_w:.1f} W for {uuid}"
        if not low_w <= power_limit_w <= high_w:
            raise ValueRefused(
                f"{asked} is outside {low_w:.1f} to {high_w:.1f} W (limits read from the device)"
            )
        limit_mw = round(power_limit_w * MW_PER_W)
        self._set(
            f"{asked} cannot be set",
            module_scope(uuid),
            "nvmlDeviceSetPowerManagementLimit",
            gpu.handle,
            limit_mw,
        )

    def set_sm_clock_max(self, uuid: str, *, sm_clock_max_mhz: float) -> None:
        """Lock the SM clock below a ceiling; the highest clock takes the lock away.

        Raises DeviceLost, NotPermitted, NotCommandable, ValueRefused.
        """
        gpu = self._gpu(uuid)
        low_mhz, high_mhz = gpu.info.sm_clock_min_mhz, gpu.info.sm_clock_max_mhz
        asked = f"SM clock ceiling {sm_clock_max_mhz:.0f} MHz for {uuid}"
        if not low_mhz <= sm_clock_max_mhz <= high_mhz:
            raise ValueRefused(
                f"{asked} is outside {low_mhz:.0f} to {high_mhz:.0f} MHz (read from the device)"
            )
        what, why = f"{asked} cannot be set", f"{uuid} takes no lock on its clocks"
        if sm_clock_max_mhz >= high_mhz:
            self._set(what, why, "nvmlDeviceResetGpuLockedClocks", gpu.handle)
            gpu.lock.changed(math.nan, now_s=self._clock_s())
        else:
            bounds = round(low_mhz), round(sm_clock_max_mhz)
            self._set(what, why, "nvmlDeviceSetGpuLockedClocks", gpu.handle, *bounds)
            gpu.lock.changed(float(bounds[1]), now_s=self._clock_s())

    def take_events(self) -> Sequence[GpuEvent]:
        """Return the critical events since the last call."""
        return self._events.take() if self._events is not None else ()

    def rights(self) -> Mapping[str, object]:
        """Return what allows or keeps this process from setting limits."""
        return {**rights_report(), **({"missing": ""} if self._assume_rights else {})}

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Do nothing: real hardware waits for nobody."""

    def _gpu(self, uuid: str) -> _Gpu:
        gpu = self._gpus.get(uuid)
        if gpu is None:
            known = ", ".join(self._gpus)
            raise DriverError(f"GPU {uuid!r} is not on this host; its GPUs are: {known}")
        if gpu.lost and self.mono_s() >= gpu.look_again_s:
            gpu.look_again_s = self.mono_s() + LOOK_AGAIN_S
            handle = self._calls.find(f"{uuid} is lost", "nvmlDeviceGetHandleByUUID", uuid)
            gpu.handle = gpu.handle if handle is None else handle
        return gpu

    def _read(self, gpu: _Gpu) -> GpuReading:
        calls, nvml, handle = self._calls, self._calls.nvml, gpu.handle
        what = f"{gpu.info.uuid} cannot be read"
        clock_mhz = calls.number(what, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)
        fields = calls.fields(what, handle, FIELDS)
        rates = calls.find(what, "nvmlDeviceGetUtilizationRates", handle)  # none in MIG mode
        gpu_util = math.nan if rates is None else rates.gpu / 100.0
        work_rate = gpu_util * clock_mhz / gpu.info.sm_clock_max_mhz
        energy_mj = calls.number(what, "nvmlDeviceGetTotalEnergyConsumption", handle)
        average_w = fields[POWER_AVERAGE] / MW_PER_W
        if math.isnan(average_w):
            average_w = calls.number(what, "nvmlDeviceGetPowerUsage", handle) / MW_PER_W
        self._accumulate(
            gpu, energy_kwh=energy_mj / MJ_PER_KWH, average_w=average_w, work_rate=work_rate
        )
        requested_w, enforced_w = self._limits(what, handle, fields)
        temp_c = calls.number(what, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU)
        margin_k = calls.number(what, "nvmlDeviceGetMarginTemperature", handle)
        reasons = calls.number(what, "nvmlDeviceGetCurrentClocksEventReasons", handle)
        mask = 0 if math.isnan(reasons) else int(reasons)
        held = bool(mask & APPLICATIONS_CLOCKS_SETTING)
        gpu.lock.observe(clock_mhz=clock_mhz, held=held, now_s=self._clock_s())
        return GpuReading(
            uuid=gpu.info.uuid,
            measure_time_s=self.now_s(),
            power_w=gpu.power_w,
            energy_kwh=energy_mj / MJ_PER_KWH,
            power_limit_requested_w=requested_w,
            power_limit_enforced_w=enforced_w,
            gpu_temp_c=temp_c,
            hbm_temp_c=fields[MEMORY_TEMP],
            sm_clock_mhz=clock_mhz,
            gpu_util_ratio=gpu_util,
            mem_util_ratio=math.nan if rates is None else rates.memory / 100.0,
            work_rate_ratio=work_rate,
            work_gpu_h=math.nan if math.isnan(work_rate) else gpu.work_gpu_h,
            latency_ratio=math.nan,
            workload_class="",
            clocks_event_reasons=reason_names(mask),
            sm_clock_limit_mhz=gpu.lock.limit_mhz,
            clocks_held_by_other=gpu.lock.held_by_other,
            temp_margin_k=gpu.temp_max_c - temp_c if math.isnan(margin_k) else margin_k,
        )

    def _clock_s(self) -> float:
        """Return site time where it is simulated; the host's own may be set, a span must not."""
        return self.mono_s() if self.now_s is time.time else self.now_s()

    def _accumulate(
        self, gpu: _Gpu, *, energy_kwh: float, average_w: float, work_rate: float
    ) -> None:
        """Bring power and work up to now."""
        now_s = self._clock_s()
        span_s = now_s - gpu.time_s
        if 0.0 <= span_s < SPAN_MIN_S:
            return
        used_kwh = energy_kwh - gpu.energy_kwh
        # False with NaN; a counter that stands or starts again (driver reload) tells no power.
        if used_kwh > 0.0 and span_s > 0.0:
            gpu.power_w = used_kwh * J_PER_KWH / span_s
        else:
            gpu.power_w = average_w
        if SPAN_MIN_S <= span_s <= SPAN_MAX_S and not math.isnan(work_rate):
            gpu.work_gpu_h += work_rate * span_s / 3600.0
        gpu.time_s, gpu.energy_kwh = now_s, energy_kwh

    def _limits(self, what: str, handle: object, fields: dict[int, float]) -> tuple[float, float]:
        """Return the requested and the enforced limit, W."""
        requested_mw, enforced_mw = fields[REQUESTED_LIMIT], fields[CURRENT_LIMIT]
        if math.isnan(requested_mw):
            requested_mw = self._calls.number(what, "nvmlDeviceGetPowerManagementLimit", handle)
        if math.isnan(enforced_mw):
            enforced_mw = self._calls.number(what, "nvmlDeviceGetEnforcedPowerLimit", handle)
        return requested_mw / MW_PER_W, enforced_mw / MW_PER_W

    def _set(self, what: str, why_not: str, name: str, *arguments: object) -> None:
        """Call a setter; one this GPU does not have is NotCommandable, with ``why_not``."""
        nvml = self._calls.nvml
        try:
            getattr(nvml, name)(*arguments)
        except nvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                raise NotCommandable(f"{what}: {why_not}") from error
            raise translate(error, what) from error
