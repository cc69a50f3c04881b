"""Arrays whose last axis has names: a column per signal or feature, by name or by place."""

from collections.abc import Mapping
from typing import Any

from coolcap_envs.contract.telemetry import FloatArray


class Columns:
    """A view of an array: ``columns.gpu_power_w`` is its column of that name.

    The laws that control shares with the simulator take such a view, or a row of the simulator's
    memory, which has the same names.

    Args:
        values: The array.
        columns: Place of each name in its last axis.
    """

    __slots__ = ("_columns", "_values")
    _values: FloatArray
    _columns: Mapping[str, int]

    def __init__(self, values: FloatArray, columns: Mapping[str, int]) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_columns", columns)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        try:
            return self._values[..., self._columns[name]]
        except KeyError:
            raise AttributeError(f"there is no column {name}") from None

    def __getitem__(self, column: int) -> Any:  # noqa: ANN401
        return self._values[..., column]

    def __setitem__(self, column: int, value: Any) -> None:  # noqa: ANN401
        self._values[..., column] = value

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        self._values[..., self._columns[name]] = value
