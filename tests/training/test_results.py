"""The page of results says what was compared, what was claimed and what was refused."""

import pytest

from coolcap_envs.contract.policy import RulePolicy
from coolcap_training.results import PLANTS, Result, page, results


@pytest.fixture(scope="module")
def found() -> list[Result]:
    return results(RulePolicy(), sites=["lab-16"], scenario_count=2)


@pytest.mark.slow
def test_every_kind_of_plant_has_a_row_in_both_tables(found: list[Result]) -> None:
    text = page(found, command="coolcap-train results")

    for plant in PLANTS:
        assert text.count(f"| lab-16 | {plant} |") == 2
    assert "`coolcap-train results`; do not edit" in text


@pytest.mark.slow
def test_no_saving_is_claimed_over_itself(found: list[Result]) -> None:
    for line in page(found, command="x").splitlines():
        if line.startswith("| lab-16 | nominal | ") and "%" in line:
            assert line.split(" | ")[2].startswith("none: +0.0%")


@pytest.mark.slow
def test_less_work_than_the_baseline_is_put_in_parentheses(found: list[Result]) -> None:
    rows = page(found, command="x").splitlines()
    legacy = next(r for r in rows if r.startswith("| lab-16 | nominal")).split(" | ")[3]

    assert legacy.startswith("(-"), "the rule does 98.4 % of the work of uncapped GPUs"
