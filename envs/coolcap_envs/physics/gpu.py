"""One GPU: power, clock and throughput under a cap or a clock lock; temperatures; throttling.

Clocks are ratios of the highest SM clock. A workload class is a row of numbers (``gpu_models``);
the shapes below reproduce published cap sweeps of A40, V100, B300, RTX PRO 6000, RTX 3090 and A100
within 0.03 of relative throughput (tests). Neglected: overshoot above the cap within the first
half second (5 to 43 %), voltage dependence of leakage, and differences between kernels of a class.
"""

import math

from coolcap_envs.physics.jit import law


@law
def active_power_w(
    clock_ratio: float,
    full_power_w: float,
    fixed_share: float,
    slope_low: float,
    knee_clock_ratio: float,
) -> float:
    """Return the power of a fully busy GPU at the reference die temperature.

    Two straight branches, ``P/P1 = p0 + s1*f`` up to the knee and from there straight to 1 at the
    highest clock: below the knee voltage is at its floor, above it voltage rises with the clock.
    Shape seen in a B300 sweep (0.436 W/MHz from 926 to 1935 MHz, then 152 W for the last 97 MHz).

    Args:
        clock_ratio: SM clock over the highest one, 0 to 1.
        full_power_w: ``P1``, power at the highest clock, W.
        fixed_share: ``p0``, share of ``P1`` that does not depend on the clock (memory, leakage).
        slope_low: ``s1``, slope below the knee.
        knee_clock_ratio: Clock above which voltage rises.
    """
    if clock_ratio <= knee_clock_ratio:
        return full_power_w * (fixed_share + slope_low * clock_ratio)
    at_knee = fixed_share + slope_low * knee_clock_ratio
    slope_high = (1.0 - at_knee) / (1.0 - knee_clock_ratio)
    return full_power_w * (at_knee + slope_high * (clock_ratio - knee_clock_ratio))


@law
def clock_at_power(
    power_w: float,
    full_power_w: float,
    fixed_share: float,
    slope_low: float,
    knee_clock_ratio: float,
) -> float:
    """Return the clock at which :func:`active_power_w` gives ``power_w``; not bounded."""
    share = power_w / full_power_w
    at_knee = fixed_share + slope_low * knee_clock_ratio
    if share <= at_knee:
        return (share - fixed_share) / slope_low
    slope_high = (1.0 - at_knee) / (1.0 - knee_clock_ratio)
    return knee_clock_ratio + (share - at_knee) / slope_high


@law
def throughput_ratio(
    clock_ratio: float, sensitivity: float, knee_sensitivity: float, knee_clock_ratio: float
) -> float:
    """Return throughput relative to that at the highest clock.

    Time per unit of work: ``t = 1 + k*(1/f - 1) + k2*max(fk/f - 1, 0)``. The share ``k`` follows
    the clock throughout; below the knee ``fk`` work that was memory-bound becomes compute-bound.

    Args:
        clock_ratio: ``f``, SM clock over the highest one, 0 to 1.
        sensitivity: ``k``, 0 for memory-bound work, near 1 for dense matrix products.
        knee_sensitivity: ``k2``.
        knee_clock_ratio: ``fk``.
    """
    inverse = 1.0 / clock_ratio
    time_ratio = 1.0 + sensitivity * (inverse - 1.0)
    if clock_ratio < knee_clock_ratio:
        time_ratio += knee_sensitivity * (knee_clock_ratio * inverse - 1.0)
    return 1.0 / time_ratio


@law
def activity(busy_ratio: float, half_load: float) -> float:
    """Return the share of active power a GPU draws when it delivers part of its throughput.

    ``a = u*(1 + h)/(u + h)``. Large ``h``: power is proportional to load (work comes in bursts).
    Small ``h``: a serving engine with few sequences in its batch still reads all weights for each
    token; ``h = 0.08`` describes 49 H100 serving set-ups with a mean error of 5.4 % of power
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
    return min(max(1.0 + leakage_per_k * (die_temp_c - reference_temp_c), 0.7), 1.5)


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
        decay: ``exp(-dt/(R*C))``.
    """
    settled_c = sink_temp_c + resistance_k_per_w * power_w
    return settled_c + (die_temp_c - settled_c) * decay


@law
def sink_resistance_k_per_w(design_resistance_k_per_w: float, air_flow_ratio: float) -> float:
    """Return heat sink to air resistance at an air flow relative to design.

    Conductance follows flow to the power 0.8 (turbulent forced convection, Incropera et al.,
    equation 8.60); taken as its tangent at design flow, ``0.2 + 0.8*v``, 5 % low at half flow.
    """
    return design_resistance_k_per_w / (0.2 + 0.8 * air_flow_ratio)


@law
def sink_temp_next_c(
    sink_temp_c: float,
    air_temp_c: float,
    heat_w: float,
    resistance_k_per_w: float,
    heat_capacity_j_per_k: float,
    dt_s: float,
) -> float:
    """Return the heat-sink temperature one substep later (implicit Euler, stable at any step).

    ``C dT/dt = q - (T - Tair)/R``.
    """
    x = dt_s / (resistance_k_per_w * heat_capacity_j_per_k)
    return (sink_temp_c + x * (air_temp_c + heat_w * resistance_k_per_w)) / (1.0 + x)


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
    if die_temp_c >= hard_temp_c:
        return max(min(clock_limit_ratio, 0.5), clock_min_ratio)
    if die_temp_c >= slow_temp_c:
        return max(clock_limit_ratio - 0.06, clock_min_ratio)
    if die_temp_c < slow_temp_c - 3.0:
        return min(clock_limit_ratio + 0.03, 1.0)
    return clock_limit_ratio


@law
def decay_per_substep(time_constant_s: float, dt_s: float) -> float:
    """Return ``exp(-dt/tau)``."""
    return math.exp(-dt_s / time_constant_s)
