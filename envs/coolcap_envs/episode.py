"""Episodes: a batch of simulated sites, each under the feedback rule, the shield and a controller.

This is the one control step of simulation. Environments, rollouts of baselines and training all
call it; the controller daemon makes the same calls on real devices: decode around the rule,
project, apply, wait a period, read, advance the rule, encode.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np

from coolcap_envs.compiled.engine import Engine
from coolcap_envs.contract.action import Action, decode
from coolcap_envs.contract.levers import GROUP_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.observation import encode
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.demand_response import BudgetCalls
from coolcap_envs.episode_check import check_settings
from coolcap_envs.faults.plan import FaultPlan, as_plan
from coolcap_envs.moment import Moment, Step
from coolcap_envs.physics.hall import YEAR_START_S
from coolcap_envs.reward import WORK_VALUE_DEFAULT, Weights, evaluate
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import project
from coolcap_envs.safety.trim_respond import TrimRespond
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site
from coolcap_envs.weather import HOURS_PER_YEAR, load_weather
from coolcap_envs.workload.profile import load_profile

STEP_S: Final = 30.0
"""Control period: the policy's in production."""
DAY_S: Final = 86_400.0
_HOUR_S: Final = 3600.0
_CAP: Final = GROUP_LEVER_COLUMN["power_cap_w"]
Made = TypeVar("Made")


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


