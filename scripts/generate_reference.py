"""Write generated pages of docs/reference: signals, and the numbers of a site file.

Run ``python scripts/generate_reference.py``; with ``--check`` it only compares.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVERS, Lever
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    PLANT_FEATURES,
    SCHEMA_HASH,
    Feature,
)
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS, Signal
from coolcap_envs.physics.parameters import (
    CLASS_PARAMETERS,
    GPU_LIMITS,
    GPU_PARAMETERS,
    LIQUID_SERVER_PARAMETERS,
    OPTIONAL_TABLES,
    PLANT_PARAMETERS,
    SERVER_PARAMETERS,
    WORKLOAD_CLASSES,
    Parameter,
)
from coolcap_envs.workload.demand import WORKLOAD_PARAMETERS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

INTRODUCTION = """\
# Signals, levers and features

Generated from `contract/signals.py`, `contract/levers.py` and `contract/observation.py` by
`scripts/generate_reference.py`; do not edit. Ranges include their ends. A reading outside its
range, or NaN, is invalid and is not acted on.
"""


SITE_INTRODUCTION = """\
# Numbers of a site file

Generated from `physics/parameters.py` and `workload/demand.py` by
`scripts/generate_reference.py`; do not edit. Each number stands as
`name = { value = 1.2, source = "where it is from" }`. Ranges include their ends; what is outside,
missing, unknown or without a source is refused, all of it in one message. How to describe a site:
[the guide](../how-to/describe-a-site.md).
"""


OPTIONAL_FILES = """\
## What drives a site, optional

| key | value | meaning |
| --- | --- | --- |
| `[simulation.workload] profile` | a shipped name or a `.toml` file | replaces classes' numbers |
| `[simulation.workload] groups_per_job` | 1 to 10000, default 1 | groups of one job, in step |
| `[simulation.trace] kind` | `azure-llm`, `alibaba-gpu`, `csv` | format of recorded work |
| `[simulation.trace] file` | a file | recorded work in place of generated |
| `[simulation.grid.price] file` | a file | price of every hour of a year |
| `[simulation.grid.carbon] file` | a file | carbon intensity of every hour of a year |
| `[simulation.grid.price] times` | `checked`, `as-written`, `shifted-twice` | on its UTC column |

Files lie beside the site file; each table has a `source`. Formats:
[how to](../how-to/recorded-work-prices-and-faults.md).
"""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _signals(table: Sequence[Signal]) -> str:
    return _table(
        ("signal", "unit", "range", "aggregate", "measured by", "meaning"),
        (
            (
                f"`{s.name}`",
                s.unit,
                f"{s.low:g} to {s.high:g}",
                s.aggregation,
                s.measured_by,
                s.meaning,
            )
            for s in table
        ),
    )


def _levers(table: Sequence[Lever]) -> str:
    return _table(
        ("lever", "unit", "widest range", "cools when", "meaning"),
        (
            (
                f"`{lever.name}`",
                lever.unit,
                f"{lever.low:g} to {lever.high:g}",
                "raised" if lever.cools_upward else "lowered",
                lever.meaning,
            )
            for lever in table
        ),
    )


def _features(table: Sequence[Feature]) -> str:
    return _table(
        ("feature", "unit", "range"),
        ((f"`{f.name}`", f.unit, f"{f.low:g} to {f.high:g}") for f in table),
    )


def page() -> str:
    """Return the whole page."""
    parts = (
        INTRODUCTION,
        "## Signals of a control group\n",
        _signals(GROUP_SIGNALS),
        "## Signals of the plant\n",
        _signals(PLANT_SIGNALS),
        "## Levers of a control group\n",
        _levers(GROUP_LEVERS),
        "## Levers of the plant\n",
        _levers(PLANT_LEVERS),
        f"## Features a policy sees (schema `{SCHEMA_HASH}`)\n",
        "Of each control group:\n",
        _features(GROUP_FEATURES),
        "Of the plant:\n",
        _features(PLANT_FEATURES),
    )
    return "\n".join(parts)


def _numbers(table: Sequence[Parameter]) -> str:
    return _table(
        ("number", "unit", "range", "meaning"),
        ((f"`{p.name}`", p.unit, f"{p.low:g} to {p.high:g}", p.meaning) for p in table),
    )


def site_page() -> str:
    """Return the page on the numbers of a site file."""
    parts = [SITE_INTRODUCTION]
    for name in dict.fromkeys(p.table for p in PLANT_PARAMETERS):
        rows = [p for p in PLANT_PARAMETERS if p.table == name]
        optional = ", optional" if name in OPTIONAL_TABLES else ""
        parts += [f"## `[simulation.{name}]`{optional}\n", _numbers(rows)]
    parts += [
        "## `[simulation.server.<gpu model>]`, per GPU\n",
        _numbers(SERVER_PARAMETERS),
        "With `[simulation.cdu]` also:\n",
        _numbers(LIQUID_SERVER_PARAMETERS),
        f"## `[simulation.workload.<class>]`: {', '.join(WORKLOAD_CLASSES)}\n",
        _numbers(WORKLOAD_PARAMETERS),
        OPTIONAL_FILES,
        "## GPU models: `[limits]` of `sites/gpus/<name>.toml`\n",
        _numbers(GPU_LIMITS),
        "`[device]`:\n",
        _numbers(GPU_PARAMETERS),
        "`[classes.<class>]`:\n",
        _numbers(CLASS_PARAMETERS),
    ]
    return "\n".join(parts)


def main() -> int:
    """Write or check the pages."""
    pages = {FOLDER / "signals.md": page(), FOLDER / "site-file.md": site_page()}
    if "--check" in sys.argv[1:]:
        fresh = (p.exists() and p.read_text(encoding="utf-8") == t for p, t in pages.items())
        return 0 if all(fresh) else 1
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
