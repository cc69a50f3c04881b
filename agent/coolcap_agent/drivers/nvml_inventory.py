"""What a GPU is and takes, asked of NVML once."""

import math
from typing import Any, Final

from coolcap_agent.drivers.base import DriverError, GpuInfo
from coolcap_agent.drivers.nvml_calls import NvmlCalls
from coolcap_agent.drivers.nvml_errors import UNSUPPORTED, translate

MW_PER_W: Final = 1000.0
ARCHITECTURE_HOPPER: Final = 9
THRESHOLD_GPU_MAX: Final = 3
THRESHOLD_SLOWDOWN: Final = 1
"""Values of NVML's enums; part of its ABI."""


def look_at(calls: NvmlCalls, index: int, *, missing_right: str) -> tuple[Any, GpuInfo]:
    """Return NVML's handle of a GPU and what does not change about it.

    Args:
        calls: NVML.
        index: Its index.
        missing_right: Why nothing may be set on this host, empty if it may.

    Raises:
        DriverError: If the GPU does not answer.
    """
    what = f"GPU {index} cannot be read"
    handle = calls.ask(what, "nvmlDeviceGetHandleByIndex", index)
    uuid = calls.text(what, "nvmlDeviceGetUUID", handle)
    low_w, high_w = _range_w(calls, what, handle)
    read_only = missing_right
    if math.isnan(low_w):
        read_only = (
            f"{uuid} reports no range of power limits (some modules, for example Grace Hopper, "
            "are limited as a whole); it can be read only"
        )
    elif _is_grace_hopper(calls, what, handle):
        read_only = module_scope(uuid)
    clock_sm = calls.nvml.NVML_CLOCK_SM
    mig = calls.find(what, "nvmlDeviceGetMigMode", handle)
    default_mw = calls.number(what, "nvmlDeviceGetPowerManagementDefaultLimit", handle)
    return handle, GpuInfo(
        uuid=uuid,
        index=index,
        model=calls.text(what, "nvmlDeviceGetName", handle),
        power_limit_min_w=low_w,
        power_limit_max_w=high_w,
        power_limit_default_w=default_mw / MW_PER_W,
        sm_clock_max_mhz=calls.number(what, "nvmlDeviceGetMaxClockInfo", handle, clock_sm),
        read_only_reason=read_only,
        sm_clock_min_mhz=_lowest_clock_mhz(calls, what, handle),
        partitioned=bool(mig and mig[0]),
    )


def module_scope(uuid: str) -> str:
    """Return why a GPU of a Grace Hopper module is left alone."""
    return (
        f"{uuid} takes no power limit of its own, only one for the whole module with its CPU "
        "(Grace Hopper); a cap for the GPU cannot be told from one for the CPU, so it is read only"
    )


def highest_temp_c(calls: NvmlCalls, index: int, handle: object) -> float:
    """Return the temperature at which a GPU from before Ada slows itself down, NaN if not told.

    Newer ones tell their margin instead (``nvmlDeviceGetMarginTemperature``).
    """
    what = f"thresholds of GPU {index} cannot be read"
    for threshold in (THRESHOLD_GPU_MAX, THRESHOLD_SLOWDOWN):
        try:
            temp_c = calls.number(what, "nvmlDeviceGetTemperatureThreshold", handle, threshold)
        except DriverError:
            continue  # the threshold is not one of this GPU's
        if temp_c > 0.0:
            return temp_c
    return math.nan


def _range_w(calls: NvmlCalls, what: str, handle: object) -> tuple[float, float]:
    try:
        low_mw, high_mw = calls.nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    except calls.nvml.NVMLError as error:
        if error.value in UNSUPPORTED:
            return math.nan, math.nan
        raise translate(error, what) from error
    return low_mw / MW_PER_W, high_mw / MW_PER_W


def _is_grace_hopper(calls: NvmlCalls, what: str, handle: object) -> bool:
    """Return whether the GPU is joined to its CPU chip to chip, with one limit for both.

    Grace Blackwell is joined likewise but takes a limit for the GPU alone.
    """
    c2c = calls.find(what, "nvmlDeviceGetC2cModeInfoV", handle)
    if not (c2c and getattr(c2c, "isC2cEnabled", 0)):
        return False
    return calls.number(what, "nvmlDeviceGetArchitecture", handle) == ARCHITECTURE_HOPPER


def _lowest_clock_mhz(calls: NvmlCalls, what: str, handle: object) -> float:
    """Return the lowest SM clock that can be asked for, NaN if none can."""
    memory_mhz = calls.find(what, "nvmlDeviceGetSupportedMemoryClocks", handle)
    if not memory_mhz:
        return math.nan
    clocks_mhz = calls.find(what, "nvmlDeviceGetSupportedGraphicsClocks", handle, max(memory_mhz))
    return float(min(clocks_mhz)) if clocks_mhz else math.nan
