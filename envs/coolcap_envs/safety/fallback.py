"""What to do when the policy must not act: which telemetry is unfit, and setpoints that are safe.

Unknown counts as unsafe. While readings are fit the feedback rule takes over; while they are not,
caps stay and cooling moves to the colder of its present value and the site's default.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import (
    GROUP_COLUMN,
    GROUP_SIGNALS,
    PLANT_COLUMN,
    PLANT_SIGNALS,
    Signal,
)
from coolcap_envs.contract.telemetry import Telemetry, reading_problem
from coolcap_envs.safety.limits import Limits

NEEDED_GROUP_SIGNALS: Final = ("gpu_power_w", "power_limit_w", "gpu_temp_c", "inlet_temp_c")
NEEDED_PLANT_SIGNALS: Final = ("supply_air_temp_c", "inlet_temp_max_c", "wet_bulb_temp_c")
"""Without these nothing may be decided; other signals only make a policy see less."""

_COOLS_UP = np.array([lever.cools_upward for lever in PLANT_LEVERS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """Whether one site's telemetry may be acted on.

    Attributes:
        problems: One sentence per unusable reading, empty if all needed ones are fit.
    """

    problems: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Return whether every needed reading may be used."""
        return not self.problems


def check_telemetry(telemetry: Telemetry, layout: Layout, limits: Limits) -> Fitness:
    """Check one site's telemetry (no batch axes) and name every unusable needed reading."""
    problems: list[str] = []

    def check(signal: Signal, value: float, of: str, age_s: float) -> None:
        problem = reading_problem(
            signal, value, of=of, age_s=age_s, age_max_s=limits.telemetry_age_max_s
        )
        if problem is not None:
            problems.append(problem)

    groups_fit = telemetry.groups_valid(age_max_s=limits.telemetry_age_max_s)
    for name in NEEDED_GROUP_SIGNALS:
        column = GROUP_COLUMN[name]
        for n in np.flatnonzero(~groups_fit[:, column]):
            value = float(telemetry.groups[n, column])
            age_s = float(telemetry.groups_age_s[n])
            check(GROUP_SIGNALS[column], value, f"group {layout.group_names[n]}", age_s)
    plant_fit = telemetry.plant_valid(age_max_s=limits.telemetry_age_max_s)
    for name in NEEDED_PLANT_SIGNALS:
        column = PLANT_COLUMN[name]
        if not plant_fit[column]:
            value, age_s = float(telemetry.plant[column]), float(telemetry.plant_age_s[column])
            check(PLANT_SIGNALS[column], value, "the plant", age_s)
    return Fitness(problems=tuple(problems))


def safe_setpoints(in_force: Setpoints, limits: Limits) -> Setpoints:
    """Return setpoints that need no telemetry: caps stay, cooling goes to its safe side."""
    plant = np.where(
        _COOLS_UP,
        np.fmax(in_force.plant, limits.lever_default),
        np.fmin(in_force.plant, limits.lever_default),
    )
    return Setpoints(
        power_cap_w=in_force.power_cap_w,
        sm_clock_max_mhz=in_force.sm_clock_max_mhz,
        plant=plant,
    )
