"""Arithmetic on lanes: what laws use in place of ``if``, ``min``, ``max`` and ``math``.

Eight plants stand side by side in a *tile*, and a law runs on all of them at once: what it takes
for a number is then a vector with one number per plant. The same source runs on

* numbers, compiled (a test or a fit that calls one law),
* lanes, compiled (the kernels),
* numbers and arrays in plain Python (``NUMBA_DISABLE_JIT=1``, for a debugger).

Lanes cannot branch apart, so a law computes both sides and chooses with :func:`where`; conditions
join with ``&``, ``|`` and :func:`negated`. A side that is not chosen may hold infinity or NaN.
Arithmetic is the same in every lane: plant i gets the same bits whatever stands beside it.
"""

# Numba's interface for extensions is not typed as it is meant to be used.
# pyright: reportArgumentType=false, reportCallIssue=false

# Numba's declarations know neither overloads that give overloads nor calls of intrinsics.
# mypy: disable-error-code="arg-type, call-arg, untyped-decorator"

import math
from typing import Any, Final

import numpy as np
from numba.extending import overload

from coolcap_envs.contract.elementwise import absolute, floor, negated, where
from coolcap_envs.physics import lane_types
from coolcap_envs.physics.lane_types import FLOATS, LANES, MASK, WORDS

__all__ = [
    "LANES",
    "absolute",
    "any_lane",
    "exp",
    "floor",
    "from_word",
    "lanes_of",
    "log",
    "maximum",
    "minimum",
    "nearest_whole",
    "negated",
    "sqrt",
    "where",
]


def _compiled(function: Any) -> Any:  # noqa: ANN401
    """Return what says how a function compiles for lanes and for numbers."""
    options = {"forceinline": True, "error_model": "numpy"}
    return overload(function, jit_options=options, strict=False)


class _PlainRow:
    """A record in plain Python; reading copies, as reading lanes does."""

    def __init__(self, record: Any) -> None:  # noqa: ANN401
        object.__setattr__(self, "_record", record)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return self._record[name].copy()

    def __getitem__(self, place: int) -> Any:  # noqa: ANN401
        return self._record[place].copy()

    def __setitem__(self, place: int, value: Any) -> None:  # noqa: ANN401
        self._record[place] = value

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        self._record[name] = value


def lanes_of(record: Any) -> Any:  # noqa: ANN401
    """Return a record of a tile as a row: its attributes read and write all lanes of a field."""
    return _PlainRow(record)


@_compiled(lanes_of)
def _lanes_of(record: Any) -> Any:  # noqa: ANN401
    return lambda record: lane_types.row_of(record)


@_compiled(where)
def _where(condition: Any, one: Any, other: Any) -> Any:  # noqa: ANN401
    if condition == MASK or one in (FLOATS, MASK) or other in (FLOATS, MASK):
        return lambda condition, one, other: lane_types.select(condition, one, other)
    return lambda condition, one, other: one if condition else other


def minimum(one: float, other: float) -> Any:  # noqa: ANN401
    """Return the lower of two; ``other`` if either is NaN."""
    return np.where(np.less(one, other), one, other)


@_compiled(minimum)
def _minimum(one: Any, other: Any) -> Any:  # noqa: ANN401
    return lambda one, other: where(one < other, one, other)


def maximum(one: float, other: float) -> Any:  # noqa: ANN401
    """Return the higher of two; ``other`` if either is NaN."""
    return np.where(np.greater(one, other), one, other)


@_compiled(maximum)
def _maximum(one: Any, other: Any) -> Any:  # noqa: ANN401
    return lambda one, other: where(one > other, one, other)


@_compiled(negated)
def _negated(condition: Any) -> Any:  # noqa: ANN401
    if condition == MASK:
        return lambda condition: ~condition
    return lambda condition: not condition


def any_lane(condition: bool) -> bool:
    """Return whether the condition holds in any lane; an ordinary ``if`` may test it."""
    return bool(np.any(condition))


@_compiled(any_lane)
def _any_lane(condition: Any) -> Any:  # noqa: ANN401
    if condition == MASK:
        return lambda condition: lane_types.any_of(condition)
    return lambda condition: bool(condition)


def sqrt(value: float) -> Any:  # noqa: ANN401
    """Return the square root."""
    return np.sqrt(value)


@_compiled(sqrt)
def _sqrt(value: Any) -> Any:  # noqa: ANN401
    if value == FLOATS:
        return lambda value: lane_types.square_root(value)
    return lambda value: math.sqrt(value)


