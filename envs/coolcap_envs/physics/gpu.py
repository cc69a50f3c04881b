"""One GPU: power, clock and throughput under a cap or a clock lock; temperatures; throttling.

Clocks are ratios of the highest SM clock. A workload class is a row of numbers (``gpu_models``);
the shapes below reproduce published cap sweeps of A40, V100, B300, RTX PRO 6000, RTX 3090 and A100
within 0.03 of relative throughput (tests). Neglected: overshoot above the cap within the first
half second (5 to 43 %), voltage dependence of leakage, and differences between kernels of a class.
"""

import math

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum, where


@law
def slope_above_knee(power_at_knee: float, knee_clock_ratio: float) -> float:
    """Return the slope that leads from the knee of the power curve to 1 at the highest clock."""
    return (1.0 - power_at_knee) / (1.0 - knee_clock_ratio)


@law
def active_power_share(
    clock_ratio: float,
    fixed_share: float,
    slope_low: float,
    power_at_knee: float,
    knee_clock_ratio: float,
    slope_high: float,
) -> float:
    """Return power of a fully busy GPU over that at the highest clock, at one die temperature.

    Two straight branches, ``P/P1 = p0 + s1*f`` up to the knee and steeper from there to 1 at the
    highest clock: below the knee voltage is at its floor, above it voltage rises with the clock.
    Shape seen in a B300 sweep (0.436 W/MHz from 926 to 1935 MHz, then 152 W for the last 97 MHz).

    Args:
        clock_ratio: ``f``, SM clock over the highest one, 0 to 1.
        fixed_share: ``p0``, share that does not depend on the clock (memory, leakage).
        slope_low: ``s1``, slope below the knee.
        power_at_knee: ``p0 + s1*fk``.
        knee_clock_ratio: ``fk``, clock above which voltage rises.
        slope_high: Slope above it, :func:`slope_above_knee`.
    """
    share: float = where(
        clock_ratio <= knee_clock_ratio,
        fixed_share + slope_low * clock_ratio,
        power_at_knee + slope_high * (clock_ratio - knee_clock_ratio),
    )
    return share


@law
def clock_at_power_share(
    power_share: float,
    fixed_share: float,
    power_at_knee: float,
    knee_clock_ratio: float,
    per_slope_low: float,
    per_slope_high: float,
) -> float:
    """Return the clock at which :func:`active_power_share` is ``power_share``; not bounded.

    Takes the inverses of the slopes: a division costs as much as the rest of it.
    """
    clock_ratio: float = where(
        power_share <= power_at_knee,
        (power_share - fixed_share) * per_slope_low,
        knee_clock_ratio + (power_share - power_at_knee) * per_slope_high,
    )
    return clock_ratio


@law
def time_ratio(
    clock_ratio: float, sensitivity: float, knee_sensitivity: float, knee_clock_ratio: float
) -> float:
    """Return time per unit of work over that at the highest clock; throughput is its inverse.

    ``t = 1 + k*(1/f - 1) + k2*max(fk/f - 1, 0)``. The share ``k`` follows the clock throughout;
    below the knee ``fk`` work that was memory-bound becomes compute-bound.

    Args:
        clock_ratio: ``f``, SM clock over the highest one, 0 to 1.
        sensitivity: ``k``, 0 for memory-bound work, near 1 for dense matrix products.
        knee_sensitivity: ``k2``.
        knee_clock_ratio: ``fk``.
    """
    inverse = 1.0 / clock_ratio
    slowed = (
        1.0
        + sensitivity * (inverse - 1.0)
        + knee_sensitivity * maximum(knee_clock_ratio * inverse - 1.0, 0.0)
    )
    time: float = where(clock_ratio >= 1.0, 1.0, slowed)
    return time


@law
def activity(busy_ratio: float, half_load: float) -> float:
    """Return the share of active power a GPU draws when it delivers part of its throughput.

    ``a = u*(1 + h)/(u + h)``. Large ``h``: power is proportional to load (work comes in bursts).
    Small ``h``: a serving engine with few sequences in its batch still reads all weights for each
    token; ``h = 0.08`` describes 49 H100 serving set-ups with a mean error of 8.3 % of power
    (ML.ENERGY leaderboard v3, power against batch size).
    """
    return busy_ratio * (1.0 + half_load) / (busy_ratio + half_load)


