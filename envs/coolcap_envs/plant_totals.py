"""Exact sums of energy, water, money and work of a batch of plants since their resets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.constants import JOULE_PER_KWH, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Exact sums since the last reset; arrays have the batch shape.

    Attributes:
        it_energy_kwh: Energy of the IT equipment.
        cooling_energy_kwh: Energy of fans, chiller, pumps and tower.
        facility_energy_kwh: Energy at the facility's meter.
        makeup_water_kg: Water drawn.
        pad_water_kg: Part of it, for the pads of dry coolers.
        dry_cooler_heat_kwh: Heat that dry coolers gave to the air.
        moisture_heat_kwh: Latent heat that make-up air brought; negative when it was dry.
        cost_usd: Price of the energy.
        carbon_kg: Emissions of the energy.
        work_gpu_h: Useful work done, reference GPU-hours.
        offered_gpu_h: Work offered.
        lost_gpu_h: Work given up.
        waiting_gpu_h: Work waiting now; offered = done + lost + waiting.
        stored_heat_kwh: Heat stored now above that at the reset: what cooling still owes.
        energy_residual_ratio: Error of the energy balance in the last step, of its energy.
    """

    it_energy_kwh: FloatArray
    cooling_energy_kwh: FloatArray
    facility_energy_kwh: FloatArray
    makeup_water_kg: FloatArray
    pad_water_kg: FloatArray
    dry_cooler_heat_kwh: FloatArray
    moisture_heat_kwh: FloatArray
    cost_usd: FloatArray
    carbon_kg: FloatArray
    work_gpu_h: FloatArray
    offered_gpu_h: FloatArray
    lost_gpu_h: FloatArray
    waiting_gpu_h: FloatArray
    stored_heat_kwh: FloatArray
    energy_residual_ratio: FloatArray


def totals_of(
    batch: Batch, *, gpu_count: NDArray[np.int64], heat_at_reset_j: FloatArray, is_single: bool
) -> Totals:
    """Return the sums of every plant.

    Args:
        batch: The plants.
        gpu_count: GPUs of each group, shape ``[N]``.
        heat_at_reset_j: Heat stored when the counters were at 0, shape ``[B]``.
        is_single: Whether to leave out the batch axis.
    """

    def shaped(values: FloatArray) -> FloatArray:
        return values[0, ...] if is_single else values

    def plant(name: str) -> FloatArray:
        return batch.get("plant", name)

    def of_groups(name: str, scale: FloatArray | float = 1.0) -> FloatArray:
        gpu_s: FloatArray = scale * batch.get("groups", name)
        return shaped(gpu_s.sum(axis=-1) / SECONDS_PER_HOUR)

    return Totals(
        it_energy_kwh=shaped(plant("it_energy_j") / JOULE_PER_KWH),
        cooling_energy_kwh=shaped(plant("cooling_energy_j") / JOULE_PER_KWH),
        facility_energy_kwh=shaped(plant("facility_energy_j") / JOULE_PER_KWH),
        makeup_water_kg=shaped(plant("makeup_water_kg")),
        pad_water_kg=shaped(plant("pad_water_kg")),
        dry_cooler_heat_kwh=shaped(plant("dry_cooler_heat_j") / JOULE_PER_KWH),
        moisture_heat_kwh=shaped(plant("moisture_heat_j") / JOULE_PER_KWH),
        cost_usd=shaped(plant("cost_usd")),
        carbon_kg=shaped(plant("carbon_g") / 1000.0),
        work_gpu_h=of_groups("work_gpu_s"),
        offered_gpu_h=of_groups("offered_gpu_s"),
        lost_gpu_h=of_groups("lost_gpu_s"),
        waiting_gpu_h=of_groups("backlog_s", gpu_count.astype(np.float64)),
        stored_heat_kwh=shaped((plant("stored_heat_j") - heat_at_reset_j) / JOULE_PER_KWH),
        energy_residual_ratio=shaped(plant("energy_residual_ratio")),
    )
