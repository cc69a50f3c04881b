"""Simulated plants held at chosen inputs, for tests of the physics."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coolcap_envs.physics import hall
from coolcap_envs.physics.batch import Batch
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site

TRAINING, PREFILL, DECODE, MEMORY_BOUND = range(4)


class Fields:
    """A table of the only plant of a batch by field: a number, or one per group."""

    def __init__(self, batch: Batch, table: str) -> None:
        self._batch, self._table = batch, table

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        value: NDArray[np.float64] = self._batch.get(self._table, name)[0]
        return value

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self._batch.set(self._table, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self._batch, self._table).dtype.names)


class HeldPlant:
    """One plant of a shipped site whose weather, demand and setpoints a test holds constant."""

    def __init__(self, site: str = "lab-16", *, seed: int = 0) -> None:
        self.site = load_site(site)
        plant = SimulatedPlant(self.site, seed=seed)
        self.batch: Batch = plant._batch.take(np.array([0]))
        self.batch.hourly[:] = self.batch.hourly[self.batch.series[0, 0]][0]
        self.worst_residual = 0.0
        self.hold(
            supply_air_setpoint_c=20.0,
            chw_setpoint_c=10.0,
            cw_setpoint_c=24.0,
            air_flow_setpoint_ratio=1.0,
        )
        self.hold_groups(
            power_cap_w=700.0, clock_max_ratio=1.0, demand_ratio=1.0, work_class=TRAINING
        )
        self.hold_outside(wet_bulb_c=10.0)

    @property
    def plant(self) -> Fields:
        return Fields(self.batch, "plant")

    @property
    def groups(self) -> Fields:
        return Fields(self.batch, "groups")

    def hold(self, **inputs: float) -> None:
        for name, value in inputs.items():
            self.batch.set("inputs", name, value)

    def hold_groups(self, **inputs: float) -> None:
        for name, value in inputs.items():
            self.batch.set("group_inputs", name, value)

    def hold_outside(self, *, wet_bulb_c: float) -> None:
        self.batch.hourly[:, :, 0] = wet_bulb_c + 5.0
        self.batch.hourly[:, :, 1] = wet_bulb_c

    def advance(self, hours: float) -> "HeldPlant":
        for _ in range(round(hours * 120)):
            hall.advance(self.batch, substeps=6)
            residual = abs(float(self.plant["energy_residual_ratio"]))
            self.worst_residual = max(self.worst_residual, residual)
        return self
