"""Episodes: a batch of simulated sites, each under the feedback rule, the shield and a controller.

This is the one control step of simulation. Environments, rollouts of baselines and training all
call it; the controller daemon makes the same calls on real devices: decode around the rule,
project, apply, wait a period, read, advance the rule, encode.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from coolcap_envs.contract.action import Action, decode
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import Observation, encode
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, Telemetry
from coolcap_envs.demand_response import BudgetCalls
from coolcap_envs.episode_check import check_settings
from coolcap_envs.faults.plan import FaultPlan, as_plan
from coolcap_envs.physics.hall import YEAR_START_S
from coolcap_envs.reward import WORK_VALUE_DEFAULT, Reward, Weights, evaluate
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import Shielded, project
from coolcap_envs.safety.trim_respond import TrimRespond
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site
from coolcap_envs.weather import HOURS_PER_YEAR, load_weather
from coolcap_envs.workload.profile import load_profile

STEP_S: Final = 30.0
"""Control period: the policy's in production."""
DAY_S: Final = 86_400.0
_HOUR_S: Final = 3600.0


class Days(StrEnum):
    """Which days of a weather year episodes start on; whole weeks, so that neighbours differ.

    Of every six weeks four are for training, one for choosing between trained policies, and one
    for evaluation, which nothing was ever fitted to.
    """

    ANY = "any"
    TRAINING = "training"
    VALIDATION = "validation"
    EVALUATION = "evaluation"


_WEEKS: Final = {
    Days.ANY: range(6),
    Days.TRAINING: range(4),
    Days.EVALUATION: range(4, 5),
    Days.VALIDATION: range(5, 6),
}


