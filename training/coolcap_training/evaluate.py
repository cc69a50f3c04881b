"""Evaluation: a policy against named baselines in equal scenarios, with intervals and refusals.

Scenarios are fixed by one seed and start on days that neither training nor the choice between
policies ever saw. Differences are paired; a claim whose interval spans zero is refused.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from coolcap_envs.baselines import Controller, PolicyController, baseline
from coolcap_envs.contract.policy import Policy
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import Days
from coolcap_envs.reward import WORK_VALUE_DEFAULT
from coolcap_envs.rollout import Outcome, Scenario, run, scenarios_for
from coolcap_envs.site import Site, load_site
from coolcap_training.statistics import (
    ClaimRefusedError,
    Difference,
    claim,
    paired_difference,
    relative_difference,
)
from coolcap_training.trials import run_trials

EVALUATION_SEED: Final = 2_026_112_2
"""Of the published scenarios. Training seeds episodes from other streams."""
REFERENCES: Final = ("rule", "C0+B0", "C0+B3", "C1+B3", "C2+B3")
"""What a policy is compared with."""

Metric = Callable[[Outcome], float]
METRICS: Final[Mapping[str, Metric]] = {
    "energy_per_work_kwh_per_gpu_h": lambda o: o.totals.energy_per_work_kwh_per_gpu_h,
    "facility_energy_kwh": lambda o: o.totals.facility_energy_kwh,
    "pue": lambda o: o.totals.pue,
    "wue_l_per_kwh": lambda o: o.totals.wue_l_per_kwh,
    "throughput_ratio": lambda o: o.throughput_ratio,
    "inlet_temp_violation_s": lambda o: o.violations_s["inlet_temp"],
    "gpu_temp_violation_s": lambda o: o.violations_s["gpu_temp"],
    "latency_violation_s": lambda o: o.violations_s["latency"],
    "budget_violation_s": lambda o: o.violations_s["budget"],
    "near_limit_s": lambda o: o.near_limit_s,
    "stored_heat_kwh": lambda o: o.stored_heat_kwh,
    "reward_mean": lambda o: o.reward_mean,
}
"""Columns of the table: means over scenarios."""
CLAIMED: Final = ("energy_per_work_kwh_per_gpu_h", "facility_energy_kwh")
COMPARED: Final = ("throughput_ratio", "latency_violation_s", "reward_mean")
"""Beside the claims, as plain paired differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The policy against one baseline.

    Attributes:
        reference: The baseline.
        relative: Differences in shares of the baseline, for ``CLAIMED``.
        absolute: Differences of ``COMPARED``.
        claims: A sentence for each of ``CLAIMED``, or why there is none.
        refused: Which of ``CLAIMED`` were refused.
    """

    reference: str
    relative: dict[str, Difference]
    absolute: dict[str, Difference]
    claims: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What :func:`evaluate` found.

    Attributes:
        site: Name of the site.
        policy: Name of the policy.
        scenarios: Where all controllers acted.
        table: Means of ``METRICS`` per controller, with the least margins over all scenarios.
        comparisons: The policy against each baseline.
    """

    site: str
    policy: str
    scenarios: tuple[Scenario, ...]
    table: dict[str, dict[str, float]]
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain data, one object per controller and comparison."""
        return {
            "site": self.site,
            "policy": self.policy,
            "scenario_count": len(self.scenarios),
            "randomise_ratio": self.scenarios[0].randomise_ratio,
            "work_value": self.scenarios[0].work_value,
            "weathers": sorted({s.weather for s in self.scenarios}),
            "disturbances": disturbances_of(self.scenarios[0]),
            "table": self.table,
            "comparisons": [asdict(c) for c in self.comparisons],
        }


def _values(outcomes: Sequence[Outcome], metric: Metric) -> FloatArray:
    return np.array([metric(outcome) for outcome in outcomes])


def _row(outcomes: Sequence[Outcome]) -> dict[str, float]:
    row = {name: float(_values(outcomes, metric).mean()) for name, metric in METRICS.items()}
    row["inlet_margin_min_k"] = min(o.inlet_margin_min_k for o in outcomes)
    row["gpu_margin_min_k"] = min(o.gpu_margin_min_k for o in outcomes)
    return row


def compare(candidate: Sequence[Outcome], reference: Sequence[Outcome]) -> Comparison:
    """Compare two controllers' outcomes of the same scenarios.

    Raises:
        ValueError: If the scenarios differ.
    """
    if [o.scenario for o in candidate] != [o.scenario for o in reference]:
        raise ValueError("paired comparison needs the same scenarios in the same order")
    names = {"candidate": candidate[0].controller, "reference": reference[0].controller}
    relative: dict[str, Difference] = {}
    claims: list[str] = []
    refused: list[str] = []
    for name in CLAIMED:
        metric = METRICS[name]
        relative[name] = relative_difference(_values(candidate, metric), _values(reference, metric))
        try:
            claims.append(claim(name, **names, difference=relative[name]))
        except ClaimRefusedError as error:
            claims.append(str(error))
            refused.append(name)
    return Comparison(
        reference=names["reference"],
        relative=relative,
        absolute={
            name: paired_difference(
                _values(candidate, METRICS[name]), _values(reference, METRICS[name])
            )
            for name in COMPARED
        },
        claims=tuple(claims),
        refused=tuple(refused),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One controller through scenarios, runnable anywhere.

    Attributes:
        controller: A policy, or a baseline by name.
        site: A shipped site's name or a path ending in ``.toml``.
        scenarios: What it is put into.
    """

    controller: Policy | str
    site: str
    scenarios: tuple[Scenario, ...]


