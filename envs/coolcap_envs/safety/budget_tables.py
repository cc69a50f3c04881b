"""Power budgets of a site file: a tree of site, hall, row, PDU and rack, or any other arrangement.

::

    [[budgets]]
    name = "pdu-1"
    power_w = 42000.0               # IT power, worst case, that its members may draw together
    racks = ["rack-01", "rack-02"]  # or ["*"] for all
    burst_ratio = 0.2               # optional: what it feeds may burst above its caps at once

    [[budgets]]
    name = "row-1"
    power_w = 160000.0
    parts = ["pdu-1", "pdu-2"]      # covers what these cover; in any order in the file

Each budget is met, whatever the others allow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray, FloatArray

BURST_RATIO_MAX: Final = 0.6
"""Above the largest burst seen: 43 % over the cap, for less than half a second (B300 at a cap of
500 W: 717 W). Breakers ride through that; power electronics at their limit may not."""
ALL: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Budgets:
    """Budgets as read; ``Limits`` says what each means."""

    names: tuple[str, ...]
    power_w: FloatArray
    members: BoolArray
    burst_ratio: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    table: Table
    power_w: float
    burst_ratio: float
    racks: tuple[str, ...]
    parts: tuple[str, ...]


def read_budgets(tables: list[Table], layout: Layout) -> Budgets:
    """Read ``[[budgets]]``; problems are collected in the tables."""
    entries: dict[str, _Entry] = {}
    for table in tables:
        name = table.take_str("name")
        entry = _Entry(
            table=table,
            power_w=table.take_float("power_w", low=1.0, high=1e10, unit="W"),
            burst_ratio=table.take_float(
                "burst_ratio", low=0.0, high=BURST_RATIO_MAX, unit="(ratio)", default=0.0
            ),
            racks=tuple(table.take_strs("racks")) if table.has("racks") else (),
            parts=tuple(table.take_strs("parts")) if table.has("parts") else (),
        )
        table.finish()
        if name in entries:
            table.complain("name", f"= {name!r} stands in two tables: each budget has one")
            continue
        entries[name] = entry
        if not entry.racks and not entry.parts:
            table.complain("racks", "or parts is missing: say what the budget covers")
        if unknown := [rack for rack in entry.racks if rack != ALL and rack not in layout.racks]:
            known = f"'*' or {', '.join(layout.racks)}"
            table.complain("racks", f"has unknown {', '.join(unknown)}: allowed are {known}")
    for name, entry in entries.items():
        if unknown := [part for part in entry.parts if part not in entries]:
            known = ", ".join(other for other in entries if other != name)
            entry.table.complain("parts", f"has unknown {', '.join(unknown)}: allowed are {known}")
        elif _own_part(name, entries):
            entry.table.complain("parts", f"lead back to {name!r}: a budget is no part of itself")
    rows = [_covered(name, entries, layout, set()) for name in entries]
    return Budgets(
        names=tuple(entries),
        power_w=np.array([entry.power_w for entry in entries.values()]),
        members=np.array(rows, dtype=bool).reshape(len(entries), layout.group_count),
        burst_ratio=np.array([entry.burst_ratio for entry in entries.values()]),
    )


def _own_part(name: str, entries: Mapping[str, _Entry]) -> bool:
    waiting, seen = list(entries[name].parts), set[str]()
    while waiting:
        part = waiting.pop()
        if part == name:
            return True
        if part in entries and part not in seen:
            seen.add(part)
            waiting += entries[part].parts
    return False


def _covered(
    name: str, entries: Mapping[str, _Entry], layout: Layout, seen: set[str]
) -> list[bool]:
    """Return which groups a budget covers; what was seen on the way is not looked at again."""
    if name in seen or name not in entries:
        return [False] * layout.group_count
    seen.add(name)
    racks = frozenset(entries[name].racks)
    covered = [ALL in racks or rack in racks for rack in layout.rack_names]
    for part in entries[name].parts:
        below = _covered(part, entries, layout, seen)
        covered = [own or other for own, other in zip(covered, below, strict=True)]
    return covered
