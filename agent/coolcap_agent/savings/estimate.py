"""Paired differences between arms, with intervals and a test that the randomisation justifies."""

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray

CONFIDENCE: Final = 0.95
BOOTSTRAP_COUNT: Final = 4000
FLIP_EXACT_MAX: Final = 14
"""Pairs up to which all orders are tried; beyond, a sample of them."""
SEED: Final = 20250101
"""The same data give the same report."""

T_QUANTILE: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5 %, for 1 to 30 degrees of freedom (any table of it)."""
T_QUANTILE_MANY: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean of paired differences with its 95 % interval and the p-value of no difference."""

    mean: float
    low: float
    high: float
    p_value: float
    count: int

    @property
    def clear(self) -> bool:
        """Return whether interval and test both rule out zero."""
        return (self.low > 0.0 or self.high < 0.0) and self.p_value < 1.0 - CONFIDENCE


def paired(differences: FloatArray) -> Estimate:
    """Return the mean of ``differences`` with an interval.

    The wider of the bootstrap's percentile interval and Student's: with few pairs the bootstrap
    alone is too narrow.
    """
    values = differences[np.isfinite(differences)]
    n = values.size
    if n < 2:
        mean = float(values.mean()) if n else float("nan")
        return Estimate(mean=mean, low=-np.inf, high=np.inf, p_value=1.0, count=n)
    rng = np.random.default_rng(SEED)
    means = values[rng.integers(n, size=(BOOTSTRAP_COUNT, n))].mean(axis=1)
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = np.quantile(means, [tail, 1.0 - tail]).tolist()
    mean = float(values.mean())
    half = t_quantile(n - 1) * float(values.std(ddof=1)) / n**0.5
    return Estimate(
        mean=mean,
        low=min(low, mean - half),
        high=max(high, mean + half),
        p_value=flip_test(values),
        count=n,
    )


def t_quantile(degrees: int) -> float:
    """Return Student's 97.5 % quantile."""
    return T_QUANTILE[degrees - 1] if degrees <= len(T_QUANTILE) else T_QUANTILE_MANY


def flip_test(values: FloatArray) -> float:
    """Return the share of orders within pairs that give a mean as far from zero, two-sided.

    Had the arms no effect, each pair could as well have come out the other way round: the order was
    drawn. So this needs no assumption on the distribution.
    """
    n = values.size
    if n <= FLIP_EXACT_MAX:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(20_000, n))
        signs[0] = 1.0  # the order that happened is one of them
    means = np.abs((signs * values).mean(axis=1))
    return float(np.mean(means >= abs(values.mean()) * (1.0 - 1e-12)))


def adjusted(differences: FloatArray, covariates: FloatArray) -> Estimate | None:
    """Return the difference at equal covariates by least squares; None with too few pairs.

    Args:
        differences: Per pair, shape ``[n]``.
        covariates: Differences of what neither arm decides, shape ``[n, k]``.
    """
    fit = np.isfinite(differences) & np.isfinite(covariates).all(axis=1)
    y, x = differences[fit], covariates[fit]
    n, k = x.shape
    if n < k + 6:
        return None
    matrix = np.column_stack([np.ones(n), x])
    inverse = np.linalg.pinv(matrix.T @ matrix)
    weights = inverse @ matrix.T @ y
    variance = float(((y - matrix @ weights) ** 2).sum()) / (n - k - 1)
    half = t_quantile(n - k - 1) * (variance * float(inverse[0, 0])) ** 0.5
    mean = float(weights[0])
    return Estimate(mean=mean, low=mean - half, high=mean + half, p_value=0.0, count=n)