@_compiled(absolute)
def _absolute(value: Any) -> Any:  # noqa: ANN401
    if value == FLOATS:
        return lambda value: lane_types.size(value)
    return lambda value: abs(value)


@_compiled(floor)
def _floor(value: Any) -> Any:  # noqa: ANN401
    if value == FLOATS:
        return lambda value: lane_types.below(value)
    return lambda value: np.floor(value)


def nearest_whole(value: float) -> Any:  # noqa: ANN401
    """Return the nearest whole number as a float, halves to even."""
    return np.rint(value)


@_compiled(nearest_whole)
def _nearest_whole(value: Any) -> Any:  # noqa: ANN401
    if value == FLOATS:
        return lambda value: lane_types.nearest(value)
    return lambda value: np.rint(value)


def from_word(word: np.uint64) -> Any:  # noqa: ANN401
    """Return an unsigned 64-bit integer as a float."""
    return np.asarray(word).astype(np.float64)[()]


@_compiled(from_word)
def _from_word(word: Any) -> Any:  # noqa: ANN401
    if word == WORDS:
        return lambda word: lane_types.count_of(word)
    return lambda word: float(word)


def exp(value: float) -> Any:  # noqa: ANN401
    """Return the exponential; on lanes within 2 units in the last place for -700 to 700."""
    return np.exp(value)


@_compiled(exp)
def _exp(value: Any) -> Any:  # noqa: ANN401
    return _lanes_exp if value == FLOATS else lambda value: math.exp(value)


def log(value: float) -> Any:  # noqa: ANN401
    """Return the natural logarithm of a normal number above 0, on lanes within 2 units."""
    return np.log(value)


@_compiled(log)
def _log(value: Any) -> Any:  # noqa: ANN401
    return _lanes_log if value == FLOATS else lambda value: math.log(value)


# Reduction by multiples of log(2), kept in two parts (Cody and Waite, Software Manual for the
# Elementary Functions, 1980, chapters 5 and 6); then a power series on the remainder.
_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 6.93145751953125e-1
_LN2_LOW: Final = 1.42860682030941723212e-6
_EXP_LIMIT: Final = 700.0
_EXPONENT_BIAS: Final = 1023.0


def _lanes_exp(value: float) -> Any:  # noqa: ANN401
    x = maximum(minimum(value, _EXP_LIMIT), -_EXP_LIMIT)
    k = nearest_whole(x * _LOG2_E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # Taylor to r**13 on |r| <= log(2)/2: the first term left out is below 5e-18.
    s = 1.0 / 6227020800.0
    s = s * r + 1.0 / 479001600.0
    s = s * r + 1.0 / 39916800.0
    s = s * r + 1.0 / 3628800.0
    s = s * r + 1.0 / 362880.0
    s = s * r + 1.0 / 40320.0
    s = s * r + 1.0 / 5040.0
    s = s * r + 1.0 / 720.0
    s = s * r + 1.0 / 120.0
    s = s * r + 1.0 / 24.0
    s = s * r + 1.0 / 6.0
    s = s * r + 0.5
    s = s * r + 1.0
    s = s * r + 1.0
    power = lane_types.word_of(k + _EXPONENT_BIAS) << np.uint64(52)
    return s * lane_types.float_of_bits(power)


_MANTISSA: Final = np.uint64(0x000FFFFFFFFFFFFF)
_ONE: Final = np.uint64(0x3FF0000000000000)
_SQRT_2: Final = 1.4142135623730951


def _lanes_log(value: float) -> Any:  # noqa: ANN401
    bits = lane_types.bits_of(value)
    e = lane_types.count_of(bits >> np.uint64(52)) - _EXPONENT_BIAS
    m = lane_types.float_of_bits((bits & _MANTISSA) | _ONE)
    is_high = m > _SQRT_2
    e = where(is_high, e + 1.0, e)
    m = where(is_high, 0.5 * m, m)
    # log(m) = 2*artanh(s): the series to s**23 leaves less than 1e-17 on |s| <= 0.172.
    f = m - 1.0
    s = f / (m + 1.0)
    z = s * s
    t = 1.0 / 23.0
    t = t * z + 1.0 / 21.0
    t = t * z + 1.0 / 19.0
    t = t * z + 1.0 / 17.0
    t = t * z + 1.0 / 15.0
    t = t * z + 1.0 / 13.0
    t = t * z + 1.0 / 11.0
    t = t * z + 1.0 / 9.0
    t = t * z + 1.0 / 7.0
    t = t * z + 1.0 / 5.0
    t = t * z + 1.0 / 3.0
    small = 2.0 * s + 2.0 * s * (z * t)
    return e * _LN2_HIGH + (e * _LN2_LOW + small)
