"""Calls of NVML by name: what a GPU lacks is NaN, every other error a DriverError.

Functions are looked up when they are called: ``nvidia-ml-py`` is older than some of them.
"""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from coolcap_agent.drivers.nvml_errors import UNSUPPORTED, translate

FIELD_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of a field's value by its NVML_VALUE_TYPE."""


class NvmlCalls:
    """NVML after its initialisation.

    Args:
        nvml: The ``pynvml`` module or one like it.
    """

    def __init__(self, nvml: ModuleType) -> None:
        self.nvml: Any = nvml

    def ask(self, what: str, name: str, *arguments: object) -> Any:  # noqa: ANN401
        """Return what NVML answers.

        Args:
            what: What failed if it fails, of which GPU; begins the message.
            name: Name of the function.
            arguments: Its arguments.

        Raises:
            DriverError: If it fails.
        """
        try:
            return getattr(self.nvml, name)(*arguments)
        except self.nvml.NVMLError as error:
            raise translate(error, what) from error

    def find(self, what: str, name: str, *arguments: object) -> Any:  # noqa: ANN401
        """Return what NVML answers, None if this GPU or driver has no such thing.

        Raises:
            DriverError: If it fails in another way.
        """
        function = getattr(self.nvml, name, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except self.nvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                return None
            raise translate(error, what) from error

    def number(self, what: str, name: str, *arguments: object) -> float:
        """Return what NVML answers, NaN if this GPU or driver has no such thing.

        Raises:
            DriverError: If it fails in another way.
        """
        answer = self.find(what, name, *arguments)
        return math.nan if answer is None else float(answer)

    def fields(self, what: str, handle: object, ids: Sequence[int]) -> dict[int, float]:
        """Return fields by identifier, NaN where this GPU or driver has none.

        Raises:
            DriverError: If the call fails as a whole.
        """
        found = dict.fromkeys(ids, math.nan)
        for value in self.find(what, "nvmlDeviceGetFieldValues", handle, list(ids)) or ():
            if value.nvmlReturn == 0:
                found[value.fieldId] = float(getattr(value.value, FIELD_MEMBERS[value.valueType]))
        return found

    def text(self, what: str, name: str, *arguments: object) -> str:
        """Return a text. Raises DriverError."""
        value = self.ask(what, name, *arguments)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
