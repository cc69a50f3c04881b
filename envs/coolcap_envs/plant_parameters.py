"""From a site to the rows of parameters that one simulated plant runs with.

A row is drawn per episode: units of one GPU model differ, and at ``randomise_ratio`` above 0 so
does everything the site file lists under ``[simulation.randomisation]``.
"""

from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.gpu import decay_per_substep
from coolcap_envs.physics.parameters import CLASS_PARAMETERS, WORKLOAD_CLASSES
from coolcap_envs.physics.records import (
    CLASS_DTYPE,
    GROUP_PARAMETER_DTYPE,
    PLANT_PARAMETER_DTYPE,
    SUBSTEP_S,
    Records,
)
from coolcap_envs.site import Site

_SPREAD_MAX: Final = 3.0
"""Units further from the nominal one than this many standard deviations fail acceptance."""


class ParameterTemplates:
    """The nominal rows of a site, and the drawing of rows around them."""

    def __init__(self, site: Site) -> None:
        layout = site.layout
        self.plant = np.zeros((), PLANT_PARAMETER_DTYPE)
        for field, value in site.parameters.items():
            self.plant[field] = value
        models = list(site.gpu_models)
        self.classes = np.zeros(len(models) * len(WORKLOAD_CLASSES), CLASS_DTYPE)
        for m, model in enumerate(models):
            for k, name in enumerate(WORKLOAD_CLASSES):
                for p in CLASS_PARAMETERS:
                    self.classes[m * len(WORKLOAD_CLASSES) + k][p.name] = site.gpu_models[
                        model
                    ].classes[name][p.name]
        self.groups = np.zeros(layout.group_count, GROUP_PARAMETER_DTYPE)
        for n, model in enumerate(layout.gpu_models):
            row = self.groups[n]
            for field, value in {**site.servers[model], **site.gpu_models[model].device}.items():
                row[field] = value
            row["class_row"] = models.index(model) * len(WORKLOAD_CLASSES)
        self.groups["gpu_count"] = layout.gpu_count
        self.groups["sm_clock_max_mhz"] = layout.sm_clock_max_mhz
        self._first_unit = np.concatenate([[0], np.cumsum(layout.gpu_count)[:-1]])
        self._unit_count = int(layout.gpu_count.sum())
        self._ranges = tuple(site.randomisation.items())

    def draw(
        self, rng: np.random.Generator, randomise_ratio: float
    ) -> tuple[Records, Records, Records]:
        """Return rows of plant, groups and classes for one plant.

        The same generator state gives the same units whatever the ratio, so that a randomised
        plant can be compared with its nominal twin.

        Args:
            rng: Source of randomness.
            randomise_ratio: 0 for the nominal site, 1 for its full ranges, in between a part.
        """
        plant, groups, classes = self.plant.copy(), self.groups.copy(), self.classes.copy()
        for name, (low, high) in self._ranges:
            factor = 1.0 + randomise_ratio * (rng.uniform(low, high) - 1.0)
            table, _, field = name.partition(".")
            if table == "class":
                classes[field] *= factor
            elif table in ("server", "device"):
                groups[f"{table}_{field}"] *= factor
            else:
                plant[f"{table}_{field}"] *= factor
        _keep_possible(plant, classes)
        power = self._units(rng, groups["device_power_spread_ratio"])
        groups["power_ratio"] = np.add.reduceat(power, self._first_unit) / groups["gpu_count"]
        groups["pace_power_ratio"] = np.maximum.reduceat(power, self._first_unit)
        rise = self._units(rng, groups["device_resistance_spread_ratio"])
        groups["hot_ratio"] = np.maximum.reduceat(rise, self._first_unit)
        groups["recirculation_ratio"] = rng.uniform(
            plant["hall_recirculation_low_ratio"],
            plant["hall_recirculation_high_ratio"],
            groups.shape,
        )
        for tau_s in np.unique(groups["device_die_time_constant_s"]):
            same = groups["device_die_time_constant_s"] == tau_s
            groups["die_decay"][same] = decay_per_substep(
                time_constant_s=float(tau_s), dt_s=SUBSTEP_S
            )
        return plant, groups, classes

    def _units(self, rng: np.random.Generator, spread_ratio: FloatArray) -> FloatArray:
        """Return a factor around 1 for every GPU of the site."""
        z = np.clip(rng.standard_normal(self._unit_count), -_SPREAD_MAX, _SPREAD_MAX)
        return 1.0 + z * np.repeat(spread_ratio, self.groups["gpu_count"].astype(np.int64))


def _keep_possible(plant: Records, classes: Records) -> None:
    """Bound randomised numbers where a law needs it."""
    plant["chiller_cop_max"] = min(float(plant["chiller_cop_max"]), 18.0)
    plant["economizer_effectiveness"] = min(float(plant["economizer_effectiveness"]), 0.95)
    low, high = plant["hall_recirculation_low_ratio"], plant["hall_recirculation_high_ratio"]
    plant["hall_recirculation_high_ratio"] = max(float(high), float(low))
    # Power at the knee must stay below power at the highest clock.
    knee = classes["power_knee_clock_ratio"]
    top = 0.98 - classes["slope_low"] * knee
    classes["fixed_share"] = np.minimum(classes["fixed_share"], np.maximum(top, 0.0))
