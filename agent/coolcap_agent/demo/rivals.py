"""The baselines a demonstration is compared with: same site, seed, weather and day, in process."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_agent.demo.configs import PERIOD_S, Scenario
from coolcap_agent.demo.result import Result
from coolcap_agent.sim.ground_truth import GroundTruth
from coolcap_envs.baselines import Controller, PolicyController, baseline
from coolcap_envs.contract.policy import PolicyBundle
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.site import load_site

MEANINGS: Final = {
    "C0+B0": "GPUs uncapped, legacy fixed cooling setpoints: what most rooms do",
    "C0+B3": "GPUs uncapped, cooling by trim and respond (ASHRAE Guideline 36)",
    "C2+B3": "best static cap per workload class, cooling by trim and respond",
    "rule": "trim and respond for caps and cooling: what the policy corrects, and the fallback",
}
REFERENCE: Final = "C0+B3"
IN_PROCESS: Final = "in process"
_IN_PROCESS_MEANING: Final = "the same policy on the same plant without daemons between: the check"


def _member(telemetry: Telemetry, b: int) -> Telemetry:
    """Return one member of a batch."""
    return Telemetry(**{f.name: getattr(telemetry, f.name)[b] for f in fields(Telemetry)})


def _rows(asked: Sequence[Setpoints]) -> Setpoints:
    """Return the setpoints that take row ``b`` from what controller ``b`` asked."""
    return Setpoints(
        **{
            f.name: np.stack([getattr(one, f.name)[b] for b, one in enumerate(asked)])
            for f in fields(Setpoints)
        }
    )


def run_rivals(scenario: Scenario) -> list[Result]:
    """Run every baseline, and the policy, side by side through the scenario."""
    site = load_site(scenario.site)
    controllers: list[Controller] = []
    if scenario.policy != "rule":
        bundle = PolicyBundle.load(Path(scenario.policy))
        controllers.append(PolicyController(bundle, site.limits, name=IN_PROCESS))
    controllers += [baseline(name, layout=site.layout, limits=site.limits) for name in MEANINGS]
    count = len(controllers)
    episodes = Episodes(site, batch_size=count)
    episodes.start(
        [np.random.default_rng(0)] * count,
        settings=EpisodeSettings(
            duration_s=scenario.duration_s,
            work_value=(scenario.work_value, scenario.work_value),
            weather=scenario.weather or site.weathers[0],
            start_time_s=scenario.start_time.timestamp(),
            plant_seed=scenario.seed,
        ),
    )
    truths = [GroundTruth(site.limits) for _ in controllers]
    for b, truth in enumerate(truths):
        truth.add(_member(episodes.truth, b))
    for _ in range(round(scenario.duration_s / PERIOD_S)):
        moment = episodes.moment
        episodes.command(_rows([controller.decide(moment) for controller in controllers]))
        for b, truth in enumerate(truths):
            truth.add(_member(episodes.truth, b))
    return [
        Result(
            name=controller.name,
            meaning=MEANINGS.get(controller.name, _IN_PROCESS_MEANING),
            totals=truth.totals,
            violation_min=truth.violation_min,
        )
        for controller, truth in zip(controllers, truths, strict=True)
    ]
