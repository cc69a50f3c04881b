"""Plants that are equal but for their set points, and what they use by the hour."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site


def twins(
    site: Site, levers: FloatArray, *, weather: str, seed: int, start_time_s: float
) -> SimulatedPlant:
    """Return plants with equal demand, weather and units that differ in set points only.

    Args:
        site: The site.
        levers: Set points of each plant, shape ``[B, levers]``.
        weather: Name of the weather year.
        seed: Of all of them.
        start_time_s: UTC.
    """
    count = len(levers)
    plant = SimulatedPlant(site, batch_size=count)
    plant.reset([seed] * count, weather=weather, start_time_s=start_time_s)
    command(site, plant, levers)
    return plant


def command(site: Site, plant: SimulatedPlant, levers: FloatArray) -> None:
    """Command set points with caps at their highest.

    Raises:
        RuntimeError: If the plant refuses any, for a check would then compare something else.
    """
    caps = np.broadcast_to(
        site.layout.power_limit_max_w, (len(levers), site.layout.group_count)
    ).copy()
    applied = plant.apply(
        Setpoints(power_cap_w=caps, sm_clock_max_mhz=np.full_like(caps, np.nan), plant=levers)
    )
    if applied.refusals:
        raise RuntimeError(f"{site.name} refused set points: {applied.refusals[0]}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hours:
    """What each twin used in each hour; arrays have shape ``[hours, twins]``."""

    it_kwh: FloatArray
    cooling_kwh: FloatArray
    facility_kwh: FloatArray
    stored_kwh: FloatArray
    water_kg: FloatArray
    loss_kwh: FloatArray
    inlet_max_c: FloatArray
    approach_min_k: FloatArray
    gpu_max_c: FloatArray

    @property
    def owed_kwh(self) -> FloatArray:
        """Return facility energy with heat left in store at the price of the hour's cooling."""
        return self.facility_kwh + self.stored_kwh * self.cooling_kwh / self.it_kwh


class Meter:
    """Reads a plant over an hour."""

    def __init__(self, plant: SimulatedPlant) -> None:
        self._plant = plant
        self._before = plant.totals()
        count = self._before.it_energy_kwh.size
        self._inlet_c = np.full(count, -np.inf)
        self._approach_k = np.full(count, np.inf)
        self._gpu_c = np.full(count, -np.inf)
        self._loss_share: list[FloatArray] = []

    def note(self, truth: Telemetry) -> None:
        """Take in the state at the end of a step."""
        self._inlet_c = np.fmax(self._inlet_c, truth.of_plant("inlet_temp_max_c"))
        approach_k = truth.of_plant("cw_supply_temp_c") - truth.of_plant("wet_bulb_temp_c")
        self._approach_k = np.fmin(self._approach_k, approach_k)
        self._gpu_c = np.fmax(self._gpu_c, truth.group("gpu_temp_c").max(axis=-1))
        self._loss_share.append(truth.of_plant("loss_power_w") / truth.of_plant("it_power_w"))

    def read(self) -> FloatArray:
        """Return the hour's numbers in the order of ``Hours``, shape ``[numbers, twins]``."""
        after, before = self._plant.totals(), self._before
        it_kwh = after.it_energy_kwh - before.it_energy_kwh
        return np.stack(
            [
                it_kwh,
                after.cooling_energy_kwh - before.cooling_energy_kwh,
                after.facility_energy_kwh - before.facility_energy_kwh,
                after.stored_heat_kwh - before.stored_heat_kwh,
                after.makeup_water_kg - before.makeup_water_kg,
                it_kwh * np.mean(self._loss_share, axis=0),
                self._inlet_c,
                self._approach_k,
                self._gpu_c,
            ]
        )


def stacked(rows: Sequence[FloatArray]) -> Hours:
    """Return hours from what a :class:`Meter` read in each."""
    it, cooling, facility, stored, water, loss, inlet, approach, gpu = np.stack(rows, axis=1)
    return Hours(
        it_kwh=it,
        cooling_kwh=cooling,
        facility_kwh=facility,
        stored_kwh=stored,
        water_kg=water,
        loss_kwh=loss,
        inlet_max_c=inlet,
        approach_min_k=approach,
        gpu_max_c=gpu,
    )


def joined(parts: Sequence[Hours]) -> Hours:
    """Return the hours of several days, one after the other."""
    names = Hours.__dataclass_fields__
    return Hours(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
