"""What a GPU does under a load, a power cap and a clock limit: clock, busy share and power."""

from typing import Final

from coolcap_envs.physics.gpu import (
    active_power_share,
    activity,
    busy_at_activity,
    clock_at_power_share,
    time_ratio,
)
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, negated, where
from coolcap_envs.physics.records import Record

CAP_TRACKING_RATIO: Final = 0.99
"""Mean power in steady state over the cap. Source: sweeps of B300 and RTX PRO 6000 hold 0.985 to
0.996 of the cap (sinkers/gpu-power-lab; Light-Heart-Labs MMBT)."""

BURSTY_HALF_LOAD: Final = 1.0
"""Classes with a larger ``half_load`` work in bursts that outlast the second over which a device
averages its power: the cap holds while they are busy, not on the mean."""

_SEARCH_STEPS: Final = 3


@law
def class_power_w(clock_ratio: float, idle_w: float, work: Record) -> float:
    """Return the power of a fully busy GPU with a class of work, never below idle."""
    share = active_power_share(
        clock_ratio=clock_ratio,
        fixed_share=work.fixed_share,
        slope_low=work.slope_low,
        power_at_knee=work.power_at_knee,
        knee_clock_ratio=work.power_knee_clock_ratio,
        slope_high=work.slope_high,
    )
    power_w: float = maximum(work.full_power_w * share, idle_w)
    return power_w


@law
def class_time_ratio(clock_ratio: float, work: Record) -> float:
    """Return :func:`coolcap_envs.physics.gpu.time_ratio` of a class of work."""
    return time_ratio(
        clock_ratio=clock_ratio,
        sensitivity=work.sensitivity,
        knee_sensitivity=work.knee_sensitivity,
        knee_clock_ratio=work.work_knee_clock_ratio,
    )


@law
def operating_point(
    load_ratio: float,
    cap_w: float,
    power_scale: float,
    clock_limit_ratio: float,
    clock_min_ratio: float,
    idle_w: float,
    work: Record,
) -> tuple[float, float, float, float]:
    """Return clock ratio, time ratio, busy share and power of one GPU.

    The device runs at its clock limit while that fits the cap, else at the clock whose power fits.
    With bursty work that is the power while busy. With steady work a lower clock makes the same
    load a larger share of capacity, so the clock is found by a fixed point from above; the little
    that its last step leaves over the cap is shed as pauses. Power never exceeds the cap, except at
    the lowest clock: there devices draw what they need, as an A40 does (119 W at a cap of 100 W;
    Zeus traces, NSDI'23).

    Args:
        load_ratio: Work offered per second over what the GPU does at its highest clock.
        cap_w: Power it may draw.
        power_scale: Power of the unit that sets the pace over that of the nominal unit at the
            reference temperature; the power returned is the nominal unit's.
        clock_limit_ratio: Highest clock allowed by a clock lock or by throttling.
        clock_min_ratio: Lowest clock of the device.
        idle_w: Power without work.
        work: Row of the workload class.
    """
    free_clock = maximum(clock_limit_ratio, clock_min_ratio)
    free_time = class_time_ratio(clock_ratio=free_clock, work=work)
    free_busy = minimum(load_ratio * free_time, 1.0)
    active_w = class_power_w(clock_ratio=free_clock, idle_w=idle_w, work=work)
    share = activity(busy_ratio=free_busy, half_load=work.half_load)
    free_w = idle_w + share * (active_w - idle_w)
    is_bursty = work.half_load >= BURSTY_HALF_LOAD
    fits = where(is_bursty, active_w, free_w) * power_scale <= cap_w

    room_w = maximum(cap_w / power_scale - idle_w, 0.0)
    peak = where(is_bursty, 1.0, share)
    clock, time, busy = free_clock, free_time, free_busy
    for _ in range(_SEARCH_STEPS):
        clock = clock_at_power_share(
            power_share=(idle_w + room_w / peak) * work.per_full_power,
            fixed_share=work.fixed_share,
            power_at_knee=work.power_at_knee,
            knee_clock_ratio=work.power_knee_clock_ratio,
            per_slope_low=work.per_slope_low,
            per_slope_high=work.per_slope_high,
        )
        clock = maximum(minimum(clock, clock_limit_ratio), clock_min_ratio)
        time = class_time_ratio(clock_ratio=clock, work=work)
        busy = minimum(load_ratio * time, 1.0)
        share = activity(busy_ratio=busy, half_load=work.half_load)
        peak = where(is_bursty, 1.0, share)  # bursty work is found at the first step already
    active_w = class_power_w(clock_ratio=clock, idle_w=idle_w, work=work)
    power_w = idle_w + share * (active_w - idle_w)
    paused = (power_w > idle_w + room_w) & (clock > clock_min_ratio) & negated(is_bursty)
    paused_busy = busy_at_activity(
        activity_ratio=room_w / (active_w - idle_w), half_load=work.half_load
    )
    busy = where(paused, paused_busy, busy)
    power_w = where(paused, idle_w + room_w, power_w)
    return (
        where(fits, free_clock, clock),
        where(fits, free_time, time),
        where(fits, free_busy, busy),
        where(fits, free_w, power_w),
    )
