"""Local control loops of the building management system: what moves a valve or a fan.

They are part of the plant. Setpoints are what we send them; what they do with them is theirs.
"""

from coolcap_envs.physics.jit import law


@law
def slewed(value: float, wanted: float, step_max: float) -> float:
    """Return ``value`` moved towards ``wanted`` by at most ``step_max``."""
    return value + min(max(wanted - value, -step_max), step_max)


@law
def integral_next(
    integral: float, error_k: float, gain_per_k: float, integral_time_s: float, dt_s: float
) -> float:
    """Return the integral part of a PI controller after one step, ``I + K*e*dt/Ti``.

    It is held to 0 to 1, the range of the actuator, so that it cannot wind up beyond it.
    """
    return min(max(integral + gain_per_k * error_k * dt_s / integral_time_s, 0.0), 1.0)


@law
def actuator_target(integral: float, error_k: float, gain_per_k: float) -> float:
    """Return the position a PI controller asks of its actuator: ``I + K*e`` within 0 to 1."""
    return min(max(integral + gain_per_k * error_k, 0.0), 1.0)
