"""Local control loops of the building management system: what moves a valve or a fan.

They are part of the plant. Setpoints are what we send them; what they do with them is theirs.
"""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum


@law
def slewed(value: float, wanted: float, step_max: float) -> float:
    """Return ``value`` moved towards ``wanted`` by at most ``step_max``."""
    moved: float = value + minimum(maximum(wanted - value, -step_max), step_max)
    return moved


@law
def integral_next(
    integral: float, error_k: float, gain_per_k: float, integral_time_s: float, dt_s: float
) -> float:
    """Return the integral part of a PI controller after one step, ``I + K*e*dt/Ti``.

    It is held to 0 to 1, the range of the actuator, so that it cannot wind up beyond it.
    """
    grown = integral + gain_per_k * error_k * dt_s / integral_time_s
    held: float = minimum(maximum(grown, 0.0), 1.0)
    return held


@law
def actuator_target(integral: float, error_k: float, gain_per_k: float) -> float:
    """Return the position a PI controller asks of its actuator: ``I + K*e`` within 0 to 1."""
    target: float = minimum(maximum(integral + gain_per_k * error_k, 0.0), 1.0)
    return target
