"""What keeps a setpoint from being written at this moment, beside its range and slew.

The order decides who wins: a hold and the inlet's rate freeze a direction, a joint limit comes
last and is never given up. A move that a joint limit demands is not held back by the slew; it goes
exactly to the limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coolcap_agent.daemon.point import Restrained, Spec
from coolcap_agent.plant.joint import JointLimit
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS, Lever

_INLET_LEVERS: Final = (
    "supply_air_temp_setpoint_c",
    "chw_supply_temp_setpoint_c",
    "air_flow_setpoint_ratio",
)
"""Levers that move the air at the inlets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known at one moment.

    Attributes:
        readings: Trusted readings by signal.
        hold: Why nothing may cool less than it does, empty if it may.
        rising: Whether the inlet has risen by most of what is permitted.
        falling: Whether it has fallen by most of that.
    """

    readings: Mapping[str, float] = field(default_factory=dict[str, float])
    hold: str = ""
    rising: bool = False
    falling: bool = False


class PlantRestraint:
    """Applies the situation to each write; the watch keeps ``situation`` up to date."""

    def __init__(self, joint: Mapping[str, JointLimit]) -> None:
        self.joint = joint
        self.situation = Situation()

    def restrain(self, spec: Spec, *, value: float, start: float, held: bool) -> Restrained:
        """Return the nearest value that may be written now, or why none may be."""
        lever = PLANT_LEVERS[PLANT_LEVER_COLUMN[spec.key[1]]]
        # A value of ours that new limits leave outside is brought in step by step.
        if not held and not spec.low <= value <= spec.high:
            return _refused(
                f"{spec.say(start)} is in force, further outside {_range(spec)} than one step "
                "reaches; set it locally to a value inside, or widen the limits"
            )
        low_c = math.nan
        limit = self.joint.get(lever.name)
        if limit is not None:
            low_c = limit.low_c(self.situation.readings)
            if low_c > spec.high:
                return _refused(
                    f"{lever.name} must be at least {spec.amount(low_c)}, {limit.margin_k:g} K "
                    f"above {limit.what}, and at most {spec.amount(spec.high)} "
                    f"({spec.limits_origin}): no value is left"
                )
        value, why = self._frozen(lever, value, start)
        if not held and not spec.low <= value <= spec.high:
            return _refused(f"{spec.say(start)} is in force, outside {_range(spec)}, and {why}")
        if limit is None:
            return Restrained(value=value, why=why)
        if math.isfinite(low_c) and value < low_c:
            text = f"{lever.name} stays {limit.margin_k:g} K above {limit.what}"
            return Restrained(value=low_c, why=f"{text} ({spec.amount(low_c)})")
        if math.isnan(low_c) and value < start:
            text = f"{limit.what} is not known ({limit.signal}): {lever.name} may rise only"
            return Restrained(value=start, why=text)
        return Restrained(value=value, why=why)

    def _frozen(self, lever: Lever, value: float, start: float) -> tuple[float, str]:
        """Return the value without a move in a direction that is frozen now, and why."""
        if not math.isfinite(start) or value == start:
            return value, ""
        cools_less = (value > start) is not lever.cools_upward
        situation = self.situation
        if cools_less and situation.hold:
            return start, f"nothing may cool less now: {situation.hold}"
        if lever.name not in _INLET_LEVERS:
            return value, ""
        if cools_less and situation.rising:
            return start, "the inlet has risen by most of what a window permits ([limits.inlet])"
        if not cools_less and situation.falling:
            return start, "the inlet has fallen by most of what a window permits ([limits.inlet])"
        return value, ""


def _refused(why: str) -> Restrained:
    return Restrained(value=math.nan, refusal=why)


def _range(spec: Spec) -> str:
    return f"{spec.low:.{spec.digits}f} to {spec.amount(spec.high)} ({spec.limits_origin})"
