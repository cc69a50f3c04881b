"""Arithmetic on numbers or arrays that has one meaning everywhere.

The rule, the shield, the encoder and the decoder are written with these functions, element by
element. The controller calls them on NumPy arrays; the simulator compiles the very same functions
for eight plants at a time (:mod:`coolcap_envs.compiled`), which has its own version of each
function below and of nothing else. They say what happens to NaN, "not measured" or "not commanded".
"""

from typing import Any

import numpy as np

Numbers = Any
"""A number, an array, or lanes of the simulator."""
Truth = Any
"""True or false, or an array of them."""
Row = Any
"""What has numbers by name or place: :class:`coolcap_envs.contract.columns.Columns` of an array, a
dataclass, or a row of the simulator's memory."""


def where(condition: Truth, one: Numbers, other: Numbers) -> Numbers:
    """Return ``one`` where the condition holds and ``other`` elsewhere."""
    return np.where(condition, one, other)


def negated(condition: Truth) -> Truth:
    """Return where the condition does not hold."""
    return np.logical_not(condition)


def is_nan(value: Numbers) -> Truth:
    """Return where there is no number."""
    return np.isnan(value)


def is_finite(value: Numbers) -> Truth:
    """Return where there is a number, and not infinity."""
    return np.isfinite(value)


def absolute(value: Numbers) -> Numbers:
    """Return the absolute value."""
    return np.abs(value)


def floor(value: Numbers) -> Numbers:
    """Return the next whole number below, as a float."""
    return np.floor(value)


def lower_of(one: Numbers, other: Numbers) -> Numbers:
    """Return the lower of two; NaN counts as absent."""
    return np.fmin(one, other)


def higher_of(one: Numbers, other: Numbers) -> Numbers:
    """Return the higher of two; NaN counts as absent."""
    return np.fmax(one, other)


def flagged(reasons: Numbers, where_: Truth, bit: int) -> Numbers:
    """Return reasons, whole numbers of bits, with ``bit`` set where ``where_`` holds."""
    return np.where(where_, np.bitwise_or(reasons, bit), reasons)


def clip(value: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """Return the value held to ``low`` to ``high``; NaN stays, and a bound of NaN does not bind."""
    held = where(value < low, low, value)
    return where(held > high, high, held)


def filled(value: Numbers, replacement: Numbers) -> Numbers:
    """Return the value, or the replacement where it is NaN."""
    return where(is_nan(value), replacement, value)


def in_range(value: Numbers, low: Numbers, high: Numbers) -> Truth:
    """Return where a value is a number from ``low`` to ``high``, inclusive."""
    return (value >= low) & (value <= high)
