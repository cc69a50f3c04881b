"""The generated parts of the page on the plant model.

The page is prose written by hand with blocks between ``<!-- generated: NAME -->`` and
``<!-- end of generated -->``; only the blocks are rewritten.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from coolcap_training.validation.check import Check, HeadroomRow, Validation

_BLOCK: Final = re.compile(
    r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL
)
_MARKS: Final = {"met": "met", "missed": "**missed**", "reported": "-", "not run": "not run"}


def number_text(value: float | None) -> str:
    """Return a number with three significant digits."""
    if value is None:
        return "-"
    return f"{value:.3g}" if value == 0.0 or abs(value) >= 1e-3 else f"{value:.1e}"


def _target(check: Check) -> str:
    if check.target is None:
        return "-"
    return f"{'≤' if check.is_upper else '≥'} {number_text(check.target)}"


def checks_table(checks: Sequence[Check]) -> str:
    """Return a table of checks with their notes as a list of footnotes below."""
    lines = [
        "| check | held against | metric | value | target | | rows | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes = list(dict.fromkeys(check.note for check in checks if check.note))
    lines += [
        f"| {check.name} | {check.source} | {check.metric} | {number_text(check.value)} | "
        f"{_target(check)} | {_MARKS[check.status]} | {check.rows:,} | "
        f"{notes.index(check.note) + 1 if check.note else ''} |"
        for check in checks
    ]
    lines.append("")
    lines += [f"{k}. {note[0].upper()}{note[1:]}." for k, note in enumerate(notes, start=1)]
    return "\n".join(lines)


def headroom_table(rows: Sequence[HeadroomRow]) -> str:
    """Return the study as a table."""
    lines = [
        "| site | climate | cooling | PUE | cooling, kWh | facility, kWh | mean inlet, °C | "
        "highest inlet, °C | optimum saves of cooling | of facility |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.site} | {row.climate} | {row.controller} | {row.pue:.4f} | "
        f"{row.cooling_kwh:.1f} | {row.facility_kwh:.1f} | "
        f"{row.inlet_mean_c:.1f} | {row.inlet_max_c:.1f} | "
        f"{row.saves_cooling_ratio:.1%} | {row.saves_facility_ratio:.2%} |"
        for row in rows
    ]
    return "\n".join(lines)


def _missed(validation: Validation) -> str:
    if not validation.missed:
        return "Every target is met."
    return "\n".join(
        f"- {check.name}: {check.metric} {number_text(check.value)}, target {_target(check)}."
        for check in validation.missed
    )


def _of(*words: str) -> Callable[[Check], bool]:
    return lambda check: any(word in check.name for word in words)


_IS_GPU: Final = _of("GPU", "Zeus", "Shipped")
_IS_EQUIPMENT: Final = _of("Psychrometrics", "tower:", "CRAH", "Chilled-water pump")
_IS_CHILLER: Final = _of("Chiller ", "Catalogue maps")
_IS_BALANCE: Final = _of("balance")


def _is_bound(check: Check) -> bool:
    return not any(kind(check) for kind in (_IS_GPU, _IS_EQUIPMENT, _IS_CHILLER, _IS_BALANCE))


def blocks(validation: Validation) -> dict[str, str]:
    """Return the text of every generated block, by name."""
    kinds: Mapping[str, Callable[[Check], bool]] = {
        "balances": _IS_BALANCE,
        "gpu": _IS_GPU,
        "equipment": _IS_EQUIPMENT,
        "chillers": _IS_CHILLER,
        "bounds": _is_bound,
    }
    found = {
        name: checks_table([check for check in validation.checks if kind(check)])
        for name, kind in kinds.items()
    }
    return {**found, "headroom": headroom_table(validation.headroom), "missed": _missed(validation)}


def filled(page: str, texts: Mapping[str, str]) -> str:
    """Return ``page`` with its generated blocks replaced.

    Raises:
        ValueError: If the page has other blocks than ``texts``.
    """
    names = [match["name"] for match in _BLOCK.finditer(page)]
    if sorted(names) != sorted(texts):
        raise ValueError(
            f"the page has generated blocks {', '.join(sorted(names))}; "
            f"{', '.join(sorted(texts))} are needed, each once"
        )
    return _BLOCK.sub(lambda m: f"{m[1]}{texts[m['name']]}\n{m[3]}", page)


def write_page(validation: Validation, path: Path) -> None:
    """Rewrite the generated blocks of the page at ``path``.

    Raises:
        ValueError: If a check was not run, for the page would lose what it says.
    """
    if validation.not_run:
        raise ValueError(
            f"{path.name} is generated from all checks, and {len(validation.not_run)} were not "
            f"run: {validation.not_run[0].note}"
        )
    path.write_text(filled(path.read_text(encoding="utf-8"), blocks(validation)), encoding="utf-8")
