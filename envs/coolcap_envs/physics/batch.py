"""A batch of plants: state, parameters and inputs as arrays with a leading batch axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.physics.records import (
    CLASS_DTYPE,
    GROUP_INPUT_DTYPE,
    GROUP_PARAMETER_DTYPE,
    GROUP_STATE_DTYPE,
    HOURLY_CHANNELS,
    MODEL_DTYPE,
    PIPE_CELLS,
    PLANT_INPUT_DTYPE,
    PLANT_PARAMETER_DTYPE,
    PLANT_STATE_DTYPE,
    Records,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """B plants of N control groups each.

    Attributes:
        plant: ``PLANT_STATE_DTYPE``, shape ``[B]``.
        pipes_c: Temperatures of the cells of the chilled-water pipes, shape ``[B, PIPE_CELLS]``.
        groups: ``GROUP_STATE_DTYPE``, shape ``[B, N]``.
        parameters: ``PLANT_PARAMETER_DTYPE``, shape ``[B]``.
        group_parameters: ``GROUP_PARAMETER_DTYPE``, shape ``[B, N]``.
        models: ``MODEL_DTYPE``, shape ``[B, models]``.
        classes: ``CLASS_DTYPE``, shape ``[B, models, classes]``.
        inputs: ``PLANT_INPUT_DTYPE``, shape ``[B]``.
        group_inputs: ``GROUP_INPUT_DTYPE``, shape ``[B, N]``.
        hourly: Series from outside, shape ``[series, hours, len(HOURLY_CHANNELS)]``.
        series: Which of them each plant follows, shape ``[B]``.
    """

    plant: Records
    pipes_c: NDArray[np.float64]
    groups: Records
    parameters: Records
    group_parameters: Records
    models: Records
    classes: Records
    inputs: Records
    group_inputs: Records
    hourly: NDArray[np.float64]
    series: NDArray[np.int64]

    @classmethod
    def zeros(
        cls, *, plants: int, groups: int, models: int, hourly: NDArray[np.float64]
    ) -> "Batch":
        """Return a batch whose state and parameters are still to be set."""
        if hourly.ndim != 3 or hourly.shape[2] != len(HOURLY_CHANNELS):
            raise ValueError(
                f"hourly has shape {hourly.shape}; [series, hours, {len(HOURLY_CHANNELS)}] is "
                f"needed, columns {', '.join(HOURLY_CHANNELS)}"
            )
        return cls(
            plant=np.zeros(plants, PLANT_STATE_DTYPE),
            pipes_c=np.zeros((plants, PIPE_CELLS)),
            groups=np.zeros((plants, groups), GROUP_STATE_DTYPE),
            parameters=np.zeros(plants, PLANT_PARAMETER_DTYPE),
            group_parameters=np.zeros((plants, groups), GROUP_PARAMETER_DTYPE),
            models=np.zeros((plants, models), MODEL_DTYPE),
            classes=np.zeros((plants, models, len(WORKLOAD_CLASSES)), CLASS_DTYPE),
            inputs=np.zeros(plants, PLANT_INPUT_DTYPE),
            group_inputs=np.zeros((plants, groups), GROUP_INPUT_DTYPE),
            hourly=hourly,
            series=np.zeros(plants, np.int64),
        )

    def take(self, chosen: NDArray[np.int64]) -> "Batch":
        """Return a batch of copies of the plants ``chosen``."""
        return Batch(
            plant=self.plant[chosen],
            pipes_c=self.pipes_c[chosen],
            groups=self.groups[chosen],
            parameters=self.parameters[chosen],
            group_parameters=self.group_parameters[chosen],
            models=self.models[chosen],
            classes=self.classes[chosen],
            inputs=self.inputs[chosen],
            group_inputs=self.group_inputs[chosen],
            hourly=self.hourly,
            series=self.series[chosen],
        )

    def put(self, chosen: NDArray[np.int64], part: "Batch") -> None:
        """Write the plants of ``part``, made by :meth:`take`, back to their places ``chosen``."""
        self.plant[chosen] = part.plant
        self.pipes_c[chosen] = part.pipes_c
        self.groups[chosen] = part.groups

    def copy_row(self, target: int, other: "Batch", source: int) -> None:
        """Make plant ``target`` a copy of plant ``source`` of ``other``, parameters included.

        ``hourly`` and ``series`` stay: which row holds the same weather is for the caller to say.
        """
        self.plant[target] = other.plant[source]
        self.pipes_c[target] = other.pipes_c[source]
        self.groups[target] = other.groups[source]
        self.parameters[target] = other.parameters[source]
        self.group_parameters[target] = other.group_parameters[source]
        self.models[target] = other.models[source]
        self.classes[target] = other.classes[source]
        self.inputs[target] = other.inputs[source]
        self.group_inputs[target] = other.group_inputs[source]
