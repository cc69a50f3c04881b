"""Chilled-water loop: a supply pipe with transport delay and a well-mixed return.

The pipe is a ring of cells of equal mass holding temperatures. ``head`` is the cell being emptied
at the hall's end; ``shift`` is the share of it already emptied, which is also how far the cell
being filled at the chiller's end has been filled. Plug flow: no mixing and no loss on the way.
"""

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.physics.jit import law


@law
def pipe_outlet_temp_c(
    cells_c: NDArray[np.float64], head: int | np.int64, shift: float, flow_cells: float
) -> float:
    """Return the mean temperature of the ``flow_cells`` cells of water that leave next.

    Args:
        cells_c: Temperatures of the pipe's cells, a ring.
        head: Index of the cell being emptied.
        shift: Share of it already emptied, 0 to 1.
        flow_cells: Water displaced in the substep, in cells; 0 to the number of cells.
    """
    count = cells_c.shape[0]
    if flow_cells <= 0.0:
        return float(cells_c[head])
    left = flow_cells
    total = 0.0
    k = head
    free = 1.0 - shift
    while left > free:
        total += free * cells_c[k]
        left -= free
        k = k + 1 if k + 1 < count else 0
        free = 1.0
    total += left * cells_c[k]
    return float(total / flow_cells)


@law
def pipe_push(
    cells_c: NDArray[np.float64],
    head: int | np.int64,
    shift: float,
    fill_temp_c: float,
    flow_cells: float,
    inlet_temp_c: float,
) -> tuple[int | np.int64, float, float]:
    """Let ``flow_cells`` cells of water in and as many out; return head, shift, fill temperature.

    The emptied part of the head cell is the place being filled: ``fill_temp_c`` is the mean
    temperature of the ``shift`` cells of water in it.
    """
    count = cells_c.shape[0]
    left = flow_cells
    while shift + left >= 1.0:
        part = 1.0 - shift
        cells_c[head] = shift * fill_temp_c + part * inlet_temp_c
        left -= part
        head = head + 1 if head + 1 < count else 0
        shift = 0.0
        fill_temp_c = inlet_temp_c
    if left > 0.0:
        fill_temp_c = (shift * fill_temp_c + left * inlet_temp_c) / (shift + left)
        shift += left
    return head, shift, fill_temp_c


@law
def pipe_mean_temp_c(
    cells_c: NDArray[np.float64], head: int | np.int64, shift: float, fill_temp_c: float
) -> float:
    """Return the mean temperature of all water in the pipe."""
    count = cells_c.shape[0]
    total = shift * (fill_temp_c - cells_c[head])
    for k in range(count):
        total += cells_c[k]
    return float(total / count)


@law
def mixed_temp_next_c(
    temp_c: float, capacity_w_per_k: float, flow_w_per_k: float, inlet_temp_c: float, heat_w: float
) -> float:
    """Return the temperature of a well-mixed volume one substep later (implicit Euler).

    ``C dT/dt = m*c*(Tin - T) + q``.

    Args:
        temp_c: Temperature now.
        capacity_w_per_k: ``C/dt``.
        flow_w_per_k: ``m*c``.
        inlet_temp_c: Temperature of the water flowing in.
        heat_w: ``q``, heat added in the volume, e.g. by a pump.
    """
    return (capacity_w_per_k * temp_c + flow_w_per_k * inlet_temp_c + heat_w) / (
        capacity_w_per_k + flow_w_per_k
    )
