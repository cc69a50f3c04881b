"""Write docs/reference/signals.md from the signal, lever and feature tables.

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

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "signals.md"

INTRODUCTION = """\
# Signals, levers and features

Generated from `contract/signals.py`, `contract/levers.py` and `contract/observation.py` by
`scripts/generate_reference.py`; do not edit. Ranges include their ends. A reading outside its
range, or NaN, is invalid and is not acted on.
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


def main() -> int:
    """Write or check the page."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
