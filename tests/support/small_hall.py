"""A shared hall of the small site, and a plant of it that is easy to calculate by hand."""

import dataclasses
from pathlib import Path

import numpy as np

from coolcap_agent.sim.fan_out import FanOut, hardware_of
from coolcap_agent.sim.hall_create import create_hall
from coolcap_agent.sim.hall_file import HallFile
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from support.small_site import small_site, telemetry

J_PER_KWH = 3.6e6
START_S = 1_000_000.0
DEMAND_W = 400.0  # what a GPU draws unless it is capped
SERVER_RATIO = 1.2  # server input power over GPU power
COOLING_RATIO = 0.25  # cooling power over IT power


class SmallPlant:
    """A plant without dynamics: a GPU draws its demand or its cap, servers and cooling in ratio."""

    def __init__(self, layout: Layout, limits: Limits) -> None:
        self._layout, self.limits = layout, limits
        self._time_s = START_S
        self._cap_w = self._layout.power_limit_default_w.copy()
        self._levers = self.limits.lever_default.copy()
        self._it_energy_kwh = np.ones(self._layout.group_count)
        self._work_gpu_h = np.ones(self._layout.group_count)
        self._cooling_energy_kwh = 2.0
        self.inlet_temp_c = 22.0
        self.asked: list[Setpoints] = []
        self.available: list[dict[str, float]] = []

    @property
    def layout(self) -> Layout:
        return self._layout

    def apply(self, setpoints: Setpoints) -> Applied:
        self.asked.append(setpoints)
        self._cap_w = np.where(np.isnan(setpoints.power_cap_w), self._cap_w, setpoints.power_cap_w)
        self._levers = np.where(np.isnan(setpoints.plant), self._levers, setpoints.plant)
        return Applied(setpoints=setpoints)

    @property
    def _gpu_power_w(self) -> FloatArray:
        return np.minimum(self._cap_w, DEMAND_W)

    @property
    def _it_power_w(self) -> FloatArray:
        return SERVER_RATIO * self._layout.gpu_count * self._gpu_power_w

    def advance(self, dt_s: float) -> None:
        it_power_w = self._it_power_w
        self._it_energy_kwh = self._it_energy_kwh + it_power_w * dt_s / J_PER_KWH
        cooling_w = COOLING_RATIO * float(it_power_w.sum())
        self._cooling_energy_kwh += cooling_w * dt_s / J_PER_KWH
        work_rate = self._layout.gpu_count * self._gpu_power_w / DEMAND_W
        self._work_gpu_h = self._work_gpu_h + work_rate * dt_s / 3600.0
        self._time_s += dt_s

    def set_available(self, *, crah: float, chiller: float, tower: float, pump: float) -> None:
        ratios = {"crah": crah, "chiller": chiller, "tower": tower, "pump": pump}
        self.available.append(ratios)

    def read_truth(self) -> Telemetry:
        return self.read()

    def read(self) -> Telemetry:
        it_power_w = self._it_power_w
        it_energy_kwh = float(self._it_energy_kwh.sum())
        now = telemetry(
            time_s=self._time_s,
            age_s=0.0,
            group_count=self._layout.group_count,
            group={"inlet_temp_c": self.inlet_temp_c},
            plant={
                "it_power_w": float(it_power_w.sum()),
                "it_energy_kwh": it_energy_kwh,
                "cooling_energy_kwh": self._cooling_energy_kwh,
                "facility_energy_kwh": it_energy_kwh + self._cooling_energy_kwh,
                "inlet_temp_max_c": self.inlet_temp_c,
            },
        )
        for name, values in (
            ("gpu_power_w", self._gpu_power_w),
            ("it_power_w", it_power_w),
            ("power_limit_w", self._cap_w),
            ("sm_clock_mhz", self._layout.sm_clock_max_mhz * self._gpu_power_w / DEMAND_W),
            ("work_rate_ratio", self._gpu_power_w / DEMAND_W),
            ("it_energy_kwh", self._it_energy_kwh),
            ("work_gpu_h", self._work_gpu_h),
        ):
            now.groups[:, GROUP_COLUMN[name]] = values
        for k, lever in enumerate(PLANT_LEVERS):
            now.plant[PLANT_COLUMN[lever.name]] = self._levers[k]
        return now


@dataclasses.dataclass
class SmallHall:
    """A shared hall in a test's own hands: no host, frames come when the test says so."""

    path: Path
    hall: HallFile
    plant: SmallPlant
    fan_out: FanOut

    @classmethod
    def create(cls, path: Path, site: tuple[Layout, Limits] | None = None) -> "SmallHall":
        plant = SmallPlant(*(site or small_site()))
        hardware = hardware_of(plant.layout, plant.limits)
        fan_out = FanOut(plant.layout, hardware)
        first = fan_out.frame(plant.read(), None)
        hall = create_hall(path, hardware, first, policy_period_s=30.0)
        return cls(path=path, hall=hall, plant=plant, fan_out=fan_out)

    def advance(self, duration_s: float) -> None:
        self.plant.apply(self.fan_out.setpoints(self.hall))
        self.plant.advance(duration_s)
        self.hall.publish(self.fan_out.frame(self.plant.read(), self.hall))
