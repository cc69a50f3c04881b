"""``report.html``: one self-contained page with the comparison, plots and how to check them."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from coolcap_agent.demo import plots
from coolcap_agent.demo.result import HEADER, METER_HEADER, Result, cells, meter_cells
from coolcap_agent.demo.series import read_series
from coolcap_envs.safety.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """All the page shows.

    Attributes:
        site: Name of the site.
        subtitle: What was run, for how long, with which seed and weather.
        results: Rows of the comparison, the live run first.
        reference: The row the others are compared with.
        limits: The site's limits.
        telemetry_files: The controller's line-protocol files, oldest first.
        facts: Name and value of further figures of the run.
    """

    site: str
    subtitle: str
    results: Sequence[Result]
    reference: Result
    limits: Limits
    telemetry_files: Sequence[Path]
    facts: Sequence[tuple[str, str]]


def _row(tag: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"


def _lines(files: Sequence[Path]) -> list[str]:
    """Return the lines that are plotted."""
    shown = ("plant,", "group,")
    return [
        line
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith(shown)
    ]


def write_report(path: Path, what: ReportInput) -> None:
    """Write the page to ``path``."""
    series = read_series(_lines(what.telemetry_files))
    plant, groups = series["plant"][0], series["group"]
    live = what.results[0]
    saving = 100.0 * live.saving_ratio(what.reference)
    work = 100.0 * (live.totals.work_gpu_h / what.reference.totals.work_gpu_h - 1.0)
    page = Template(
        (resources.files("coolcap_agent.demo") / "report.html").read_text(encoding="utf-8")
    )
    limit_c = what.limits.inlet_temp_max_c
    rows = [_row("td", cells(result, what.reference)) for result in what.results]
    meanings = [
        f"<dt>{html.escape(r.name)}</dt><dd>{html.escape(r.meaning)}</dd>" for r in what.results
    ]
    facts = [_row("td", fact) for fact in what.facts]
    path.write_text(
        page.substitute(
            site=html.escape(what.site),
            subtitle=html.escape(what.subtitle),
            reference=html.escape(what.reference.name),
            saving=f"{-saving:+.1f} %",
            work=f"{work:+.1f} %",
            pue=f"{live.totals.pue:.3f}",
            violations=f"{live.over_limit_min:.1f} min",
            header=_row("th", HEADER),
            rows="\n".join(rows),
            meanings="\n".join(meanings),
            meter_header=_row("th", METER_HEADER),
            meters="\n".join(_row("td", meter_cells(result)) for result in what.results),
            comparison=plots.comparison(what.results, what.reference),
            power=plots.power(plant),
            temperatures=plots.temperatures(plant, inlet_temp_max_c=limit_c),
            caps=plots.caps(groups),
            setpoints=plots.setpoints(plant),
            facts="\n".join(facts),
        ),
        encoding="utf-8",
    )
