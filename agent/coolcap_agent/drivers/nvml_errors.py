"""NVML's error codes and what they mean to a caller."""

from typing import Final, Protocol

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    NotPermitted,
    ResetRequired,
    ValueRefused,
)
from coolcap_agent.drivers.nvml_rights import how_to_get_rights

UNINITIALIZED: Final = 1
INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
DRIVER_NOT_LOADED: Final = 9
TIMEOUT: Final = 10
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
LIB_RM_VERSION_MISMATCH: Final = 18
NO_DATA: Final = 21
DEPRECATED: Final = 26
"""Codes of ``nvmlReturn_t``; part of NVML's ABI."""

UNSUPPORTED: Final = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND, NO_DATA, DEPRECATED})
"""This GPU or this driver does not have what was asked for: a reading is then NaN."""

_ADVICE: Final = {
    UNINITIALIZED: "the driver was unloaded under this process: start the agent again",
    DRIVER_NOT_LOADED: "the NVIDIA kernel driver is not loaded",
    LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not found: install the NVIDIA driver, or in a "
    "container give it the GPUs",
    LIB_RM_VERSION_MISMATCH: "the driver was upgraded under this process: reload the kernel "
    "driver, then start the agent again",
    TIMEOUT: "the GPU's firmware did not answer in time",
    GPU_IS_LOST: "GPU is lost, it has fallen off the bus: drain the node and restart it",
    RESET_REQUIRED: "the GPU has to be reset before it can be used again",
}


class NvmlError(Protocol):
    """``pynvml.NVMLError``."""

    value: int


def translate(error: NvmlError, what: str) -> DriverError:
    """Return NVML's error as a DriverError.

    Args:
        error: What ``pynvml`` raised.
        what: What failed, of which GPU; begins the message.
    """
    code = error.value
    message = f"{what}: {_ADVICE.get(code, str(error))} (NVML error {code})"
    if code == RESET_REQUIRED:
        return ResetRequired(message)
    if code in (GPU_IS_LOST, TIMEOUT):
        return DeviceLost(message)
    if code == NO_PERMISSION:
        return NotPermitted(f"{what}: {how_to_get_rights()} (NVML error {code})")
    if code == INVALID_ARGUMENT:
        return ValueRefused(message)
    return DriverError(message)