class Episodes:
    """A batch of episodes of one site, each with its own clock, weather, plant and randomness.

    Args:
        site: The site.
        batch_size: How many episodes run side by side.
        settings: What an episode is like, unless :meth:`start` is given others.
        weights: Of the reward.
        threads: Threads that share the batch; results are the same bit for bit.
        compiled: False makes every step out of the parts that production is made of, as is done
            anyway while faults, jobs over several groups or demand response are at work.
    """

    def __init__(
        self,
        site: Site,
        *,
        batch_size: int,
        settings: EpisodeSettings = EpisodeSettings(),
        weights: Weights = Weights(),  # noqa: B008  frozen
        threads: int = 1,
        compiled: bool = True,
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
        self._engine = self.plant.engine(weights, threads=threads)
        self._may_compile = compiled
        self._by_engine = False
        self._epoch = 0
        self._truth: Telemetry | None = None
        self._moment: Moment | None = None

    @property
    def engine(self) -> Engine:
        """Return what makes compiled steps, for measurements."""
        return self._engine

    @property
    def moment(self) -> Moment:
        """Return what is known now; :meth:`start` must have been called."""
        if self._moment is None:
            raise RuntimeError("no episode is running: call start() first")
        return self._moment

    @property
    def truth(self) -> Telemetry:
        """Return the readings now without noise."""
        if self._truth is None:
            self._truth = self.plant.read_truth()
        return self._truth

    @property
    def limits_now(self) -> Limits:
        """Return the site's limits with the budgets that demand response allows now."""
        return self._calls.limits(self.plant.time_s)

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
        self._draw(chosen, generators, settings or self.settings, stagger=stagger)
        self._hand_over()
        if self._by_engine:
            self._engine.set_rule(self._default, self.work_value, where=chosen)
        else:
            self._rule.track(self._default, where=chosen)
            self._in_force = _merged(chosen, self._default, self._in_force)
            self._baseline = _merged(chosen, self._default, self._baseline)
        self._look()

    def _hand_over(self) -> None:
        """Let the engine take the steps if it can, or the parts if it cannot; the rule goes on."""
        by_engine = (
            self._may_compile
            and self.plant.is_undisturbed
            and self._engine.can_step
            and not self._calls.in_use
        )
        if by_engine and not self._by_engine:
            self._engine.set_rule(self._baseline, self.work_value)
            self._engine.look()
        if self._by_engine and not by_engine:
            self._baseline = self._engine.baseline()
            self._in_force = self.plant.in_force
            self._rule.track(self._baseline)
        self._by_engine = by_engine

    def _draw(
        self,
        chosen: BoolArray,
        generators: Sequence[np.random.Generator],
        settings: EpisodeSettings,
        *,
        stagger: bool,
    ) -> None:
        """Draw what is not fixed about the next episodes and reset their plants to it."""
        years, days = self.plant.weathers, days_of(settings.days)
        steps = math.ceil(settings.duration_s / STEP_S)
        seeds, starts_s = [0] * self.batch_size, np.zeros(self.batch_size)
        weathers = [settings.weather or years[0]] * self.batch_size
        for b in np.flatnonzero(chosen).tolist():
            generator = generators[b]
            year = years[int(generator.integers(len(years)))]
            weathers[b] = year if settings.weather is None else settings.weather
            day = days[int(generator.integers(len(days)))]
            hour = float(generator.uniform(0.0, 24.0)) if settings.any_hour else 0.0
            local_s = YEAR_START_S + day * DAY_S + np.floor(hour * _HOUR_S / STEP_S) * STEP_S
            starts_s[b] = local_s - load_weather(weathers[b]).utc_offset_h * _HOUR_S
            self.work_value[b] = generator.uniform(*settings.work_value)
            self._rest_s[b] = STEP_S * (int(generator.integers(steps)) + 1 if stagger else steps)
            seed = int(generator.integers(2**63))
            seeds[b] = seed if settings.plant_seed is None else settings.plant_seed
        if settings.start_time_s is not None:
            starts_s[:] = settings.start_time_s
        self.plant.reset(
            seeds,
            where=chosen,
            start_time_s=starts_s,
            randomise_ratio=settings.randomise_ratio,
            weather=weathers,
            workload=None if settings.workload is None else load_profile(settings.workload),
            trace=settings.trace,
            faults=as_plan(settings.faults),
        )
        for b in np.flatnonzero(chosen).tolist():
            self._calls.start(
                b, settings.demand_response, utc_offset_h=load_weather(weathers[b]).utc_offset_h
            )

    def step(self, action: Action) -> Step:
        """Correct the rule by ``action`` (shapes ``[B, N, …]``, ``[B, …]``) for one period."""
        self._hand_over()
        if self._by_engine:
            return self._compiled_step(action.groups[..., _CAP], action.plant, is_action=True)
        return self._step_of_parts(decode(action, self.moment.baseline, self.limits))

    def command(self, asked: Setpoints) -> Step:
        """Ask for set points, whoever they come from, for one period."""
        self._hand_over()
        if self._by_engine and not np.isfinite(asked.sm_clock_max_mhz).any():
            return self._compiled_step(asked.power_cap_w, asked.plant, is_action=False)
        return self._step_of_parts(asked)

    def _compiled_step(self, groups: FloatArray, plant: FloatArray, *, is_action: bool) -> Step:
        self._engine.step(groups, plant, is_action=is_action)
        self._look(has_moved=True)
        self._rest_s -= STEP_S
        return Step(
            reward=self._engine.reward(),
            over=np.asarray(self._rest_s <= 0.0),
            shielded_count=self._engine.shielded_count(),
            asked=self._of_now(self._engine.asked),
            shielded=self._of_now(self._engine.shielded),
        )

    def _step_of_parts(self, asked: Setpoints) -> Step:
        before = self.truth
        shielded = project(
            asked,
            telemetry=self.moment.telemetry,
            in_force=self.plant.in_force if self._by_engine else self._in_force,
            layout=self.layout,
            limits=self.limits_now,
            dt_s=STEP_S,
        )
        self._in_force = self.plant.apply(shielded.setpoints).setpoints
        self.plant.advance(STEP_S)
        self._look(has_moved=True)
        reward = evaluate(
            before,
            self.truth,
            asked=asked,
            allowed=shielded.setpoints,
            layout=self.layout,
            limits=self.limits,
            work_value=self.work_value,
            weights=self._weights,
        )
        self._rest_s -= STEP_S
        changed = (shielded.group_reasons != 0).sum(axis=-1)
        return Step(
            reward=reward,
            over=np.asarray(self._rest_s <= 0.0),
            shielded_count=changed + (shielded.plant_reasons != 0).sum(axis=-1),
            asked=lambda: asked,
            shielded=lambda: shielded,
        )

    def _look(self, *, has_moved: bool = False) -> None:
        """Read the plant, move the rule if time has passed, and encode for a policy."""
        self._epoch += 1
        self._truth = None
        if self._by_engine:
            if not has_moved:
                self._engine.look()
            engine = self._engine
            self._moment = Moment(
                telemetry=self._of_now(engine.telemetry),
                baseline=self._of_now(engine.baseline),
                observation=self._of_now(engine.observation),
                arrays=engine.outputs,
            )
            return
        telemetry = self.plant.read()
        if has_moved:
            self._baseline = self._rule.update(telemetry, dt_s=STEP_S)
        observation = encode(
            telemetry,
            baseline=self._baseline,
            layout=self.layout,
            limits=self.limits_now,
            work_value=self.work_value,
        )
        baseline = self._baseline
        self._moment = Moment(
            telemetry=lambda: telemetry,
            baseline=lambda: baseline,
            observation=lambda: observation,
        )

    def _of_now(self, make: Callable[[], Made]) -> Callable[[], Made]:
        """Return ``make`` so that it fails after the next step, instead of giving what is new."""
        epoch = self._epoch

        def made() -> Made:
            if self._epoch != epoch:
                raise RuntimeError(
                    "this moment has passed: ask for its telemetry, rule, observation and shielded "
                    "setpoints before the next step or start"
                )
            return make()

        return made


def _merged(chosen: BoolArray, new: Setpoints, old: Setpoints) -> Setpoints:
    """Return ``new`` in the chosen members and ``old`` in the others."""
    rows = chosen[:, None]
    return Setpoints(
        power_cap_w=np.where(rows, new.power_cap_w, old.power_cap_w),
        sm_clock_max_mhz=np.where(rows, new.sm_clock_max_mhz, old.sm_clock_max_mhz),
        plant=np.where(rows, new.plant, old.plant),
    )