def days_of(kind: Days) -> list[int]:
    """Return the days of the year, from 0, that belong to ``kind``."""
    return [day for day in range(HOURS_PER_YEAR // 24) if day // 7 % 6 in _WEEKS[kind]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSettings:
    """What an episode is like; what is not fixed is drawn once per episode.

    Attributes:
        duration_s: Length, at least one step.
        work_value: Least and greatest ``work_value``.
        randomise_ratio: Domain randomisation of the plant: 0 nominal, 1 the site's full ranges.
        weather: Name of a weather year; None draws one of the site's.
        days: Which days of the year it may start on.
        any_hour: Whether it starts at any hour or at local midnight.
        start_time_s: UTC instant it starts at, in place of a drawn one.
        plant_seed: Seed of workload, plant, sensors and faults, in place of a drawn one.
        workload: Profile of generated work, a shipped name or a file, in place of the site's.
        trace: Recorded work in place of the site's, ``azure-llm:FILE``, ``alibaba-gpu:FILE`` or
            ``csv:FILE``.
        faults: What goes wrong: a plan, the name of a shipped one or a file; None for nothing.
        demand_response: File of windows in which budgets are lowered; None for none.
    """

    duration_s: float = DAY_S
    work_value: tuple[float, float] = (WORK_VALUE_DEFAULT, WORK_VALUE_DEFAULT)
    randomise_ratio: float = 0.0
    weather: str | None = None
    days: Days = Days.ANY
    any_hour: bool = False
    start_time_s: float | None = None
    plant_seed: int | None = None
    workload: str | None = None
    trace: str | None = None
    faults: str | FaultPlan | None = None
    demand_response: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known when setpoints have to be decided.

    Attributes:
        telemetry: Newest readings.
        baseline: What the rule would set now.
        observation: Both, encoded for a policy.
    """

    telemetry: Telemetry
    baseline: Setpoints
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one control step did; arrays have the batch axis ``[B]`` first.

    Attributes:
        reward: With its terms and costs.
        asked: Setpoints before the shield.
        shielded: Setpoints after it, with reasons.
        over: Which episodes ended with this step.
    """

    reward: Reward
    asked: Setpoints
    shielded: Shielded
    over: BoolArray


class Episodes:
    """A batch of episodes of one site, each with its own clock, weather, plant and randomness.

    Args:
        site: The site.
        batch_size: How many episodes run side by side.
        settings: What an episode is like, unless :meth:`start` is given others.
        weights: Of the reward.
    """

    def __init__(
        self,
        site: Site,
        *,
        batch_size: int,
        settings: EpisodeSettings = EpisodeSettings(),
        weights: Weights = Weights(),  # noqa: B008  frozen
    ) -> None:
        check_settings(settings, site)
        self.site = site
        self.plant = SimulatedPlant(site, batch_size=batch_size)
        self.layout, self.limits = site.layout, site.limits
        self.batch_size = batch_size
        self.settings = settings
        self.work_value = np.zeros(batch_size)
        self._weights = weights
        self._rule = TrimRespond(self.layout, self.limits, batch=(batch_size,))
        shape = (batch_size, self.layout.group_count)
        self._default = Setpoints(
            power_cap_w=np.broadcast_to(self.layout.power_limit_default_w, shape),
            sm_clock_max_mhz=np.full(shape, np.nan),
            plant=np.broadcast_to(self.limits.lever_default, (batch_size, len(PLANT_LEVERS))),
        )
        self._in_force = self._baseline = self._default
        self._rest_s = np.zeros(batch_size)
        self._calls = BudgetCalls(site.limits, batch_size=batch_size)
        self._truth = self.plant.read_truth()
        self._moment: Moment | None = None

    @property
    def moment(self) -> Moment:
        """Return what is known now; :meth:`start` must have been called."""
        if self._moment is None:
            raise RuntimeError("no episode is running: call start() first")
        return self._moment

    @property
    def truth(self) -> Telemetry:
        """Return the readings now without noise."""
        return self._truth

    @property
    def limits_now(self) -> Limits:
        """Return the site's limits with the budgets that demand response allows now."""
        return self._calls.limits(self._truth.time_s)

    def start(
        self,
        generators: Sequence[np.random.Generator],
        *,
        where: BoolArray | None = None,
        settings: EpisodeSettings | None = None,
        stagger: bool = False,
    ) -> None:
        """Start an episode in every member, or in those of ``where``.

        The rule starts from the site's default set points, which are in force then.

        Args:
            generators: The members' sources of randomness; only those of started ones are drawn.
            where: Which members to start, shape ``[B]``.
            settings: For these episodes, in place of the batch's own.
            stagger: Draw how much of the episode is already over, so that ends spread in time.
        """
        if settings is not None:
            check_settings(settings, self.site)
        chosen = np.ones(self.batch_size, dtype=bool) if where is None else where
        for b in np.flatnonzero(chosen).tolist():
            self._draw(b, generators[b], settings or self.settings, stagger=stagger)
        self._rule.track(self._default, where=chosen)
        self._in_force = _merged(chosen, self._default, self._in_force)
        self._baseline = _merged(chosen, self._default, self._baseline)
        self._look()

    def _draw(
        self, b: int, generator: np.random.Generator, settings: EpisodeSettings, *, stagger: bool
    ) -> None:
        """Draw what is not fixed about member ``b``'s next episode and reset its plant to it."""
        weathers, days = self.plant.weathers, days_of(settings.days)
        drawn = weathers[int(generator.integers(len(weathers)))]
        weather = drawn if settings.weather is None else settings.weather
        day = days[int(generator.integers(len(days)))]
        hour = float(generator.uniform(0.0, 24.0)) if settings.any_hour else 0.0
        local_s = YEAR_START_S + day * DAY_S + np.floor(hour * _HOUR_S / STEP_S) * STEP_S
        drawn_s = local_s - load_weather(weather).utc_offset_h * _HOUR_S
        self.work_value[b] = generator.uniform(*settings.work_value)
        steps = math.ceil(settings.duration_s / STEP_S)
        self._rest_s[b] = STEP_S * (int(generator.integers(steps)) + 1 if stagger else steps)
        seeds = [0] * self.batch_size
        drawn_seed = int(generator.integers(2**63))
        seeds[b] = drawn_seed if settings.plant_seed is None else settings.plant_seed
        self.plant.reset(
            seeds,
            where=np.arange(self.batch_size) == b,
            start_time_s=drawn_s if settings.start_time_s is None else settings.start_time_s,
            randomise_ratio=settings.randomise_ratio,
            weather=weather,
            workload=None if settings.workload is None else load_profile(settings.workload),
            trace=settings.trace,
            faults=as_plan(settings.faults),
        )
        self._calls.start(
            b, settings.demand_response, utc_offset_h=load_weather(weather).utc_offset_h
        )

    def step(self, action: Action) -> Step:
        """Correct the rule by ``action`` (shapes ``[B, N, …]``, ``[B, …]``) for one period."""
        return self.command(decode(action, self.moment.baseline, self.limits))

    def command(self, asked: Setpoints) -> Step:
        """Ask for set points, whoever they come from, for one period."""
        shielded = project(
            asked,
            telemetry=self.moment.telemetry,
            in_force=self._in_force,
            layout=self.layout,
            limits=self.limits_now,
            dt_s=STEP_S,
        )
        self._in_force = self.plant.apply(shielded.setpoints).setpoints
        self.plant.advance(STEP_S)
        before = self._truth
        telemetry = self._look(advance_rule=True)
        reward = evaluate(
            before,
            telemetry,
            asked=asked,
            allowed=shielded.setpoints,
            layout=self.layout,
            limits=self.limits,
            work_value=self.work_value,
            weights=self._weights,
        )
        self._rest_s -= STEP_S
        return Step(
            reward=reward, asked=asked, shielded=shielded, over=np.asarray(self._rest_s <= 0.0)
        )

    def _look(self, *, advance_rule: bool = False) -> Telemetry:
        """Read the plant, encode for a policy, and return the true readings."""
        telemetry, self._truth = self.plant.read(), self.plant.read_truth()
        if advance_rule:
            self._baseline = self._rule.update(telemetry, dt_s=STEP_S)
        self._moment = Moment(
            telemetry=telemetry,
            baseline=self._baseline,
            observation=encode(
                telemetry,
                baseline=self._baseline,
                layout=self.layout,
                limits=self.limits_now,
                work_value=self.work_value,
            ),
        )
        return self._truth


def _merged(chosen: BoolArray, new: Setpoints, old: Setpoints) -> Setpoints:
    """Return ``new`` in the chosen members and ``old`` in the others."""
    rows = chosen[:, None]
    return Setpoints(
        power_cap_w=np.where(rows, new.power_cap_w, old.power_cap_w),
        sm_clock_max_mhz=np.where(rows, new.sm_clock_max_mhz, old.sm_clock_max_mhz),
        plant=np.where(rows, new.plant, old.plant),
    )
