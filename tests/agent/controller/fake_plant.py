"""A plant in memory that does as it is told, with time in the test's hands."""

import dataclasses

import numpy as np

from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.policy import Policy, RulePolicy
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.signals import PLANT_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from support.small_site import PLANT_READINGS, small_site, telemetry

LEVER_COUNT = len(PLANT_LEVERS)
NODE_OF_GROUP = ("node-1", "node-1", "node-2", "node-2")
SETTINGS = LoopSettings(
    work_value=1.0, policy_period_s=30.0, fast_period_s=1.0, trip_over_k=5.0, trip_after_s=120.0
)


class FakePlant:
    """Implements ``CommandedPlant`` over the small site."""

    def __init__(self) -> None:
        self._layout, self.limits = small_site()
        self.time_s = 1_000_000.0
        self.cap_w: FloatArray = np.full(4, 450.0)
        self.levers = {name: PLANT_READINGS[name] for name in list(PLANT_READINGS)[:4]}
        self.group: dict[str, float | FloatArray] = {}
        self.plant: dict[str, float] = {}
        self.age_s = 1.0
        self.groups_age_s: FloatArray | None = None
        self.applied: list[Setpoints] = []
        self.adjusted: list[Setpoints] = []
        self.leases_wanted: list[tuple[bool, bool]] = []
        self.obeys: BoolArray = np.ones(4, dtype=bool)
        self.leads = True
        self.overridden: dict[str, str] = {}

    @property
    def layout(self) -> Layout:
        return self._layout

    def read(self) -> Telemetry:
        groups: dict[str, float | FloatArray] = {"power_limit_w": self.cap_w, **self.group}
        seen = telemetry(
            group=groups,
            plant={**self.levers, **self.plant},
            time_s=self.time_s,
            age_s=self.age_s,
        )
        if self.groups_age_s is not None:
            seen = dataclasses.replace(seen, groups_age_s=self.groups_age_s)
        return seen

    def apply(self, setpoints: Setpoints) -> Applied:
        self.applied.append(setpoints)
        return self._take(setpoints)

    def adjust(self, setpoints: Setpoints) -> Applied:
        self.adjusted.append(setpoints)
        return self._take(setpoints)

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        self.leases_wanted.append((caps, setpoints))

    def narrow(self, limits: Limits) -> Limits:
        if self.obeys.all():
            return limits
        floor_w = np.where(self.obeys, limits.power_cap_min_w, self.cap_w)
        return dataclasses.replace(limits, power_cap_min_w=floor_w)

    def _take(self, setpoints: Setpoints) -> Applied:
        take = np.isfinite(setpoints.power_cap_w) & self.obeys
        self.cap_w = np.where(take, setpoints.power_cap_w, self.cap_w)
        for name in self.levers.keys() - self.overridden.keys():
            value = float(setpoints.plant[PLANT_COLUMN[name]])
            if np.isfinite(value):
                self.levers[name] = value
        plant = np.full(LEVER_COUNT, np.nan)
        for name, value in self.levers.items():
            plant[PLANT_COLUMN[name]] = value
        nothing = np.full(4, np.nan)
        return Applied(
            setpoints=Setpoints(power_cap_w=self.cap_w, sm_clock_max_mhz=nothing, plant=plant)
        )


class LoopBench:
    """A loop over the fake plant, with everything it decided."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        mode: Mode = Mode.AUTO,
        deadline_s: float = 5.0,
        wishes: Wishes | None = None,
    ) -> None:
        self.plant = FakePlant()
        self.records: list[DecisionRecord] = []
        loaded = LoadedPolicy(policy=RulePolicy(), name="rule")
        if policy is not None:
            loaded = LoadedPolicy(policy=policy, name="test", graph_sha256="0" * 64)
        self.budgets = Budgets(self.plant.layout, self.plant.limits)
        self.loop = ControlLoop(
            self.plant,
            runner=PolicyRunner(loaded, deadline_s=deadline_s),
            budgets=self.budgets,
            settings=SETTINGS,
            mode=mode,
            wishes=wishes or Wishes(),
            on_decision=self.records.append,
        )

    def mode(self) -> Mode:
        return self.loop.state.mode.mode

    def override(self, subject: str, value: float, *, for_s: float = 3600.0) -> None:
        """Let a person take a value in hand."""
        now_s = self.plant.time_s
        override = Override(
            subject=subject,
            value=value,
            start_time_s=now_s,
            end_time_s=now_s + for_s,
            who="operator",
            reason="a test",
        )
        self.loop.wish(self.loop.state.wishes.with_override(override))

    def decide(self, count: int = 1) -> None:
        """Let ``count`` policy periods pass, with a decision at the end of each."""
        for _ in range(count):
            self.plant.time_s += SETTINGS.policy_period_s
            self.loop.policy_tick()

    def guard(self, count: int = 1) -> None:
        """Let ``count`` fast periods pass, with a look at the end of each."""
        for _ in range(count):
            self.plant.time_s += SETTINGS.fast_period_s
            self.loop.fast_tick()
