"""The layout of a site: which control groups there are, on which nodes and racks.

Read from the tables ``[layout]`` and ``[[layout.nodes]]`` of a site file::

    [layout]
    name = "lab-16"
    it_power_design_w = 20000.0
    plant_levers = ["supply_air_temp_setpoint_c", "chw_supply_temp_setpoint_c"]

    [[layout.nodes]]            # one block per kind of node
    name = "node-{:02d}"        # numbered from 1
    count = 4
    nodes_per_rack = 2          # racks are numbered over all blocks: rack-01, rack-02, …
    gpu_model = "h100-sxm"
    gpus_per_node = 4
    groups_per_node = 4         # GPUs are divided evenly, in index order
    power_limit_min_w = 200.0
    power_limit_max_w = 700.0
    power_limit_default_w = 700.0
    sm_clock_max_mhz = 1980.0
    priority = 1                # higher keeps its power longer when a budget binds
    source = "where these numbers come from"
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.telemetry import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """What stands where. Arrays have shape ``[N]``, one entry per control group.

    Attributes:
        name: Name of the site.
        group_names: Names of the groups, unique.
        node_names: Node of each group.
        rack_names: Rack of each group.
        gpu_models: GPU model of each group.
        gpu_indices: Indices on its node of each group's GPUs.
        gpu_count: Number of GPUs of each group.
        power_limit_min_w: Lowest power limit the device accepts.
        power_limit_max_w: Highest power limit the device accepts.
        power_limit_default_w: Power limit after boot.
        sm_clock_max_mhz: Highest clock of the device.
        priority: Higher keeps its power longer when a budget binds.
        it_power_design_w: IT power the hall is built for.
        plant_levers: Which of ``PLANT_LEVERS`` the site has, shape ``[K]``.
    """

    name: str
    group_names: tuple[str, ...]
    node_names: tuple[str, ...]
    rack_names: tuple[str, ...]
    gpu_models: tuple[str, ...]
    gpu_indices: tuple[tuple[int, ...], ...]
    gpu_count: NDArray[np.int64]
    power_limit_min_w: FloatArray
    power_limit_max_w: FloatArray
    power_limit_default_w: FloatArray
    sm_clock_max_mhz: FloatArray
    priority: NDArray[np.int64]
    it_power_design_w: float
    plant_levers: BoolArray

    @property
    def group_count(self) -> int:
        """Return N."""
        return len(self.group_names)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the distinct nodes, in order."""
        return tuple(dict.fromkeys(self.node_names))

    @property
    def racks(self) -> tuple[str, ...]:
        """Return the distinct racks, in order."""
        return tuple(dict.fromkeys(self.rack_names))


@dataclass(slots=True, kw_only=True)
class _Block:
    """One ``[[layout.nodes]]`` table."""

    name: str
    count: int
    nodes_per_rack: int
    gpu_model: str
    gpus_per_node: int
    groups_per_node: int
    limits_w: tuple[float, float, float]
    sm_clock_max_mhz: float
    priority: int


def _read_block(table: Table) -> _Block:
    block = _Block(
        name=table.take_str("name"),
        count=table.take_int("count", low=1, high=100_000),
        nodes_per_rack=table.take_int("nodes_per_rack", low=1, high=1000),
        gpu_model=table.take_str("gpu_model"),
        gpus_per_node=table.take_int("gpus_per_node", low=1, high=72),
        groups_per_node=table.take_int("groups_per_node", low=1, high=72),
        limits_w=(
            table.take_float("power_limit_min_w", low=1.0, high=3000.0, unit="W"),
            table.take_float("power_limit_default_w", low=1.0, high=3000.0, unit="W"),
            table.take_float("power_limit_max_w", low=1.0, high=3000.0, unit="W"),
        ),
        sm_clock_max_mhz=table.take_float("sm_clock_max_mhz", low=100.0, high=5000.0, unit="MHz"),
        priority=table.take_int("priority", low=0, high=9, default=1),
    )
    table.take_source()
    try:
        if block.name.format(1) == block.name.format(2):
            table.complain("name", f"= {block.name!r} needs a number field such as 'node-{{:02d}}'")
    except (ValueError, IndexError, KeyError):
        table.complain("name", f"= {block.name!r} is no valid pattern such as 'node-{{:02d}}'")
        block.name = "node-{}"
    low, default, high = block.limits_w
    if not low <= default <= high:
        table.complain("power_limit_default_w", "must lie from power_limit_min_w to _max_w")
    if block.gpus_per_node % block.groups_per_node:
        table.complain("groups_per_node", "must divide gpus_per_node without remainder")
    table.finish()
    return block


def read_layout(table: Table) -> Layout:
    """Read ``[layout]``; problems are collected in ``table.problems``."""
    name = table.take_str("name")
    design_w = table.take_float("it_power_design_w", low=1.0, high=1e10, unit="W")
    levers = table.take_strs("plant_levers")
    if unknown := [lever for lever in levers if lever not in PLANT_LEVER_COLUMN]:
        known = ", ".join(PLANT_LEVER_COLUMN)
        table.complain("plant_levers", f"has unknown {', '.join(unknown)}: allowed are {known}")
    blocks = [_read_block(block) for block in table.take_tables("nodes")]
    table.finish()

    rows: list[tuple[str, str, str, tuple[int, ...], _Block]] = []
    rack = 0
    for block in blocks:
        for n in range(block.count):
            rack += n % block.nodes_per_rack == 0
            node = block.name.format(n + 1)
            per_group = max(1, block.gpus_per_node // block.groups_per_node)
            for g in range(block.groups_per_node):
                group = node if block.groups_per_node == 1 else f"{node}/{g}"
                gpus = tuple(range(g * per_group, (g + 1) * per_group))
                rows.append((group, node, f"rack-{rack:02d}", gpus, block))
    names = [row[0] for row in rows]
    if len(set(names)) < len(names):
        table.complain("nodes", "give two nodes the same name: make the name patterns differ")
    return Layout(
        name=name,
        group_names=tuple(names),
        node_names=tuple(row[1] for row in rows),
        rack_names=tuple(row[2] for row in rows),
        gpu_models=tuple(row[4].gpu_model for row in rows),
        gpu_indices=tuple(row[3] for row in rows),
        gpu_count=np.array([len(row[3]) for row in rows], dtype=np.int64),
        power_limit_min_w=np.array([row[4].limits_w[0] for row in rows]),
        power_limit_default_w=np.array([row[4].limits_w[1] for row in rows]),
        power_limit_max_w=np.array([row[4].limits_w[2] for row in rows]),
        sm_clock_max_mhz=np.array([row[4].sm_clock_max_mhz for row in rows]),
        priority=np.array([row[4].priority for row in rows], dtype=np.int64),
        it_power_design_w=design_w,
        plant_levers=np.array([lever.name in levers for lever in PLANT_LEVERS]),
    )
