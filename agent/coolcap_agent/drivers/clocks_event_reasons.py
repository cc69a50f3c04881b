"""NVML's clocks event reasons: the bits of the mask and their names in lower case.

Bits: ``nvmlClocksEventReason*`` of NVML 13; the last two are not in older headers.
"""

from typing import Final

GPU_IDLE: Final = 0x1
APPLICATIONS_CLOCKS_SETTING: Final = 0x2
SW_POWER_CAP: Final = 0x4
SW_THERMAL_SLOWDOWN: Final = 0x20

CLOCKS_EVENT_REASONS: Final = {
    GPU_IDLE: "gpu_idle",
    APPLICATIONS_CLOCKS_SETTING: "applications_clocks_setting",
    SW_POWER_CAP: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    SW_THERMAL_SLOWDOWN: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}


def reason_names(mask: int) -> tuple[str, ...]:
    """Return the names of the bits set in ``mask``, lowest first; unknown bits are left out."""
    return tuple(name for bit, name in CLOCKS_EVENT_REASONS.items() if mask & bit)
