"""The plant agent's own limits: which levers it may command, between which values and how fast.

They hold whatever the controller sends, independently of the site file, and stand in ``[limits]``
or in a file of their own. A lever that is not named is not commanded::

    [limits.levers.supply_air_temp_setpoint_c]
    low = 18.0
    high = 27.0
    default = 20.0                      # restored when the journal was damaged; may be absent
    rise_max_per_min = 0.1
    fall_max_per_min = 0.5

Beside them ``step_span_max_s``, and the tables of ``joint.py`` and ``inlet.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import LeverInfo
from coolcap_agent.journal import Key
from coolcap_agent.plant.inlet import InletLimits, read_inlet_limits
from coolcap_agent.plant.joint import JointLimit, read_joint_limits
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.levers import PLANT_LEVERS, Lever

SLEW_SPAN_MAX_S: Final = 300.0
"""A single step makes up for at most this much time without one, so a slew of 0.1 K/min is never
more than 0.5 K at once (the usual bound of building controls is 0.5 K in 5 minutes)."""
TOLERANCE_RATIO: Final = 1e-3
"""Read-back this close to the written value, relative to the lever's range, counts as it; field
devices hold setpoints in steps of 0.01 to 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverLimits:
    """Limits of one lever; ``default`` is None where the file gives none."""

    low: float
    high: float
    default: float | None
    rise_max_per_min: float
    fall_max_per_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointLimits:
    """Own limits of a plant agent; ``origin`` names their file."""

    of_lever: Mapping[str, LeverLimits]
    joint: Mapping[str, JointLimit]
    inlet: InletLimits | None
    step_span_max_s: float
    origin: str

    def spec(self, info: LeverInfo, *, read_only: bool) -> Spec:
        """Return what may be done with one lever."""
        limits = self.of_lever.get(info.name)
        low, high = info.low, info.high
        outcome, why = Outcome.REFUSED_NOT_COMMANDABLE, ""
        if limits is None:
            why = f"{info.name} has no [limits.levers.{info.name}] ({self.origin})"
        else:
            low, high = max(info.low, limits.low), min(info.high, limits.high)
        if limits is not None and not low <= high:
            why = (
                f"{limits.low:g} to {limits.high:g} {info.unit} ({self.origin}) leaves nothing of "
                f"the {info.low:g} to {info.high:g} {info.unit} that {info.name} takes; mend the "
                "limits"
            )
            low, high = info.low, info.high
        elif not why and info.read_only_reason:
            outcome, why = Outcome.READ_ONLY, info.read_only_reason
        elif not why and read_only:
            outcome, why = Outcome.READ_ONLY, "the agent's config says read_only = true"
        return Spec(
            key=lever_key(info.name),
            name=f"{info.name} {{}}",
            unit=info.unit if info.unit != "1" else "",
            digits=3 if info.unit == "1" else 2,
            device_low=info.low,
            device_high=info.high,
            low=low,
            high=high,
            limits_origin=f"own limits, {self.origin}",
            rise_max_per_s=limits.rise_max_per_min / 60.0 if limits else 0.0,
            fall_max_per_s=limits.fall_max_per_min / 60.0 if limits else 0.0,
            slew_span_max_s=self.step_span_max_s,
            tolerance=TOLERANCE_RATIO * (info.high - info.low),
            refusal=why,
            refusal_outcome=outcome,
            default=limits.default if limits else None,
            releases=True,
            reapply=False,
        )


def lever_key(lever: str) -> Key:
    """Return the journal's key of a lever."""
    return "", lever


def read_setpoint_limits(table: Table, *, origin: str) -> SetpointLimits:
    """Read ``[limits]``; problems are collected in ``table.problems``."""
    levers = table.take_table("levers", needed=False)
    of_lever = {
        lever.name: _read_lever(levers.take_table(lever.name), lever)
        for lever in PLANT_LEVERS
        if levers.has(lever.name)
    }
    levers.finish()
    joint = read_joint_limits(table.take_table("joint", needed=False))
    inlet = read_inlet_limits(table.take_table("inlet")) if table.has("inlet") else None
    step_span_max_s = table.take_float(
        "step_span_max_s", low=0.1, high=3600.0, unit="s", default=SLEW_SPAN_MAX_S
    )
    table.finish()
    return SetpointLimits(
        of_lever=of_lever,
        joint=joint,
        inlet=inlet,
        step_span_max_s=step_span_max_s,
        origin=origin,
    )


def _read_lever(table: Table, lever: Lever) -> LeverLimits:
    def take(key: str) -> float:
        return table.take_float(key, low=lever.low, high=lever.high, unit=lever.unit)

    low, high = take("low"), take("high")
    default = take("default") if table.has("default") else None
    if low > high:
        table.complain("low", f"= {low:g} must not be above high = {high:g}")
    if default is not None and not low <= default <= high:
        table.complain("default", f"= {default:g} must lie from low to high")
    per_min = f"{lever.unit}/min"
    limits = LeverLimits(
        low=low,
        high=high,
        default=default,
        rise_max_per_min=table.take_float("rise_max_per_min", low=1e-6, high=100.0, unit=per_min),
        fall_max_per_min=table.take_float("fall_max_per_min", low=1e-6, high=100.0, unit=per_min),
    )
    table.finish()
    return limits
