"""Finding R and Rdr: a parametric rule tuned by CMA-ES, all candidates side by side in one batch.

The score is what a policy is trained for, the mean reward behind the shield on days of training;
R sees the nominal plant, Rdr plants drawn from the site's full ranges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from cmaes import CMA

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import STEP_S, Days, Episodes
from coolcap_envs.rollout import Scenario, scenarios_for, settings_of
from coolcap_envs.site import Site
from coolcap_envs.tuned_rule import (
    RULES,
    TunedRule,
    TunedRuleController,
    names,
    of_values,
    ranges,
    values_of,
)

SEED: Final = 7_101
"""Of the scenarios and of the search."""
SPREAD: Final = 0.2
"""First deviation of the search, of each range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How much is searched.

    Attributes:
        generations: Steps of CMA-ES.
        population: Candidates per step.
        scenario_count: Scenarios each candidate is tried in.
        duration_s: Length of each.
    """

    generations: int = 40
    population: int = 16
    scenario_count: int = 6
    duration_s: float = 86_400.0


def to_unit(values: Sequence[float]) -> FloatArray:
    """Return values of a rule's numbers as places in their ranges, 0 to 1."""
    return np.array(
        [
            np.log(v / r.low) / np.log(r.high / r.low)
            if r.is_log
            else (v - r.low) / (r.high - r.low)
            for v, r in zip(values, ranges(), strict=True)
        ]
    )


def from_unit(place: FloatArray) -> TunedRule:
    """Return the rule whose numbers lie at ``place`` in their ranges."""
    return of_values(
        [
            float(r.low * (r.high / r.low) ** x if r.is_log else r.low + x * (r.high - r.low))
            for x, r in zip(np.clip(place, 0.0, 1.0), ranges(), strict=True)
        ]
    )


def scores(rules: Sequence[TunedRule], site: Site, scenarios: Sequence[Scenario]) -> FloatArray:
    """Return each rule's mean reward over the scenarios."""
    each = len(scenarios)
    members = [rule for rule in rules for _ in scenarios]
    episodes = Episodes(site, batch_size=len(members))
    for b in range(len(members)):
        scenario = scenarios[b % each]
        episodes.start(
            [np.random.default_rng(scenario.seed)] * len(members),
            where=np.arange(len(members)) == b,
            settings=settings_of(scenario),
        )
    controller = TunedRuleController(
        members, layout=site.layout, limits=site.limits, name="candidates"
    )
    steps = round(scenarios[0].duration_s / STEP_S)
    total = np.zeros(len(members))
    for _ in range(steps):
        total += episodes.command(controller.decide(episodes.moment)).reward.total
    return np.asarray(total.reshape(len(rules), each).mean(axis=1) / steps)


def search(
    site: Site,
    *,
    randomise_ratio: float,
    settings: Search,
    tell: Callable[[int, float], None] = lambda _generation, _score: None,
) -> tuple[TunedRule, float]:
    """Return the best rule found, re-scored on scenarios of its own, and its score.

    Args:
        site: The site.
        randomise_ratio: Mismatch of the plants: 0 for R, 1 for Rdr.
        settings: How much is searched.
        tell: Is given each generation's number and best score.
    """

    def drawn(seed: int) -> list[Scenario]:
        return scenarios_for(
            site,
            count=settings.scenario_count,
            seed=seed,
            days=Days.TRAINING,
            randomise_ratio=randomise_ratio,
            duration_s=settings.duration_s,
        )

    start = to_unit(values_of(TunedRule()))
    optimizer = CMA(
        mean=np.clip(start, 0.02, 0.98),
        sigma=SPREAD,
        bounds=np.tile([0.0, 1.0], (len(start), 1)),
        population_size=settings.population,
        seed=SEED,
    )
    finalists = [start]
    for generation in range(settings.generations):
        places = [optimizer.ask() for _ in range(settings.population)]
        # The same scenarios all along would let it learn them by heart.
        rated = scores([from_unit(p) for p in places], site, drawn(SEED + generation))
        optimizer.tell([(p, -float(s)) for p, s in zip(places, rated, strict=True)])
        finalists.append(places[int(rated.argmax())])
        tell(generation, float(rated.max()))
    finalists = [finalists[0], *finalists[-settings.population + 2 :], optimizer.mean]
    rules = [from_unit(place) for place in finalists]
    final = scores(rules, site, drawn(SEED - 1))
    best = int(final.argmax())
    return rules[best], float(final[best])


def write_rules(path: Path, rules: dict[str, TunedRule], *, about: str) -> None:
    """Write R and Rdr of a site as TOML."""
    lines = [f'about = "{about}"']
    for kind in RULES:
        lines += ["", f"[{kind}]"]
        lines += [f"{k} = {v:.6g}" for k, v in zip(names(), values_of(rules[kind]), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
