"""Paired comparisons: the same scenarios under two controllers, with bootstrap intervals.

Scenarios differ far more from each other than controllers do, so only differences within a
scenario are looked at, and scenarios are what is resampled.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
_SEED: Final = 20_261_122
"""Of the resampling, fixed so that a report can be repeated."""


class ClaimRefusedError(ValueError):
    """The data do not support the claim that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean paired difference with its interval.

    Attributes:
        mean: Over scenarios.
        low: Lower end of the 95 % bootstrap interval.
        high: Upper end.
        count: Number of scenarios.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Return whether the sign of the difference is established."""
        return self.low > 0.0 or self.high < 0.0


def paired_difference(candidate: FloatArray, reference: FloatArray) -> Difference:
    """Return ``candidate`` minus ``reference``, scenario by scenario, with its interval.

    Args:
        candidate: One value per scenario.
        reference: Values of the same scenarios in the same order.

    Raises:
        ValueError: If the arrays differ in length or hold fewer than two scenarios.
    """
    if candidate.shape != reference.shape or candidate.ndim != 1 or candidate.size < 2:
        raise ValueError(
            f"paired comparison of {candidate.shape} with {reference.shape}: two equally long "
            "lists of at least two scenarios are needed"
        )
    delta = candidate - reference
    random = np.random.default_rng(_SEED)
    means = random.choice(delta, size=(RESAMPLES, delta.size)).mean(axis=1)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Difference(mean=float(delta.mean()), low=float(low), high=float(high), count=delta.size)


def relative_difference(candidate: FloatArray, reference: FloatArray) -> Difference:
    """Return the paired difference in shares of the reference: -0.05 is five per cent less."""
    return paired_difference(candidate / reference, np.ones_like(reference))


def claim(of: str, *, candidate: str, reference: str, difference: Difference) -> str:
    """Return one sentence that states a relative difference.

    Raises:
        ClaimRefusedError: If its interval spans zero.
    """
    interval = f"95 % interval {difference.low:+.2%} to {difference.high:+.2%}"
    over = f"{difference.count} scenarios"
    if not difference.excludes_zero:
        raise ClaimRefusedError(
            f"no claim about {of} of {candidate} against {reference}: {interval} over {over} "
            "spans zero; run more scenarios or accept that there is no difference"
        )
    more = "more" if difference.mean > 0.0 else "less"
    return (
        f"{candidate} uses {abs(difference.mean):.2%} {more} {of} than {reference} "
        f"({interval}, {over})"
    )
