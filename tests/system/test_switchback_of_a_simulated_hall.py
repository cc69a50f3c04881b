"""A switchback on a simulated hall: the real loop, the real log, the report on it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings, LoopState
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.switchback import Plan
from coolcap_agent.controller.wishes import Wishes
from coolcap_agent.savings.log import read_files
from coolcap_agent.savings.report import MAIN, Report, make_report
from coolcap_agent.sink.file import FileSink
from coolcap_agent.telemetry_log.recorder import Recorder
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.policy import Policy
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.limits import Limits
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site

PERIOD_S = 30.0
BLOCK_S = 7200.0
START_S = 1_752_537_600.0
"""2025-07-15 00:00 UTC."""


class SimulatedHall:
    """Implements ``CommandedPlant`` over the physics, without a network between."""

    leads = True
    overridden: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.plant = SimulatedPlant(load_site("lab-16"), seed=4)
        self.plant.reset(4, start_time_s=START_S)

    @property
    def layout(self) -> Layout:
        return self.plant.layout

    def read(self) -> Telemetry:
        return self.plant.read()

    def apply(self, setpoints: Setpoints) -> Applied:
        return self.plant.apply(setpoints)

    def adjust(self, setpoints: Setpoints) -> Applied:
        return self.plant.apply(setpoints)

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        return

    def narrow(self, limits: Limits) -> Limits:
        return limits


class LowerCaps:
    """Asks for lower caps than the rule's and leaves the cooling alone."""

    name = "lower caps"

    def act(self, observation: Observation) -> Action:
        neutral = Action.neutral(*observation.groups.shape[:-1])
        return Action(groups=neutral.groups - 1.0, plant=neutral.plant)


class Idle:
    """Never corrects the rule."""

    name = "idle"

    def act(self, observation: Observation) -> Action:
        return Action.neutral(*observation.groups.shape[:-1])


def run(folder: Path, policy: Policy, *, pair_count: int) -> Report:
    """Let the hall run through a switchback and make the report of what was logged."""
    hall = SimulatedHall()
    plan = Plan(
        start_time_s=START_S, block_s=BLOCK_S, washout_s=1800.0, pair_count=pair_count, seed=2
    )
    sink = FileSink(folder / "telemetry.lp")
    recorder = Recorder(hall.layout, [sink])

    def record(state: LoopState) -> None:
        recorder.record(state)

    loop = ControlLoop(
        hall,
        runner=PolicyRunner(
            LoadedPolicy(policy=policy, name=policy.name, graph_sha256="0" * 64), deadline_s=10.0
        ),
        budgets=Budgets(hall.layout, hall.plant.limits),
        settings=LoopSettings(
            work_value=1.0,
            policy_period_s=PERIOD_S,
            fast_period_s=1.0,
            trip_over_k=20.0,
            trip_after_s=3600.0,
        ),
        mode=Mode.AUTO,
        wishes=Wishes(switchback=plan),
        after_tick=record,
    )
    for _ in range(round((plan.end_time_s - START_S) / PERIOD_S) + 1):
        loop.policy_tick()
        hall.plant.advance(PERIOD_S)
    sink.close()
    site, log = read_files([folder / "telemetry.lp"])
    return make_report(site, log)


@pytest.mark.slow
def test_saving_of_lower_caps_is_found_among_weather_and_work_that_change(tmp_path: Path) -> None:
    report = run(tmp_path, LowerCaps(), pair_count=10)

    assert [block.problem for block in report.blocks] == [""] * 20
    assert report.refusals == ()
    assert report.relative[MAIN].high < 0.0
    assert "less facility energy per unit of work" in report.claim


@pytest.mark.slow
def test_policy_that_does_what_the_rule_does_saves_nothing(tmp_path: Path) -> None:
    report = run(tmp_path, Idle(), pair_count=6)

    assert report.refusals
    assert report.relative[MAIN].count == 6
