"""From a site to the rows of parameters that one simulated plant runs with.

A row is drawn per episode: units of one GPU model differ, and at ``randomise_ratio`` above 0 so
does everything the site file lists under ``[simulation.randomisation]``.
"""

from typing import Final

import numpy as np

from coolcap_envs.physics.constants import PG25_SPECIFIC_HEAT_J_PER_KG_K
from coolcap_envs.physics.gpu import decay_per_substep, slope_above_knee
from coolcap_envs.physics.parameters import CLASS_PARAMETERS, WORKLOAD_CLASSES
from coolcap_envs.physics.records import (
    CLASS_DTYPE,
    GROUP_PARAMETER_DTYPE,
    MODEL_DTYPE,
    PLANT_PARAMETER_DTYPE,
    SUBSTEP_S,
    Records,
)
from coolcap_envs.physics.server import lag_ratio
from coolcap_envs.site import Site

_BELOW_SUBSTEP: Final = ("device_overshoot_ratio", "device_overshoot_s")
"""What a GPU does within a substep, which the plant does not see."""
_CLIFF_MIN_W: Final = 1e-3
"""Narrowest cliff, for a model without one."""
_SPREAD_MAX: Final = 3.0
"""Units further from the nominal one than this many standard deviations fail acceptance."""


class ParameterTemplates:
    """The nominal rows of a site, and the drawing of rows around them."""

    def __init__(self, site: Site) -> None:
        layout = site.layout
        self.plant = np.zeros((), PLANT_PARAMETER_DTYPE)
        for field, value in site.parameters.items():
            self.plant[field] = value
        names = list(site.gpu_models)
        self.models = np.zeros(len(names), MODEL_DTYPE)
        self.classes = np.zeros((len(names), len(WORKLOAD_CLASSES)), CLASS_DTYPE)
        spreads = np.zeros((len(names), 2))
        cliffs: list[tuple[float, float]] = []
        for m, name in enumerate(names):
            model = site.gpu_models[name]
            device = dict(model.device)
            for name_below in _BELOW_SUBSTEP:
                device.pop(name_below)
            cliff = device.pop("device_cliff_cap_ratio"), device.pop("device_cliff_clock_ratio")
            cliffs.append((cliff[0], 1.0 - cliff[1]))
            spreads[m] = (
                device.pop("device_power_spread_ratio"),
                device.pop("device_resistance_spread_ratio"),
            )
            for field, value in {**site.servers[name], **device}.items():
                self.models[m][field] = value
            for k, work in enumerate(WORKLOAD_CLASSES):
                for p in CLASS_PARAMETERS:
                    self.classes[m, k][p.name] = model.classes[work][p.name]
        self.groups = np.zeros(layout.group_count, GROUP_PARAMETER_DTYPE)
        self.model_of = np.array([names.index(name) for name in layout.gpu_models], dtype=np.int64)
        self.groups["gpu_count"] = layout.gpu_count
        self.groups["sm_clock_max_mhz"] = layout.sm_clock_max_mhz
        start, lost = np.array(cliffs)[self.model_of].T
        self.groups["cliff_cap_w"] = start * layout.power_limit_min_w
        width_w = np.maximum((start - 1.0) * layout.power_limit_min_w, _CLIFF_MIN_W)
        self.groups["cliff_slope_per_w"] = lost / width_w
        self._gpus = float(layout.gpu_count.sum())
        self._first_unit = np.concatenate([[0], np.cumsum(layout.gpu_count)[:-1]])
        self._unit_spreads = np.repeat(spreads[self.model_of], layout.gpu_count, axis=0)
        self._ranges = tuple(site.randomisation.items())

    def draw(
        self, rng: np.random.Generator, randomise_ratio: float
    ) -> tuple[Records, Records, Records, Records]:
        """Return rows of plant, groups, models and classes for one plant.

        The same generator state gives the same units whatever the ratio, so that a randomised
        plant can be compared with its nominal twin.

        Args:
            rng: Source of randomness.
            randomise_ratio: 0 for the nominal site, 1 for its full ranges, in between a part.
        """
        plant, groups = self.plant.copy(), self.groups.copy()
        models, classes = self.models.copy(), self.classes.copy()
        for name, (low, high) in self._ranges:
            factor = 1.0 + randomise_ratio * (rng.uniform(low, high) - 1.0)
            table, _, field = name.partition(".")
            if table == "class":
                classes[field] *= factor
            elif table in ("server", "device"):
                models[f"{table}_{field}"] *= factor
            else:
                plant[f"{table}_{field}"] *= factor
        _keep_possible(plant, classes)
        _derive(plant, models, classes, gpus=self._gpus)
        z = np.clip(rng.standard_normal(self._unit_spreads.shape), -_SPREAD_MAX, _SPREAD_MAX)
        power, rise = (1.0 + z * self._unit_spreads).T
        groups["power_ratio"] = np.add.reduceat(power, self._first_unit) / groups["gpu_count"]
        groups["pace_power_ratio"] = np.maximum.reduceat(power, self._first_unit)
        groups["hot_ratio"] = np.maximum.reduceat(rise, self._first_unit)
        groups["recirculation_ratio"] = rng.uniform(
            plant["hall_recirculation_low_ratio"],
            plant["hall_recirculation_high_ratio"],
            groups.shape,
        )
        return plant, groups, models, classes


