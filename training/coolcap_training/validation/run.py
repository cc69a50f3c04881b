"""All checks in the order of the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from coolcap_envs.site import load_site
from coolcap_training.validation.balances import check_balances
from coolcap_training.validation.bounds import check_bounds, check_tower_bound
from coolcap_training.validation.cap_sweeps import check_curated, check_zeus
from coolcap_training.validation.check import Found, Validation
from coolcap_training.validation.chillers import check_chillers
from coolcap_training.validation.equipment import check_crah, check_psychrometrics, check_tower
from coolcap_training.validation.gpu_laws import check_gpu_models
from coolcap_training.validation.headroom import check_headroom
from coolcap_training.validation.serving import check_serving

SITES: Final = ("lab-16", "air-1mw", "dlc-rack-scale")
STUDY_SITES: Final = ("lab-16", "dlc-rack-scale")
_DAYS: Final = {"lab-16": 7.0, "air-1mw": 1.0, "dlc-rack-scale": 1.0}
_DAYS_LONG: Final = {"lab-16": 365.0, "air-1mw": 365.0, "dlc-rack-scale": 365.0}

Tell = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


def validate(data: Path | None, *, is_long: bool = False, tell: Tell = _silent) -> Validation:
    """Run every check.

    Args:
        data: Folder of reference data; without it, checks against it are reported as not run.
        is_long: Balances over a year, the study over more days; minutes instead of one or two.
        tell: Is told what begins.
    """
    sites = [load_site(name) for name in SITES]
    days = _DAYS_LONG if is_long else _DAYS
    parts: list[tuple[str, Callable[[], Found]]] = [
        ("GPU caps, training", lambda: check_zeus(data)),
        ("GPU caps, other work", lambda: check_curated(data)),
        ("GPU models", lambda: check_gpu_models(data)),
        ("GPU power when serving", lambda: check_serving(data)),
        ("psychrometrics", lambda: check_psychrometrics(data)),
        ("tower", lambda: check_tower(data)),
        ("air handler", lambda: check_crah(data)),
        ("chillers", lambda: check_chillers(data)),
        ("laws of the tower", check_tower_bound),
        *((f"bounds of {site.name}", lambda site=site: check_bounds(site)) for site in sites),
        *(
            (
                f"balances of {site.name} over {days[site.name]:g} days",
                lambda site=site: check_balances(site, days=days[site.name]),
            )
            for site in sites
        ),
        *(
            (
                f"headroom of {name}",
                lambda name=name: check_headroom(load_site(name), is_long=is_long),
            )
            for name in STUDY_SITES
        ),
    ]
    found: list[Found] = []
    for name, part in parts:
        tell(name)
        found.append(part())
    return Validation(
        checks=tuple(check for one in found for check in one.checks),
        headroom=tuple(row for one in found for row in one.headroom),
        series={name: points for one in found for name, points in one.series.items()},
    )
