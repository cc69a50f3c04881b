"""Readings of each GPU as lines of the log."""

import numpy as np

from coolcap_agent.sink.line_protocol import Series, series_key
from coolcap_agent.telemetry_log.schema import GPU
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS
from coolcap_envs.contract.telemetry import BoolArray, FloatArray

_COLUMNS = [GROUP_COLUMN[name] for name in GPU.field_names]
_LOW = np.array([GROUP_SIGNALS[column].low for column in _COLUMNS])
_HIGH = np.array([GROUP_SIGNALS[column].high for column in _COLUMNS])


class GpuLines:
    """Makes one line per GPU. Names are the node's and the GPU's index on it.

    Args:
        layout: The site's layout.
    """

    def __init__(self, layout: Layout) -> None:
        keys: list[str] = []
        self._group: list[int] = []
        for n, indices in enumerate(layout.gpu_indices):
            node = layout.node_names[n]
            for index in indices:
                tags = {
                    "site": layout.name,
                    "gpu": f"{node}/{index}",
                    "group": layout.group_names[n],
                    "node": node,
                    "rack": layout.rack_names[n],
                }
                keys.append(series_key(GPU.name, tags))
                self._group.append(n)
        self._series = Series(keys, GPU.field_names)

    def lines(self, gpus: FloatArray, *, groups_usable: BoolArray, at_ns: int) -> bytes:
        """Return the lines.

        Args:
            gpus: Readings per GPU in the order of the groups, columns as ``GROUP_SIGNALS``.
            groups_usable: Which groups have readings that are not too old.
            at_ns: Time of the lines.
        """
        rows = gpus[:, _COLUMNS]
        usable = (rows >= _LOW) & (rows <= _HIGH) & groups_usable[self._group][:, None]
        return self._series.lines(np.where(usable, rows, np.nan), at_ns=at_ns)