def _keep_possible(plant: Records, classes: Records) -> None:
    """Bound randomised numbers where a law needs it."""
    plant["chiller_cop_max"] = min(float(plant["chiller_cop_max"]), 18.0)
    plant["dry_cooler_pad_effectiveness"] = min(float(plant["dry_cooler_pad_effectiveness"]), 0.95)
    plant["economizer_effectiveness"] = min(float(plant["economizer_effectiveness"]), 0.95)
    low, high = plant["hall_recirculation_low_ratio"], plant["hall_recirculation_high_ratio"]
    plant["hall_recirculation_high_ratio"] = max(float(high), float(low))
    # Power at the knee must stay below power at the highest clock.
    room = 0.98 - classes["slope_low"] * classes["power_knee_clock_ratio"]
    classes["fixed_share"] = np.minimum(classes["fixed_share"], np.maximum(room, 0.0))


def _derive(plant: Records, models: Records, classes: Records, *, gpus: float) -> None:
    """Fill the fields that follow from the others."""
    coolant = float(plant["cdu_flow_design_kg_per_s"]) * PG25_SPECIFIC_HEAT_J_PER_KG_K / gpus
    for m in models:
        tau_s, r = m["device_die_time_constant_s"], m["device_die_sink_resistance_k_per_w"]
        m["die_decay"] = decay_per_substep(time_constant_s=float(tau_s), dt_s=SUBSTEP_S)
        m["die_capacity_w_per_k"] = tau_s / r / SUBSTEP_S
        m["sink_conductance_w_per_k"] = 1.0 / m["device_sink_air_resistance_k_per_w"]
        capacity = "server_plate" if coolant > 0.0 else "device_sink"
        m["sink_capacity_w_per_k"] = m[f"{capacity}_heat_capacity_j_per_k"] / SUBSTEP_S
        m["coolant_w_per_k"] = coolant
        m["server_liquid_host_ratio"] = min(float(m["server_liquid_host_ratio"]), 1.0)
        m["fan_lag_ratio"] = lag_ratio(dt_s=SUBSTEP_S, time_constant_s=float(m["server_fan_lag_s"]))
        m["per_design_power"] = 1.0 / m["server_power_design_w"]
        m["supply_fixed_w"] = m["server_supply_fixed_loss_ratio"] * m["server_supply_rated_w"]
        m["supply_square_per_w"] = m["server_supply_square_loss_ratio"] / m["server_supply_rated_w"]
    knee = classes["power_knee_clock_ratio"]
    classes["power_at_knee"] = classes["fixed_share"] + classes["slope_low"] * knee
    for work in classes.reshape(-1):
        work["slope_high"] = slope_above_knee(
            power_at_knee=float(work["power_at_knee"]),
            knee_clock_ratio=float(work["power_knee_clock_ratio"]),
        )
    classes["per_full_power"] = 1.0 / classes["full_power_w"]
    classes["per_slope_low"] = 1.0 / classes["slope_low"]
    classes["per_slope_high"] = 1.0 / classes["slope_high"]
