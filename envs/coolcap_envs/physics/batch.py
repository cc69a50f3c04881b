"""A batch of plants: state, parameters and inputs in tiles of ``LANES`` plants side by side.

Plant b is lane ``b % LANES`` of tile ``b // LANES``. Kernels take the whole :class:`Batch`; Python
reads and writes members by name with :meth:`Batch.get` and :meth:`Batch.set`. Lanes beyond the last
plant hold copies of it, so that they never compute anything odd.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coolcap_envs.physics.lane_types import LANES
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
    in_lanes,
)

_CACHE_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Records:  # noqa: ANN401
    """Return zeros that start at a cache line: a vector across two lines takes twice as long."""
    wanted = np.dtype(dtype)
    size = int(np.prod(shape)) * wanted.itemsize
    raw = np.zeros(size + _CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE_BYTES
    zeros: Records = raw[start : start + size].view(wanted).reshape(shape)
    return zeros


def _words(array: Records) -> NDArray[np.uint64]:
    """Return an array of a batch as words, ``[tiles, words of a plant, LANES]``."""
    return array.reshape(-1).view(np.uint64).reshape(array.shape[0], -1, LANES)


def get_field(table: Records, name: str, size: int) -> NDArray[Any]:
    """Return a field of the first ``size`` plants of a table: ``[size]`` or ``[size, N]``."""
    field = np.moveaxis(table[name], -1, 1)
    values: NDArray[Any] = field.reshape(-1, *field.shape[2:])[:size].copy()
    return values


def set_field(table: Records, name: str, values: ArrayLike, size: int) -> None:
    """Write a field of the first ``size`` plants of a table; the last one's goes to the rest."""
    field = table[name]
    rest = field.shape[1:-1]
    wide = np.empty((field.shape[0] * LANES, *rest))
    wide[:size] = values
    wide[size:] = wide[size - 1]
    field[...] = np.moveaxis(wide.reshape(-1, LANES, *rest), 1, -1)


def get_members(table: Records, size: int) -> NDArray[Any]:
    """Return all fields of the first ``size`` plants: ``[size, fields]``, ``[size, N, fields]``.

    All fields of the table must be of one type.
    """
    names = table.dtype.names
    if names is None:
        raise TypeError(f"a table of records is needed, got {table.dtype}")
    kind = table.dtype[names[0]].base
    values = table.reshape(-1).view(kind).reshape(*table.shape, len(names), LANES)
    lanes_first = np.moveaxis(values, -1, 1)
    members: NDArray[Any] = lanes_first.reshape(-1, *lanes_first.shape[2:])[:size].copy()
    return members


