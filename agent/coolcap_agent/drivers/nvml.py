"""NVIDIA GPUs through NVML. The only file that knows milliwatts, millijoules and ``pynvml``.

Power limits are set with the first version of the setter: the second one's Python wrapper drops
the return code. Fans and persistence mode are never touched: setting a fan by hand ends its
automatic control, and persistence belongs to the site.
"""

import importlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from coolcap_agent.drivers.base import (
    DriverError,
    GpuInfo,
    GpuReading,
    NodeReading,
    ValueRefused,
)
from coolcap_agent.drivers.clocks_event_reasons import reason_names
from coolcap_agent.drivers.nvml_errors import UNSUPPORTED, translate
from coolcap_agent.drivers.nvml_rights import missing_right
from coolcap_envs.contract.config import Table

log = logging.getLogger(__name__)

MW_PER_W: Final = 1000.0
J_PER_KWH: Final = 3.6e6
MJ_PER_KWH: Final = 1000.0 * J_PER_KWH
"""Millijoules, NVML's unit of energy."""

MEMORY_TEMP: Final = 82
POWER_AVERAGE: Final = 185
CURRENT_LIMIT: Final = 190
REQUESTED_LIMIT: Final = 192
"""Field identifiers (NVML_FI_DEV_…) that older headers lack; the numbers are part of NVML's ABI."""
FIELDS: Final = (MEMORY_TEMP, POWER_AVERAGE, CURRENT_LIMIT, REQUESTED_LIMIT)
FIELD_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of a field's value by its NVML_VALUE_TYPE."""

SPAN_MIN_S: Final = 0.5
"""Power is energy over at least this time: the counter is refreshed about every 100 ms (Yang et
al., "Part-time Power Measurements", SC'24), so a shorter span would alias."""
SPAN_MAX_S: Final = 60.0
"""Work is not counted over a longer gap between two readings."""


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
    time_s: float = math.nan
    energy_kwh: float = math.nan
    power_w: float = math.nan
    work_gpu_h: float = 0.0


