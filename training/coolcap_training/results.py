"""The page of results: a policy against every baseline, on every site, near and far from training.

``docs/reference/results.md`` is written by ``coolcap-train results`` alone, so that each figure
there can be made again by one command.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import shipped_sites
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.policy import Policy
from coolcap_envs.reward import WORK_VALUE_DEFAULT
from coolcap_envs.site import load_site
from coolcap_envs.tuned_rule import RULES, load_rule
from coolcap_training.evaluate import REFERENCES, Comparison, Report, evaluate

PLANTS: Final[Mapping[str, float]] = {"nominal": 0.0, "mild": 1.5, "strong": 2.0}
"""Mismatch of the plants: those of training span 1; beyond it a part of each draw is new."""
SERVICE_RATIO: Final = 0.99
"""Work a policy must do of what the reference does, for its saving to count as one."""
ENERGY: Final = "energy_per_work_kwh_per_gpu_h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One site on plants of one kind.

    Attributes:
        site: Name of the site.
        plant: Of ``PLANTS``.
        report: What the evaluation found.
    """

    site: str
    plant: str
    report: Report

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {"plant": self.plant, **self.report.to_json()}


def references_of(site: str) -> tuple[str, ...]:
    """Return the baselines a site has: the tuned rules only where they were tuned."""
    try:
        load_rule(RULES[0], site=load_site(site).layout.name)
    except ConfigError:
        return REFERENCES
    return (*REFERENCES, *RULES)


def results(
    policy: Policy,
    *,
    sites: Sequence[str] = shipped_sites(),
    scenario_count: int,
    work_value: float = WORK_VALUE_DEFAULT,
    workers: int = 1,
    ray_address: str | None = None,
    tell: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Evaluate a policy on every site and kind of plant.

    Args:
        policy: What is evaluated.
        sites: Shipped sites' names or paths ending in ``.toml``.
        scenario_count: Scenarios per site and kind of plant, over the site's climates in turn.
        work_value: The operator's knob.
        workers: Controllers run side by side in so many processes here.
        ray_address: Ray cluster to use in place of this machine.
        tell: Is given each result as it comes in.
    """
    found = []
    for site in sites:
        for plant, mismatch in PLANTS.items():
            report = evaluate(
                policy,
                site,
                scenario_count=scenario_count,
                references=references_of(site),
                randomise_ratio=mismatch,
                work_value=work_value,
                workers=workers,
                ray_address=ray_address,
            )
            found.append(Result(site=report.site, plant=plant, report=report))
            tell(found[-1])
    return found


def _saving(result: Result, comparison: Comparison) -> str:
    """Return a cell: the difference in energy per work with its interval, and the work done."""
    energy = comparison.relative[ENERGY]
    table = result.report.table
    work = (
        table[result.report.policy]["throughput_ratio"]
        / table[comparison.reference]["throughput_ratio"]
    )
    text = f"{energy.mean:+.1%} [{energy.low:+.1%}, {energy.high:+.1%}] at {work:.1%}"
    if not energy.excludes_zero:
        return f"none: {text}"
    return text if energy.mean < 0.0 and work >= SERVICE_RATIO else f"({text})"


def _service(result: Result) -> str:
    rows = result.report.table
    own, rule = rows[result.report.policy], rows["C0+B3"]
    return (
        f"| {result.site} | {result.plant} | {own['throughput_ratio']:.4f} | "
        f"{own['latency_violation_s']:.0f} / {rule['latency_violation_s']:.0f} | "
        f"{own['inlet_temp_violation_s']:.0f} / {rule['inlet_temp_violation_s']:.0f} | "
        f"{own['gpu_temp_violation_s']:.0f} / {rule['gpu_temp_violation_s']:.0f} | "
        f"{own['budget_violation_s']:.0f} / {rule['budget_violation_s']:.0f} | "
        f"{own['inlet_margin_min_k']:.2f} | {own['stored_heat_kwh']:.1f} |"
    )


def page(found: Sequence[Result], *, command: str) -> str:
    """Return the page for people.

    Args:
        found: From :func:`results`.
        command: What makes the page again.
    """
    first = found[0].report
    scenario = first.scenarios[0]
    names = sorted(
        {c.reference for r in found for c in r.report.comparisons},
        key=[*REFERENCES, *RULES].index,
    )
    rows = []
    for result in found:
        cells = {c.reference: _saving(result, c) for c in result.report.comparisons}
        shown = " | ".join(cells.get(name, "not tuned") for name in names)
        rows.append(f"| {result.site} | {result.plant} | {shown} |")
    return "\n".join(
        [
            "# Results",
            "",
            f"Written by `{command}`; do not edit. Policy `{first.policy}`, "
            f"{len(first.scenarios)} scenarios of {scenario.duration_s / 3600.0:g} h per row over "
            f"the site's climates in turn, on weeks of the year and with seeds that nothing was "
            f"trained or chosen on, `work_value` {scenario.work_value:g}. What the baselines are: "
            "[baselines](../explanation/baselines.md).",
            "",
            "Plants: *nominal* as in the site file; *mild* and *strong* drawn from 1.5 and 2 times "
            "the ranges that training drew from.",
            "",
            "## Facility energy per unit of work, against each baseline",
            "",
            "Paired differences with 95 % bootstrap intervals over scenarios, and the work done "
            "as a share of the baseline's. *none* stands before an interval that spans zero: no "
            "claim. Parentheses hold what is no saving at equal service: more energy, or less than "
            f"{SERVICE_RATIO:.0%} of the baseline's work.",
            "",
            "| site | plant | " + " | ".join(f"against {name}" for name in names) + " |",
            "|---|---|" + "---|" * len(names),
            *rows,
            "",
            "## Service and limits",
            "",
            "Seconds per day beyond a limit, the policy's before those of C0+B3; latency and GPUs "
            "are means over groups.",
            "",
            "| site | plant | work done of offered | latency | inlet | GPU | budget | least inlet "
            "margin, K | heat stored at the end, kWh |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_service(result) for result in found),
            "",
        ]
    )
