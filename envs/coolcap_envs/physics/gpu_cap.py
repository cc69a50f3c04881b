"""What a GPU does under a load, a power cap and a clock limit: clock, busy share and power."""

from typing import Final

from coolcap_envs.physics.gpu import (
    active_power_w,
    activity,
    busy_at_activity,
    clock_at_power,
    throughput_ratio,
)
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.records import Record

CAP_TRACKING_RATIO: Final = 0.99
"""Mean power in steady state over the cap. Source: sweeps of B300 and RTX PRO 6000 hold 0.985 to
0.996 of the cap (sinkers/gpu-power-lab; Light-Heart-Labs MMBT)."""

_SEARCH_STEPS: Final = 3


@law
def class_power_w(clock_ratio: float, idle_w: float, work: Record) -> float:
    """Return :func:`active_power_w` of a class (a row of ``gpu_models``), never below idle."""
    power_w = active_power_w(
        clock_ratio=clock_ratio,
        full_power_w=work.full_power_w,
        fixed_share=work.fixed_share,
        slope_low=work.slope_low,
        knee_clock_ratio=work.power_knee_clock_ratio,
    )
    return max(power_w, idle_w)


@law
def class_throughput_ratio(clock_ratio: float, work: Record) -> float:
    """Return :func:`throughput_ratio` of a class."""
    return throughput_ratio(
        clock_ratio=clock_ratio,
        sensitivity=work.sensitivity,
        knee_sensitivity=work.knee_sensitivity,
        knee_clock_ratio=work.work_knee_clock_ratio,
    )


@law
def operating_point(
    load_ratio: float,
    cap_w: float,
    clock_limit_ratio: float,
    clock_min_ratio: float,
    idle_w: float,
    work: Record,
) -> tuple[float, float, float, float]:
    """Return clock ratio, throughput at that clock, busy share and power of one GPU.

    The device runs at its clock limit while that fits the cap. Else it lowers the clock until
    power fits; a lower clock makes the same load a larger share of capacity, so the clock is found
    by a fixed point from above. What the last step leaves over the cap is shed as pauses, so that
    power never exceeds the cap, except at the lowest clock: there devices draw what they need,
    as an A40 does (119 W at a cap of 100 W; Zeus traces, NSDI'23).

    Args:
        load_ratio: Work offered per second over what the GPU does at its highest clock.
        cap_w: Power it may draw, referred to the reference die temperature.
        clock_limit_ratio: Highest clock allowed by a clock lock or by throttling.
        clock_min_ratio: Lowest clock of the device.
        idle_w: Power without work.
        work: Row of the workload class.
    """
    clock = max(clock_limit_ratio, clock_min_ratio)
    throughput = class_throughput_ratio(clock_ratio=clock, work=work)
    busy = min(load_ratio / throughput, 1.0)
    active_w = class_power_w(clock_ratio=clock, idle_w=idle_w, work=work)
    share = activity(busy_ratio=busy, half_load=work.half_load)
    power_w = idle_w + share * (active_w - idle_w)
    if power_w <= cap_w:
        return clock, throughput, busy, power_w

    room_w = max(cap_w - idle_w, 0.0)
    for _ in range(_SEARCH_STEPS):
        clock = clock_at_power(
            power_w=idle_w + room_w / share,
            full_power_w=work.full_power_w,
            fixed_share=work.fixed_share,
            slope_low=work.slope_low,
            knee_clock_ratio=work.power_knee_clock_ratio,
        )
        clock = min(max(clock, clock_min_ratio), clock_limit_ratio)
        throughput = class_throughput_ratio(clock_ratio=clock, work=work)
        busy = min(load_ratio / throughput, 1.0)
        before = share
        share = activity(busy_ratio=busy, half_load=work.half_load)
        if share == before:  # always so once the GPU is busy all the time
            break
    active_w = class_power_w(clock_ratio=clock, idle_w=idle_w, work=work)
    power_w = idle_w + share * (active_w - idle_w)
    if power_w > cap_w and clock > clock_min_ratio:
        share = room_w / (active_w - idle_w)
        busy = busy_at_activity(activity_ratio=share, half_load=work.half_load)
        power_w = idle_w + room_w
    return clock, throughput, busy, power_w
