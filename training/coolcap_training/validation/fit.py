"""Least squares within bounds, and the splitting of rows into what is fitted and what is not."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray

_STEPS = 40
_DAMPING_START = 1e-2
_DIFFERENCE = 1e-5


def fit(
    residuals: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    *,
    low: FloatArray,
    high: FloatArray,
) -> FloatArray:
    """Return the parameters within ``low`` to ``high`` that minimise the sum of squares.

    Levenberg-Marquardt with finite differences; a parameter rests at its bound
    while the sum of squares falls beyond it.

    Args:
        residuals: Maps parameters to residuals.
        start: First guess.
        low: Least values.
        high: Greatest values.
    """
    x = np.clip(start, low, high)
    r = residuals(x)
    damping = _DAMPING_START
    for _ in range(_STEPS):
        slopes = np.empty((r.size, x.size))
        for k in range(x.size):
            h = _DIFFERENCE * max(abs(float(high[k] - low[k])), 1e-9)
            moved = x.copy()
            moved[k] += h if x[k] + h <= high[k] else -h
            slopes[:, k] = (residuals(moved) - r) / (moved[k] - x[k])
        downhill = -slopes.T @ r
        held = ((x <= low) & (downhill < 0.0)) | ((x >= high) & (downhill > 0.0))
        free = np.flatnonzero(~held)
        normal = (slopes.T @ slopes)[np.ix_(free, free)]
        scale = np.diag(np.diag(normal) + 1e-9)
        step = np.zeros_like(x)
        step[free] = np.linalg.solve(normal + damping * scale, downhill[free])
        tried = np.clip(x + step, low, high)
        r_tried = residuals(tried)
        if r_tried @ r_tried < r @ r:
            gain = 1.0 - float(r_tried @ r_tried) / float(r @ r)
            x, r = tried, r_tried
            damping = max(damping / 4.0, 1e-9)
            if gain < 1e-7:
                break
        else:
            damping *= 6.0
            if damping > 1e8:
                break
    return x


def folds(count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return two pairs (rows to fit, rows to report): each row is reported once.

    Every other row is fitted and the rest reported, then the other way round, so that no reported
    number comes from a fit that has seen its row.
    """
    rows = np.arange(count)
    return [(rows[::2], rows[1::2]), (rows[1::2], rows[::2])]


def mean_abs(errors: FloatArray) -> float:
    """Return the mean absolute error."""
    return float(np.mean(np.abs(errors)))