class Batch(NamedTuple):
    """B plants of N control groups each; T is the number of tiles.

    Attributes:
        plant: ``PLANT_STATE_DTYPE`` in lanes, shape ``[T]``.
        pipes_c: Temperatures of the cells of the chilled-water pipes, ``[T, PIPE_CELLS, LANES]``.
        groups: ``GROUP_STATE_DTYPE`` in lanes, shape ``[T, N]``.
        work: ``CLASS_DTYPE`` in lanes, shape ``[T, N]``: the class each group runs now.
        work_values: The same memory, ``[T, N, fields, LANES]``.
        parameters: ``PLANT_PARAMETER_DTYPE`` in lanes, shape ``[T]``.
        group_parameters: ``GROUP_PARAMETER_DTYPE`` in lanes, shape ``[T, N]``.
        models: ``MODEL_DTYPE`` in lanes, shape ``[T, models]``.
        classes: ``CLASS_DTYPE`` in lanes, shape ``[T, models, classes]``.
        class_values: The same memory, ``[T, models, classes, fields, LANES]``.
        inputs: ``PLANT_INPUT_DTYPE`` in lanes, shape ``[T]``.
        group_inputs: ``GROUP_INPUT_DTYPE`` in lanes, shape ``[T, N]``.
        series: Which of the hourly series each plant follows, shape ``[T, LANES]``.
        hourly: Series from outside, shape ``[series, hours, len(HOURLY_CHANNELS)]``.
        model_of: GPU model of each group, shape ``[N]``.
        size: Number of plants.
        has_liquid: Whether coolant cools the racks.
        has_humidity: Whether the hall's moisture is followed.
        has_chiller_map: Whether the chiller has a catalogue map.
    """

    plant: Records
    pipes_c: NDArray[np.float64]
    groups: Records
    work: Records
    work_values: NDArray[np.float64]
    parameters: Records
    group_parameters: Records
    models: Records
    classes: Records
    class_values: NDArray[np.float64]
    inputs: Records
    group_inputs: Records
    series: NDArray[np.uint64]
    hourly: NDArray[np.float64]
    model_of: NDArray[np.int64]
    size: int
    has_liquid: bool
    has_humidity: bool
    has_chiller_map: bool

    @classmethod
    def zeros(
        cls,
        *,
        plants: int,
        model_of: NDArray[np.int64],
        models: int,
        hourly: NDArray[np.float64],
        devices: frozenset[str] = frozenset(),
    ) -> "Batch":
        """Return a batch whose state and parameters are still to be set."""
        if hourly.ndim != 3 or hourly.shape[2] != len(HOURLY_CHANNELS):
            raise ValueError(
                f"hourly has shape {hourly.shape}; [series, hours, {len(HOURLY_CHANNELS)}] is "
                f"needed, columns {', '.join(HOURLY_CHANNELS)}"
            )
        tiles, groups = -(-plants // LANES), len(model_of)

        def table(dtype: np.dtype[np.void], *shape: int) -> Records:
            return aligned_zeros((tiles, *shape), in_lanes(dtype))

        def values(array: Records) -> NDArray[np.float64]:
            return array.reshape(-1).view(np.float64).reshape(*array.shape, -1, LANES)

        work = table(CLASS_DTYPE, groups)
        classes = table(CLASS_DTYPE, models, len(WORKLOAD_CLASSES))
        return cls(
            plant=table(PLANT_STATE_DTYPE),
            pipes_c=aligned_zeros((tiles, PIPE_CELLS, LANES), np.float64),
            groups=table(GROUP_STATE_DTYPE, groups),
            work=work,
            work_values=values(work),
            parameters=table(PLANT_PARAMETER_DTYPE),
            group_parameters=table(GROUP_PARAMETER_DTYPE, groups),
            models=table(MODEL_DTYPE, models),
            classes=classes,
            class_values=values(classes),
            inputs=table(PLANT_INPUT_DTYPE),
            group_inputs=table(GROUP_INPUT_DTYPE, groups),
            series=aligned_zeros((tiles, LANES), np.uint64),
            hourly=hourly,
            model_of=model_of,
            size=plants,
            has_liquid="cdu" in devices,
            has_humidity="humidity" in devices,
            has_chiller_map="chiller_map" in devices,
        )

    @property
    def tables(self) -> tuple[Records, ...]:
        """Return the arrays that hold numbers of each plant."""
        return (
            self.plant,
            self.pipes_c,
            self.groups,
            self.work,
            self.parameters,
            self.group_parameters,
            self.models,
            self.classes,
            self.inputs,
            self.group_inputs,
            self.series,
        )

    def get(self, table: str, name: str) -> NDArray[Any]:
        """Return a field of every plant, shape ``[B]``, or of its groups, ``[B, N]``: a copy."""
        return get_field(getattr(self, table), name, self.size)

    def set(self, table: str, name: str, values: ArrayLike) -> None:
        """Write a field of every plant, ``[B]``, or of its groups, ``[B, N]``."""
        set_field(getattr(self, table), name, values, self.size)

    def put_member(self, b: int, table: str, records: Records) -> None:
        """Make a table of plant ``b`` what ``records``, which are not in lanes, say."""
        flat = np.ascontiguousarray(records).reshape(-1).view(np.uint64)
        _words(getattr(self, table))[b // LANES, :, b % LANES] = flat

    def fill_padding(self) -> None:
        """Make the lanes beyond the last plant copies of it."""
        lane = (self.size - 1) % LANES
        for array in self.tables:
            last = _words(array)[-1]
            last[:, lane + 1 :] = last[:, lane, None]

    def take(self, chosen: NDArray[np.int64]) -> "Batch":
        """Return a batch of copies of the plants ``chosen``."""
        part = Batch.zeros(
            plants=len(chosen),
            model_of=self.model_of,
            models=self.models.shape[1],
            hourly=self.hourly,
        )._replace(
            has_liquid=self.has_liquid,
            has_humidity=self.has_humidity,
            has_chiller_map=self.has_chiller_map,
        )
        padded = np.concatenate([chosen, np.full(-len(chosen) % LANES, chosen[-1])])
        for source, target in zip(self.tables, part.tables, strict=True):
            moved = _words(source)[padded // LANES, :, padded % LANES]
            _words(target)[:] = moved.reshape(-1, LANES, moved.shape[1]).transpose(0, 2, 1)
        return part

    def put(self, chosen: NDArray[np.int64], part: "Batch") -> None:
        """Write the plants of ``part``, made by :meth:`take`, back to their places ``chosen``."""
        rows = np.arange(len(chosen))
        for source, target in zip(part.tables, self.tables, strict=True):
            moved = _words(source)[rows // LANES, :, rows % LANES]
            _words(target)[chosen // LANES, :, chosen % LANES] = moved
        self.fill_padding()

    def copy_row(self, target: int, other: "Batch", source: int) -> None:
        """Make plant ``target`` a copy of plant ``source`` of ``other``, parameters included.

        ``series`` too: which row holds the same weather here is for the caller to say.
        """
        for mine, theirs in zip(self.tables, other.tables, strict=True):
            row = _words(theirs)[source // LANES, :, source % LANES]
            _words(mine)[target // LANES, :, target % LANES] = row
        if target == self.size - 1:
            self.fill_padding()