def outcomes_of(job: Run) -> list[Outcome]:
    """Run a controller through its scenarios."""
    site = load_site(job.site)
    if isinstance(job.controller, str):
        controller: Controller = baseline(job.controller, layout=site.layout, limits=site.limits)
    else:
        controller = PolicyController(job.controller, site.limits)
    return run(controller, site, job.scenarios)


def evaluate(
    policy: Policy,
    site: str,
    *,
    scenario_count: int,
    references: Sequence[str] = REFERENCES,
    days: Days = Days.EVALUATION,
    seed: int = EVALUATION_SEED,
    randomise_ratio: float = 0.0,
    work_value: float = WORK_VALUE_DEFAULT,
    duration_s: float = 86_400.0,
    disturbances: Mapping[str, str] = MappingProxyType({}),
    workers: int = 1,
    ray_address: str | None = None,
) -> Report:
    """Run the policy and the baselines through equal scenarios and compare them.

    Args:
        policy: What is evaluated.
        site: A shipped site's name or a path ending in ``.toml``.
        scenario_count: How many scenarios, at least two; weathers of the site take turns.
        references: Baselines by name.
        days: Days scenarios start on.
        seed: Of the scenarios.
        randomise_ratio: Mismatch of the plants: 0 nominal, 1 the site's full ranges.
        work_value: The operator's knob.
        duration_s: Length of a scenario.
        disturbances: ``workload``, ``trace``, ``faults`` or ``demand_response`` of all scenarios.
        workers: Controllers run side by side in so many processes here.
        ray_address: Ray cluster to use in place of this machine.
    """
    loaded: Site = load_site(site)
    scenarios = scenarios_for(
        loaded,
        count=scenario_count,
        seed=seed,
        days=days,
        randomise_ratio=randomise_ratio,
        work_value=work_value,
        duration_s=duration_s,
        disturbances=disturbances,
    )
    controllers: tuple[Policy | str, ...] = (policy, *references)
    jobs = [Run(controller=c, site=site, scenarios=tuple(scenarios)) for c in controllers]
    done = dict(run_trials(outcomes_of, jobs, workers=workers, ray_address=ray_address))
    own, *rivals = (done[i] for i in range(len(jobs)))
    return Report(
        site=loaded.name,
        policy=own[0].controller,
        scenarios=tuple(scenarios),
        table={rows[0].controller: _row(rows) for rows in (own, *rivals)},
        comparisons=tuple(compare(own, rival) for rival in rivals),
    )


def disturbances_of(scenario: Scenario) -> dict[str, str]:
    """Return what of a scenario is not the site's own, by name."""
    named = {
        "workload": scenario.workload,
        "trace": scenario.trace,
        "faults": scenario.faults,
        "demand_response": scenario.demand_response,
    }
    return {key: value for key, value in named.items() if value is not None}


def write_report(report: Report, folder: Path) -> None:
    """Write ``report.json`` and ``report.md`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_json(), indent=2) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")


def markdown(report: Report) -> str:
    """Return the report for people."""
    first = report.scenarios[0]
    columns = list(next(iter(report.table.values())))
    other = "".join(f", {key} {value}" for key, value in disturbances_of(first).items())
    lines = [
        f"# {report.policy} on {report.site}",
        "",
        f"{len(report.scenarios)} scenarios of {first.duration_s / 3600.0:g} h, weathers "
        f"{', '.join(sorted({s.weather for s in report.scenarios}))}, days of {first.days}, "
        f"plant mismatch {first.randomise_ratio:g}, work_value {first.work_value:g}{other}.",
        "",
        "| | " + " | ".join(report.table) + " |",
        "|---|" + "---:|" * len(report.table),
        *(
            f"| {column} | "
            + " | ".join(f"{row[column]:.4g}" for row in report.table.values())
            + " |"
            for column in columns
        ),
        "",
        *(f"- {sentence}" for c in report.comparisons for sentence in c.claims),
    ]
    return "\n".join(lines) + "\n"
