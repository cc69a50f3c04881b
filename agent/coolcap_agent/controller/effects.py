"""What a decision was expected to do, and what was measured at the next one."""

from dataclasses import dataclass
from math import isfinite, nan

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.budget import other_power_w
from coolcap_envs.safety.shield import RISE_MISMATCH

_SUPPLY = "supply_air_temp_setpoint_c"
_COOLING = ("crah_fan_power_w", "chiller_power_w", "pump_power_w", "tower_fan_power_w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One quantity around a decision; NaN where it is not known."""

    name: str
    before: float
    expected_max: float
    after: float
    message: str

    @property
    def as_expected(self) -> bool | None:
        """Return whether it stayed below what was expected; None if that is not known."""
        if not (isfinite(self.expected_max) and isfinite(self.after)):
            return None
        return self.after <= self.expected_max * (1.0 + 1e-3) + 1e-3


def group_effects(
    record: DecisionRecord, later: DecisionRecord | None, layout: Layout, n: int
) -> tuple[Effect, ...]:
    """Return the effects of a cap on its group."""
    cap_w = _sent(record.commanded.power_cap_w[n], record.in_force.power_cap_w[n])
    other_w = float(other_power_w(record.telemetry, layout)[n])
    bound_w = float(layout.gpu_count[n]) * cap_w + other_w

    def effect(name: str, expected_max: float, message: str) -> Effect:
        return Effect(
            name=name,
            before=float(record.telemetry.group(name)[n]),
            expected_max=expected_max,
            after=nan if later is None else float(later.telemetry.group(name)[n]),
            message=message,
        )

    return (
        effect("gpu_power_w", cap_w, "a GPU draws no more than its cap over a decision's time"),
        effect("it_power_w", bound_w, "GPUs at their cap and what the server drew beside them"),
        effect("gpu_temp_c", record.limits.gpu_temp_max_c, "limit of the site"),
        effect("work_rate_ratio", nan, "no bound: the cap's cost in work, if it binds"),
    )


def lever_effects(
    record: DecisionRecord, later: DecisionRecord | None, lever: str
) -> tuple[Effect, ...]:
    """Return the effects of a setpoint on the hall."""
    now, then = record.telemetry, None if later is None else later.telemetry
    inlet_c, supply_c = (float(now.of_plant(s)) for s in ("inlet_temp_max_c", "supply_air_temp_c"))
    bound_c, why = record.limits.inlet_temp_max_c, "limit of the site"
    if lever == _SUPPLY:
        k = PLANT_LEVER_COLUMN[_SUPPLY]
        set_c = _sent(record.commanded.plant[k], record.in_force.plant[k])
        warmest_c = max(set_c, supply_c)
        bound_c = warmest_c + RISE_MISMATCH * max(inlet_c - supply_c, 0.0)
        why = f"supply air and {RISE_MISMATCH:g} times the measured rise to the hottest inlet"
    found = [_of_plant("inlet_temp_max_c", now, then, expected_max=bound_c, message=why)]
    cooling = [float(sum(float(t.of_plant(s)) for s in _COOLING)) for t in (now, then) if t]
    found.append(
        Effect(
            name="cooling_power_w",
            before=cooling[0],
            expected_max=nan,
            after=cooling[1] if then else nan,
            message="no bound: what the decision is for",
        )
    )
    return tuple(found)


def _of_plant(
    name: str, now: Telemetry, then: Telemetry | None, *, expected_max: float, message: str
) -> Effect:
    return Effect(
        name=name,
        before=float(now.of_plant(name)),
        expected_max=expected_max,
        after=nan if then is None else float(then.of_plant(name)),
        message=message,
    )


def _sent(commanded: float, in_force: float) -> float:
    """Return what holds after a decision: what was sent, or what was in force."""
    return float(commanded if isfinite(commanded) else in_force)