@law
def busy_at_activity(activity_ratio: float, half_load: float) -> float:
    """Return the load at which :func:`activity` gives ``activity_ratio``."""
    return half_load * activity_ratio / (1.0 + half_load - activity_ratio)


@law
def leakage_ratio(die_temp_c: float, reference_temp_c: float, leakage_per_k: float) -> float:
    """Return power at this die temperature over that at the reference temperature.

    ``1 + l*(T - Tref)``, with ``l`` of 0 to 0.0053 per kelvin measured on four GPUs at fixed load.
    Linear, and bounded to 0.7 to 1.5 where nobody has measured.
    """
    linear = 1.0 + leakage_per_k * (die_temp_c - reference_temp_c)
    ratio: float = minimum(maximum(linear, 0.7), 1.5)
    return ratio


@law
def decay_per_substep(time_constant_s: float, dt_s: float) -> float:
    """Return ``exp(-dt/tau)``, what is left of a deviation after one substep."""
    return math.exp(-dt_s / time_constant_s)


@law
def die_temp_next_c(
    die_temp_c: float, sink_temp_c: float, power_w: float, resistance_k_per_w: float, decay: float
) -> float:
    """Return the die temperature one substep later, the heat sink held constant.

    Exact solution of ``C dT/dt = P - (T - Tsink)/R``: ``T' = Teq + (T - Teq)*exp(-dt/(R*C))``.

    Args:
        die_temp_c: Temperature now.
        sink_temp_c: Temperature of the heat sink.
        power_w: Heat of the die.
        resistance_k_per_w: Die to heat sink.
        decay: :func:`decay_per_substep` of ``R*C``.
    """
    settled_c = sink_temp_c + resistance_k_per_w * power_w
    return settled_c + (die_temp_c - settled_c) * decay


@law
def sink_conductance_w_per_k(design_w_per_k: float, air_flow_ratio: float) -> float:
    """Return heat sink to air conductance at an air flow relative to design.

    It follows flow to the power 0.8 (turbulent forced convection, Incropera et al., 7th ed.,
    equation 8.60); taken as the tangent at design flow, ``0.2 + 0.8*v``, 5 % high at half flow.
    """
    return design_w_per_k * (0.2 + 0.8 * air_flow_ratio)


@law
def sink_temp_next_c(
    sink_temp_c: float,
    air_temp_c: float,
    heat_w: float,
    conductance_w_per_k: float,
    capacity_w_per_k: float,
) -> float:
    """Return the heat-sink temperature one substep later (implicit Euler, stable at any step).

    ``C dT/dt = q - G*(T - Tair)``.

    Args:
        sink_temp_c: Temperature now.
        air_temp_c: Air entering the server.
        heat_w: ``q``, heat from the die.
        conductance_w_per_k: ``G``.
        capacity_w_per_k: ``C/dt``.
    """
    return (capacity_w_per_k * sink_temp_c + conductance_w_per_k * air_temp_c + heat_w) / (
        capacity_w_per_k + conductance_w_per_k
    )


@law
def throttle_clock_ratio(
    clock_limit_ratio: float,
    die_temp_c: float,
    slow_temp_c: float,
    hard_temp_c: float,
    clock_min_ratio: float,
) -> float:
    """Return the clock limit the device sets itself for the next substep.

    Above ``slow_temp_c`` it falls by 0.06 per substep of 5 s, above ``hard_temp_c`` at once to
    half; it recovers by 0.03 only below a hysteresis of 3 K. Levels are those NVML reports for an
    H100 (87 and 89 °C); step sizes are an assumption, vendors do not publish theirs.
    """
    falling = where(
        die_temp_c >= hard_temp_c, minimum(clock_limit_ratio, 0.5), clock_limit_ratio - 0.06
    )
    rising = where(
        die_temp_c < slow_temp_c - 3.0, minimum(clock_limit_ratio + 0.03, 1.0), clock_limit_ratio
    )
    limit: float = where(
        (die_temp_c >= slow_temp_c) | (die_temp_c >= hard_temp_c),
        maximum(falling, clock_min_ratio),
        rising,
    )
    return limit
