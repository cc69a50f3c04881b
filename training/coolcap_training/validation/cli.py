"""``coolcap-train validate``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import coolcap_training
from coolcap_training.validation.check import Check, HeadroomRow, Validation
from coolcap_training.validation.page import number_text, write_page
from coolcap_training.validation.reference import default_folder

_DOCS: Final = Path("docs") / "explanation"


def _fields(of: Check | HeadroomRow) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__dataclass_fields__}


def as_json(validation: Validation) -> Mapping[str, Any]:
    """Return the findings as one JSON object; series are left out."""
    return {
        "checks": [
            {**_fields(check), "passed": check.passed, "status": check.status}
            for check in validation.checks
        ],
        "headroom": [_fields(row) for row in validation.headroom],
        "missed": [check.name for check in validation.missed],
        "not_run": [check.name for check in validation.not_run],
    }


def as_text(validation: Validation) -> str:
    """Return the findings as lines for a terminal."""
    lines = []
    for check in validation.checks:
        sign = "≤" if check.is_upper else "≥"
        bound = "" if check.target is None else f" ({sign} {number_text(check.target)})"
        what = check.note if check.value is None else f"{number_text(check.value)}{bound}"
        lines.append(f"{check.status:9} {check.name}: {check.metric} {what}, {check.rows} rows")
    lines += [
        f"{row.site} {row.climate} {row.controller}: PUE {row.pue:.4f}, optimum saves "
        f"{row.saves_cooling_ratio:.1%} of cooling, {row.saves_facility_ratio:.2%} of facility"
        for row in validation.headroom
    ]
    lines.append(
        f"{len(validation.checks)} checks: {len(validation.missed)} missed, "
        f"{len(validation.not_run)} not run"
    )
    return "\n".join(lines)


def docs_folder() -> Path:
    """Return the folder of the page on the plant model.

    Raises:
        OSError: If the package does not run from a checkout.
    """
    folder = Path(coolcap_training.__file__).resolve().parents[2] / _DOCS
    if not folder.is_dir():
        raise OSError(f"--write-docs needs a checkout; there is no {_DOCS} beside the package")
    return folder


def validate(
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", exists=True, file_okay=False, help="Reference data; ../shared/data without."
        ),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Balances over a year, the study over more days.")
    ] = False,
    require_data: Annotated[
        bool, typer.Option("--require-data", help="Exit with 3 if a check was not run.")
    ] = False,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Rewrite docs/explanation/plant-model.md.")
    ] = False,
    as_one_object: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Hold the simulated plant against measurements, other programs and physical bounds.

    Exit status: 0 all targets met, 1 a target missed, 3 checks not run although required.
    """
    from coolcap_training.validation.plots import write_plots
    from coolcap_training.validation.run import validate as run_checks

    folder = docs_folder() if write_docs else None

    def tell(what: str) -> None:
        print(f"{what} …", file=sys.stderr)

    validation = run_checks(data or default_folder(), is_long=long, tell=tell)
    if folder is not None:
        write_page(validation, folder / "plant-model.md")
        write_plots(validation, folder / "images")
    text = json.dumps(as_json(validation)) if as_one_object else as_text(validation)
    print(text)
    raise typer.Exit(validation.exit_code(require_data=require_data))
