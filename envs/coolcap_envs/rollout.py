"""Rollouts: any controller on many scenarios at once, and what each scenario used, did and broke.

Needs no learner, so the demo and the agents' simulator can use it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from coolcap_envs.baselines import Controller
from coolcap_envs.contract.meters import Totals
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import STEP_S, Days, Episodes, EpisodeSettings
from coolcap_envs.physics.constants import WATER_DENSITY_KG_PER_L
from coolcap_envs.reward import WORK_VALUE_DEFAULT
from coolcap_envs.site import Site

NEAR_LIMIT_K = 1.0
"""Time closer than this to a temperature limit is reported beside the margins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a controller is put into; equal scenarios are equal to the last bit.

    Attributes:
        seed: Of workload, plant and sensors.
        weather: Name of a weather year.
        days: Which days of the year its own may be drawn from.
        randomise_ratio: Mismatch of the plant: 0 nominal, 1 the site's full ranges.
        work_value: The operator's knob.
        duration_s: Length.
        workload: Profile of generated work in place of the site's.
        trace: Recorded work in place of the site's.
        faults: Plan of what goes wrong.
        demand_response: Windows in which budgets are lowered.
    """

    seed: int
    weather: str
    days: Days = Days.EVALUATION
    randomise_ratio: float = 0.0
    work_value: float = WORK_VALUE_DEFAULT
    duration_s: float = 86_400.0
    workload: str | None = None
    trace: str | None = None
    faults: str | None = None
    demand_response: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one controller did in one scenario.

    Attributes:
        controller: Its name.
        scenario: Where it acted.
        totals: Energy, water, work and the rest over the scenario.
        offered_gpu_h: Work that was offered, reference GPU-hours.
        reward_mean: Mean reward of a step.
        violations_s: Time above each limit: ``inlet_temp``, ``gpu_temp``, ``latency``, ``budget``;
            for GPUs and latency averaged over the groups.
        inlet_margin_min_k: Least distance of the hottest inlet to its limit.
        gpu_margin_min_k: Least distance of the hottest GPU or its memory to its limit.
        near_limit_s: Time with either margin below ``NEAR_LIMIT_K``.
        stored_heat_kwh: Heat left in the hall at the end beyond that at the start: cooling owed.
        shielded_ratio: Share of lever decisions the shield changed.
    """

    controller: str
    scenario: Scenario
    totals: Totals
    offered_gpu_h: float
    reward_mean: float
    violations_s: dict[str, float]
    inlet_margin_min_k: float
    gpu_margin_min_k: float
    near_limit_s: float
    stored_heat_kwh: float
    shielded_ratio: float

    @property
    def throughput_ratio(self) -> float:
        """Return work done over work offered."""
        return self.totals.work_gpu_h / self.offered_gpu_h


class _Watch:
    """Sums over the steps of a batch of scenarios."""

    def __init__(self, episodes: Episodes) -> None:
        count = episodes.batch_size
        self._episodes = episodes
        self.reward = np.zeros(count)
        self.violations_s = {
            name: np.zeros(count) for name in ("inlet_temp", "gpu_temp", "latency", "budget")
        }
        self.inlet_margin_k: FloatArray = np.full(count, np.inf)
        self.gpu_margin_k: FloatArray = np.full(count, np.inf)
        self.near_s = np.zeros(count)
        self.shielded = np.zeros(count)

    def note(self) -> None:
        """Take in the true state at the end of a step."""
        truth, limits = self._episodes.truth, self._episodes.limits
        inlet_k = limits.inlet_temp_max_c - truth.of_plant("inlet_temp_max_c")
        gpu_k = np.fmin(
            limits.gpu_temp_max_c - truth.group("gpu_temp_c"),
            limits.hbm_temp_max_c - truth.group("hbm_temp_c"),
        )
        load_w = truth.group("it_power_w") @ limits.budget_members.T.astype(np.float64)
        broken = {
            "inlet_temp": inlet_k < 0.0,
            "gpu_temp": (gpu_k < 0.0).mean(axis=-1),
            "latency": (truth.group("latency_ratio") > 1.0).mean(axis=-1),
            "budget": (load_w > self._episodes.limits_now.budget_w).any(axis=-1),
        }
        for name, share in broken.items():
            self.violations_s[name] += STEP_S * share
        self.inlet_margin_k = np.fmin(self.inlet_margin_k, inlet_k)
        self.gpu_margin_k = np.fmin(self.gpu_margin_k, gpu_k.min(axis=-1))
        near = (inlet_k < NEAR_LIMIT_K) | (gpu_k.min(axis=-1) < NEAR_LIMIT_K)
        self.near_s += STEP_S * near


