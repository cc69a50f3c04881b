"""Local control loops of the building management system: what moves a valve or a fan.

They are part of the plant. Setpoints are what we send them; what they do with them is theirs.
"""

from coolcap_envs.physics.jit import law


@law
def slewed(value: float, wanted: float, step_max: float) -> float:
    """Return ``value`` moved towards ``wanted`` by at most ``step_max``."""
    return value + min(max(wanted - value, -step_max), step_max)


@law
def integral_step(
    value: float,
    error_k: float,
    error_before_k: float,
    gain_per_k: float,
    integral_time_s: float,
    dt_s: float,
    step_max: float,
    low: float,
) -> float:
    """Return an actuator position after one step of a PI controller in velocity form.

    ``du = K*((e - e_before) + e*dt/Ti)``, at most ``step_max`` either way (stroke time), within
    ``low`` to 1. The velocity form cannot wind up.
    """
    change = gain_per_k * (error_k - error_before_k + error_k * dt_s / integral_time_s)
    change = min(max(change, -step_max), step_max)
    return min(max(value + change, low), 1.0)
