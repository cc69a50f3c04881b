"""Readings between two steps of the plant model, for those who watch more closely than it steps."""

import dataclasses
from typing import Final

import numpy as np

from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS, Signal
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry

CONTINUOUS_UNITS: Final = ("°C", "kWh", "GPU·h", "L")
"""Temperatures and counters change steadily within a step; everything else is its mean or a state,
and holds for the whole step. So the energy of any span is its power times its length."""


def _continuous(signals: tuple[Signal, ...]) -> BoolArray:
    return np.array(
        [s.unit in CONTINUOUS_UNITS and "setpoint" not in s.name for s in signals], dtype=bool
    )


_GROUPS = _continuous(GROUP_SIGNALS)
_PLANT = _continuous(PLANT_SIGNALS)


def between(before: Telemetry, after: Telemetry, *, part_ratio: float) -> Telemetry:
    """Return the readings when ``part_ratio`` of the step from ``before`` to ``after`` is over.

    Args:
        before: At the end of the step before.
        after: At the end of this step.
        part_ratio: Above 0; 1 gives ``after``.
    """
    if part_ratio == 1.0:
        return after
    start_s, end_s = float(before.time_s), float(after.time_s)

    def mix(old: FloatArray, new: FloatArray, steady: BoolArray) -> FloatArray:
        return np.where(steady, old + part_ratio * (new - old), new)

    return dataclasses.replace(
        after,
        time_s=np.array(start_s + part_ratio * (end_s - start_s)),
        groups=mix(before.groups, after.groups, _GROUPS),
        plant=mix(before.plant, after.plant, _PLANT),
    )
