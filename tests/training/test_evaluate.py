"""Evaluation: equal scenarios, a full table, and no claim without its interval."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.baselines import baseline
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.observation import Observation
from coolcap_envs.rollout import Outcome, run, scenarios_for
from coolcap_envs.site import load_site
from coolcap_training.evaluate import METRICS, compare, evaluate, markdown, write_report

HOUR_S = 3600.0


class LowerCaps:
    """Asks for caps below the rule's, and leaves cooling to it."""

    name = "lower caps"

    def act(self, observation: Observation) -> Action:
        neutral = Action.neutral(*observation.groups.shape[:-1])
        return replace(neutral, groups=np.full_like(neutral.groups, -1.0))


class Undecided:
    """Asks for warmer air and water in every second scenario and for colder in the others."""

    name = "undecided"

    def act(self, observation: Observation) -> Action:
        neutral = Action.neutral(*observation.groups.shape[:-1])
        plant = neutral.plant.copy()
        plant[0::2, :2] = 0.5
        plant[1::2, :2] = -0.5
        return replace(neutral, plant=plant)


def test_a_policy_that_caps_more_uses_less_and_the_claim_says_so() -> None:
    report = evaluate(
        LowerCaps(), "lab-16", scenario_count=3, references=("C0+B3",), duration_s=HOUR_S
    )

    (against,) = report.comparisons
    assert against.relative["facility_energy_kwh"].high < 0.0
    assert "lower caps uses" in against.claims[1]
    assert "less facility_energy_kwh than C0+B3 (95 % interval" in against.claims[1]
    assert "facility_energy_kwh" not in against.refused


def test_no_claim_where_the_interval_spans_zero() -> None:
    report = evaluate(
        Undecided(), "lab-16", scenario_count=4, references=("rule",), duration_s=HOUR_S
    )

    (against,) = report.comparisons
    assert against.refused == ("energy_per_work_kwh_per_gpu_h", "facility_energy_kwh")
    assert all("spans zero" in sentence for sentence in against.claims)


def test_report_holds_every_metric_of_every_controller(tmp_path: Path) -> None:
    report = evaluate(
        LowerCaps(), "lab-16", scenario_count=2, references=("rule", "C2+B3"), duration_s=600.0
    )

    write_report(report, tmp_path)

    data = json.loads((tmp_path / "report.json").read_text())
    assert list(data["table"]) == ["lower caps", "rule", "C2+B3"]
    assert set(METRICS) <= set(data["table"]["rule"])
    text = (tmp_path / "report.md").read_text()
    assert text == markdown(report)
    assert "| energy_per_work_kwh_per_gpu_h |" in text


def test_evaluating_twice_gives_the_same_numbers() -> None:
    def once() -> dict[str, object]:
        return evaluate(
            LowerCaps(), "lab-16", scenario_count=2, references=("rule",), duration_s=600.0
        ).to_json()

    assert once() == once()


def test_outcomes_of_different_scenarios_are_not_compared() -> None:
    site = load_site("lab-16")
    controller = baseline("rule", layout=site.layout, limits=site.limits)

    def outcomes(seed: int) -> list[Outcome]:
        return run(controller, site, scenarios_for(site, count=2, seed=seed, duration_s=60.0))

    with pytest.raises(ValueError, match="the same scenarios in the same order"):
        compare(outcomes(0), outcomes(1))