def run(controller: Controller, site: Site, scenarios: Sequence[Scenario]) -> list[Outcome]:
    """Run ``controller`` through all scenarios side by side and return an outcome for each.

    Raises:
        ValueError: If the scenarios differ in duration, or there are none.
    """
    durations = {scenario.duration_s for scenario in scenarios}
    if len(durations) != 1:
        raise ValueError(f"scenarios of {sorted(durations)} s: one common duration is needed")
    episodes = Episodes(site, batch_size=len(scenarios))
    for b, scenario in enumerate(scenarios):
        episodes.start(
            [np.random.default_rng(scenario.seed)] * len(scenarios),
            where=np.arange(len(scenarios)) == b,
            settings=settings_of(scenario),
        )
    watch = _Watch(episodes)
    steps = round(durations.pop() / STEP_S)
    for _ in range(steps):
        step = episodes.command(controller.decide(episodes.moment))
        watch.reward += step.reward.total / steps
        changed = np.concatenate(
            [step.shielded.group_reasons != 0, step.shielded.plant_reasons != 0], axis=-1
        )
        watch.shielded += changed.mean(axis=-1) / steps
        watch.note()
    return [
        _outcome(controller.name, scenario, episodes, watch, b, steps=steps)
        for b, scenario in enumerate(scenarios)
    ]


def settings_of(scenario: Scenario) -> EpisodeSettings:
    """Return the episode settings of a scenario."""
    return EpisodeSettings(
        duration_s=scenario.duration_s,
        work_value=(scenario.work_value, scenario.work_value),
        randomise_ratio=scenario.randomise_ratio,
        weather=scenario.weather,
        days=scenario.days,
        workload=scenario.workload,
        trace=scenario.trace,
        faults=scenario.faults,
        demand_response=scenario.demand_response,
    )


def _outcome(
    name: str, scenario: Scenario, episodes: Episodes, watch: _Watch, b: int, *, steps: int
) -> Outcome:
    sums = episodes.plant.totals()
    elapsed_s = steps * STEP_S
    return Outcome(
        controller=name,
        scenario=scenario,
        totals=Totals(
            elapsed_s=elapsed_s,
            covered_s=elapsed_s,
            it_energy_kwh=float(sums.it_energy_kwh[b]),
            cooling_energy_kwh=float(sums.cooling_energy_kwh[b]),
            facility_energy_kwh=float(sums.facility_energy_kwh[b]),
            makeup_water_l=float(sums.makeup_water_kg[b]) / WATER_DENSITY_KG_PER_L,
            carbon_kg=float(sums.carbon_kg[b]),
            cost_usd=float(sums.cost_usd[b]),
            work_gpu_h=float(sums.work_gpu_h[b]),
        ),
        offered_gpu_h=float(sums.offered_gpu_h[b]),
        reward_mean=float(watch.reward[b]),
        violations_s={key: float(value[b]) for key, value in watch.violations_s.items()},
        inlet_margin_min_k=float(watch.inlet_margin_k[b]),
        gpu_margin_min_k=float(watch.gpu_margin_k[b]),
        near_limit_s=float(watch.near_s[b]),
        stored_heat_kwh=float(sums.stored_heat_kwh[b]),
        shielded_ratio=float(watch.shielded[b]),
    )


def scenarios_for(
    site: Site,
    *,
    count: int,
    seed: int,
    days: Days = Days.EVALUATION,
    randomise_ratio: float = 0.0,
    work_value: float = WORK_VALUE_DEFAULT,
    duration_s: float = 86_400.0,
    disturbances: Mapping[str, str] = MappingProxyType({}),
) -> list[Scenario]:
    """Return ``count`` scenarios over the site's weathers in turn, fixed by ``seed``.

    Args:
        site: The site.
        count: How many.
        seed: Of the scenarios' own seeds.
        days: Days they start on.
        randomise_ratio: Mismatch of the plants.
        work_value: The operator's knob.
        duration_s: Length of each.
        disturbances: ``workload``, ``trace``, ``faults`` or ``demand_response`` of all of them.
    """
    seeds = np.random.SeedSequence(seed).generate_state(count, np.uint64)
    return [
        Scenario(
            seed=int(s),
            weather=site.weathers[i % len(site.weathers)],
            days=days,
            randomise_ratio=randomise_ratio,
            work_value=work_value,
            duration_s=duration_s,
            **disturbances,
        )
        for i, s in enumerate(seeds)
    ]
