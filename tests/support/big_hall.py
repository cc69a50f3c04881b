"""A hall of thousands of GPUs in memory, decided by the real loop, for loads on the log."""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings, LoopState
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_envs.contract.config import Table, site_path
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.policy import RulePolicy
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import SIMULATION_TABLE, read_site_limits
from support.small_site import PLANT_READINGS, without_budgets

START_S: Final = 1_767_571_200.0
POLICY_PERIOD_S: Final = 30.0
GPUS_PER_NODE: Final = 8


def big_site(node_count: int) -> tuple[Layout, Limits]:
    """Return the shipped hall of air-cooled servers with another number of them."""
    text = site_path("air-1mw").read_text(encoding="utf-8")
    text = text.replace("count = 128", f"count = {node_count}", 1)
    text = text.replace('"node-{:03d}"', '"node-{:04d}"', 1)
    root = Table(tomllib.loads(text), path="", problems=[])
    root.take_table(SIMULATION_TABLE, needed=False)
    layout, limits = read_site_limits(root)
    assert not root.problems, root.problems
    return layout, without_budgets(limits)


class BigHall:
    """Implements ``CommandedPlant``; readings wander, counters rise with the powers."""

    def __init__(self, node_count: int) -> None:
        self._layout, self.limits = big_site(node_count)
        self._rng = np.random.default_rng(1)
        gpu_count = int(self._layout.gpu_count.sum())
        self.leads = True
        self.overridden: Mapping[str, str] = {}
        self.time_s = START_S
        self._cap_w = self._layout.power_limit_default_w.copy()
        self._load = self._rng.uniform(0.4, 1.0, gpu_count)
        self._gpus = np.zeros((gpu_count, len(GROUP_SIGNALS)))
        self._plant = np.full(len(PLANT_SIGNALS), np.nan)
        for name, value in PLANT_READINGS.items():
            self._plant[PLANT_COLUMN[name]] = value
        self._first = np.concatenate([[0], np.cumsum(self._layout.gpu_count)[:-1]])
        self.advance(1.0)

    @property
    def layout(self) -> Layout:
        return self._layout

    def gpus(self) -> FloatArray:
        return self._gpus

    def advance(self, span_s: float) -> None:
        """Let time pass."""
        self.time_s += span_s
        noise = self._rng.normal(0.0, 0.01, self._load.shape)
        self._load = np.clip(self._load + noise, 0.3, 1.0)
        cap_w = np.repeat(self._cap_w, self._layout.gpu_count)
        power_w = np.minimum(cap_w, 700.0 * self._load)
        server_w = power_w + 170.0
        hours = span_s / 3600.0
        values = {
            "gpu_power_w": power_w,
            "it_power_w": server_w,
            "power_limit_w": cap_w,
            "sm_clock_mhz": 1980.0 * power_w / 700.0,
            "gpu_util_ratio": self._load,
            "mem_util_ratio": 0.6 * self._load,
            "gpu_temp_c": 30.0 + power_w / 16.0,
            "hbm_temp_c": 36.0 + power_w / 15.0,
            "inlet_temp_c": np.full_like(power_w, 22.0),
            "work_rate_ratio": power_w / 700.0,
            "training_ratio": np.ones_like(power_w),
        }
        for name, value in values.items():
            self._gpus[:, GROUP_COLUMN[name]] = value
        self._gpus[:, GROUP_COLUMN["it_energy_kwh"]] += server_w / 1000.0 * hours
        self._gpus[:, GROUP_COLUMN["work_gpu_h"]] += power_w / 700.0 * hours
        it_w = float(server_w.sum())
        plant = {"it_power_w": it_w, "facility_power_w": 1.3 * it_w, "inlet_temp_max_c": 22.4}
        for name, number in plant.items():
            self._plant[PLANT_COLUMN[name]] = number
        for name, ratio in (("it", 1.0), ("cooling", 0.25), ("facility", 1.3)):
            column = PLANT_COLUMN[f"{name}_energy_kwh"]
            before = np.nan_to_num(self._plant[column])
            self._plant[column] = before + ratio * it_w / 1000.0 * hours

    def read(self) -> Telemetry:
        groups = np.empty((self._layout.group_count, len(GROUP_SIGNALS)))
        for column, signal in enumerate(GROUP_SIGNALS):
            reduce = np.maximum if signal.aggregation == "max" else np.add
            groups[:, column] = reduce.reduceat(self._gpus[:, column], self._first)
            if signal.aggregation == "mean":
                groups[:, column] /= self._layout.gpu_count
        return Telemetry(
            time_s=np.array(self.time_s),
            groups=groups,
            plant=self._plant.copy(),
            groups_age_s=np.full(self._layout.group_count, 0.5),
            plant_age_s=np.full(len(PLANT_SIGNALS), 0.5),
        )

    def apply(self, setpoints: Setpoints) -> Applied:
        take = np.isfinite(setpoints.power_cap_w)
        self._cap_w = np.where(take, setpoints.power_cap_w, self._cap_w)
        return Applied(setpoints=dataclasses.replace(setpoints, power_cap_w=self._cap_w))

    def adjust(self, setpoints: Setpoints) -> Applied:
        return self.apply(setpoints)

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """There are none."""

    def narrow(self, limits: Limits) -> Limits:
        return limits


def big_loop(
    hall: BigHall, *, on_decision: Callable[[DecisionRecord], None] = lambda record: None
) -> ControlLoop:
    """Return the real loop over a hall, under the rule."""
    return ControlLoop(
        hall,
        runner=PolicyRunner(LoadedPolicy(policy=RulePolicy(), name="rule"), deadline_s=5.0),
        budgets=Budgets(hall.layout, hall.limits),
        settings=LoopSettings(
            work_value=1.0,
            policy_period_s=POLICY_PERIOD_S,
            fast_period_s=1.0,
            trip_over_k=5.0,
            trip_after_s=300.0,
        ),
        mode=Mode.AUTO,
        on_decision=on_decision,
    )


def tick(hall: BigHall, loop: ControlLoop, number: int) -> LoopState:
    """Let a second pass; with each ``POLICY_PERIOD_S`` the loop decides.

    Between decisions only the readings are new: what the loop does then is not what is measured.
    """
    hall.advance(1.0)
    if number % int(POLICY_PERIOD_S) == 0:
        loop.policy_tick()
        return loop.state
    return dataclasses.replace(loop.state, telemetry=hall.read())
