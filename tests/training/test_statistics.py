"""Claims come with intervals, and are refused where the interval spans zero."""

import numpy as np
import pytest

from coolcap_training.statistics import (
    ClaimRefusedError,
    claim,
    paired_difference,
    relative_difference,
)


def test_pairing_removes_what_scenarios_have_in_common() -> None:
    """
    Scenarios differ by hundreds, the controllers by one: the interval still excludes zero.
    """
    random = np.random.default_rng(0)
    reference = random.normal(1000.0, 300.0, size=20)

    difference = paired_difference(reference - 1.0 + random.normal(0.0, 0.5, 20), reference)

    assert difference.excludes_zero
    assert -1.4 < difference.low < difference.mean < difference.high < -0.6


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        difference = paired_difference(random.normal(0.3, 1.0, 30), np.zeros(30))
        covered += difference.low <= 0.3 <= difference.high

    assert 86 <= covered <= 99


def test_claim_is_refused_when_the_interval_spans_zero() -> None:
    random = np.random.default_rng(2)
    values = random.normal(100.0, 1.0, 10)

    difference = relative_difference(values + random.normal(0.0, 1.0, 10), values)

    with pytest.raises(ClaimRefusedError, match="spans zero; run more scenarios"):
        claim("energy", candidate="policy", reference="C0+B3", difference=difference)


def test_claim_states_size_sign_and_interval() -> None:
    reference = np.array([100.0, 200.0, 300.0])

    text = claim(
        "energy",
        candidate="policy",
        reference="C0+B3",
        difference=relative_difference(reference * 0.9, reference),
    )

    assert text == (
        "policy uses 10.00% less energy than C0+B3 (95 % interval -10.00% to -10.00%, 3 scenarios)"
    )


def test_comparison_of_different_scenarios_is_refused() -> None:
    with pytest.raises(ValueError, match="two equally long lists"):
        paired_difference(np.zeros(3), np.zeros(4))