class NvmlDriver:
    """The NVIDIA GPUs of this host.

    Args:
        nvml: The ``pynvml`` module or one like it; default: imported when opened.
        assume_rights: Do not look whether the process may set limits.
    """

    def __init__(self, nvml: ModuleType | None = None, *, assume_rights: bool = False) -> None:
        self._given = nvml
        self._assume_rights = assume_rights
        self._opened: ModuleType | None = None
        self._gpus: dict[str, _Gpu] = {}
        self.now_s: Callable[[], float] = time.time
        self.mono_s: Callable[[], float] = time.monotonic

    @property
    def _nvml(self) -> Any:  # noqa: ANN401 - pynvml has no types
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
        self._opened = nvml
        why = "" if self._assume_rights else missing_right()
        count = self._ask("the number of GPUs cannot be read", nvml.nvmlDeviceGetCount)
        for index in range(count):
            try:
                gpu = self._look_at(index, why)
            except DriverError as error:
                log.warning("left out: %s", error)
            else:
                self._gpus[gpu.info.uuid] = gpu
        if not self._gpus:
            self.close()
            raise DriverError(f"NVML lists {count} GPUs and none of them answers")

    def close(self) -> None:
        """Let NVML go; safe to call twice."""
        nvml, self._opened = self._opened, None
        self._gpus = {}
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError as error:
                log.debug("NVML did not shut down: %s", error)

    def inventory(self) -> Sequence[GpuInfo]:
        """Return the GPUs in index order."""
        return [gpu.info for gpu in self._gpus.values()]

    def read_gpu(self, uuid: str) -> GpuReading:
        """Sample one GPU. Raises DeviceLost."""
        gpu, nvml = self._gpu(uuid), self._nvml
        what = f"{uuid} cannot be read"
        clock_mhz = self._number(what, nvml.nvmlDeviceGetClockInfo, gpu.handle, nvml.NVML_CLOCK_SM)
        fields = self._fields(what, gpu.handle)
        gpu_util, mem_util = self._utilisation(what, gpu.handle)
        work_rate = gpu_util * clock_mhz / gpu.info.sm_clock_max_mhz
        energy_kwh = (
            self._number(what, nvml.nvmlDeviceGetTotalEnergyConsumption, gpu.handle) / MJ_PER_KWH
        )
        average_w = fields[POWER_AVERAGE] / MW_PER_W
        if math.isnan(average_w):
            average_w = self._number(what, nvml.nvmlDeviceGetPowerUsage, gpu.handle) / MW_PER_W
        self._accumulate(gpu, energy_kwh=energy_kwh, average_w=average_w, work_rate=work_rate)
        requested_w, enforced_w = self._limits(what, gpu.handle, fields)
        reasons = self._number(what, nvml.nvmlDeviceGetCurrentClocksEventReasons, gpu.handle)
        return GpuReading(
            uuid=uuid,
            measure_time_s=self.now_s(),
            power_w=gpu.power_w,
            energy_kwh=energy_kwh,
            power_limit_requested_w=requested_w,
            power_limit_enforced_w=enforced_w,
            gpu_temp_c=self._number(
                what, nvml.nvmlDeviceGetTemperature, gpu.handle, nvml.NVML_TEMPERATURE_GPU
            ),
            hbm_temp_c=fields[MEMORY_TEMP],
            sm_clock_mhz=clock_mhz,
            gpu_util_ratio=gpu_util,
            mem_util_ratio=mem_util,
            work_rate_ratio=work_rate,
            work_gpu_h=math.nan if math.isnan(work_rate) else gpu.work_gpu_h,
            latency_ratio=math.nan,
            workload_class="",
            clocks_event_reasons=() if math.isnan(reasons) else reason_names(int(reasons)),
        )

    def read_node(self) -> NodeReading:
        """Return the time; NVML measures nothing of the server."""
        nan = math.nan
        return NodeReading(
            measure_time_s=self.now_s(), it_power_w=nan, it_energy_kwh=nan, inlet_temp_c=nan
        )

    def set_power_limit(self, uuid: str, *, power_limit_w: float) -> None:
        """Request a power limit. Raises DeviceLost, NotPermitted, ValueRefused."""
        gpu = self._gpu(uuid)
        low_w, high_w = gpu.info.power_limit_min_w, gpu.info.power_limit_max_w
        asked = f"power limit {power_limit_w:.1f} W for {uuid}"
        if not low_w <= power_limit_w <= high_w:
            raise ValueRefused(
                f"{asked} is outside {low_w:.1f} to {high_w:.1f} W (limits read from the device)"
            )
        self._ask(
            f"{asked} cannot be set",
            self._nvml.nvmlDeviceSetPowerManagementLimit,
            gpu.handle,
            round(power_limit_w * MW_PER_W),
        )

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Do nothing: real hardware waits for nobody."""

    def _gpu(self, uuid: str) -> _Gpu:
        gpu = self._gpus.get(uuid)
        if gpu is None:
            known = ", ".join(self._gpus)
            raise DriverError(f"GPU {uuid!r} is not on this host; its GPUs are: {known}")
        return gpu

    def _look_at(self, index: int, why_read_only: str) -> _Gpu:
        nvml = self._nvml
        what = f"GPU {index} cannot be read"
        handle = self._ask(what, nvml.nvmlDeviceGetHandleByIndex, index)
        uuid = _text(self._ask(what, nvml.nvmlDeviceGetUUID, handle))
        low_w = high_w = math.nan
        try:
            low_mw, high_mw = nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
            low_w, high_w = low_mw / MW_PER_W, high_mw / MW_PER_W
        except nvml.NVMLError as error:
            if error.value not in UNSUPPORTED:
                raise translate(error, what) from error
            why_read_only = (
                f"{uuid} reports no range of power limits (some modules, for example Grace Hopper, "
                "are limited as a whole); it can be read only"
            )
        default_mw = self._number(what, nvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        info = GpuInfo(
            uuid=uuid,
            index=index,
            model=_text(self._ask(what, nvml.nvmlDeviceGetName, handle)),
            power_limit_min_w=low_w,
            power_limit_max_w=high_w,
            power_limit_default_w=default_mw / MW_PER_W,
            sm_clock_max_mhz=self._number(
                what, nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM
            ),
            read_only_reason=why_read_only,
        )
        return _Gpu(handle=handle, info=info)

    def _accumulate(
        self, gpu: _Gpu, *, energy_kwh: float, average_w: float, work_rate: float
    ) -> None:
        """Bring power and work up to now."""
        # Site time where it is simulated; the host's own clock may be set, a span must not.
        now_s = self.mono_s() if self.now_s is time.time else self.now_s()
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
            requested_mw = self._number(what, self._nvml.nvmlDeviceGetPowerManagementLimit, handle)
        if math.isnan(enforced_mw):
            enforced_mw = self._number(what, self._nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        return requested_mw / MW_PER_W, enforced_mw / MW_PER_W

    def _utilisation(self, what: str, handle: object) -> tuple[float, float]:
        try:
            rates = self._nvml.nvmlDeviceGetUtilizationRates(handle)
        except self._nvml.NVMLError as error:
            if error.value in UNSUPPORTED:  # for example in MIG mode
                return math.nan, math.nan
            raise translate(error, what) from error
        return rates.gpu / 100.0, rates.memory / 100.0

    def _fields(self, what: str, handle: object) -> dict[int, float]:
        """Return the fields by identifier, NaN where this GPU or driver has none."""
        found: dict[int, float] = {field: math.nan for field in FIELDS}
        try:
            values = self._nvml.nvmlDeviceGetFieldValues(handle, list(FIELDS))
        except self._nvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                return found
            raise translate(error, what) from error
        for value in values:
            if value.nvmlReturn == 0:
                found[value.fieldId] = float(getattr(value.value, FIELD_MEMBERS[value.valueType]))
        return found

    def _number(self, what: str, function: Callable[..., Any], *arguments: object) -> float:
        """Return what NVML answers, NaN if this GPU or driver has no such thing."""
        try:
            return float(function(*arguments))
        except self._nvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                return math.nan
            raise translate(error, what) from error

    def _ask(self, what: str, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        """Return what NVML answers, its error as a DriverError that begins with ``what``."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            raise translate(error, what) from error


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
