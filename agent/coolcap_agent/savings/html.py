"""The report as one page that needs nothing else: no script, no font, no network."""

from html import escape
from math import isfinite
from typing import Final

from coolcap_agent.clock import time_text
from coolcap_agent.controller.switchback import Arm
from coolcap_agent.savings.blocks import COVARIATES
from coolcap_agent.savings.estimate import Estimate
from coolcap_agent.savings.report import MAIN, Report

RELATIVE: Final = {
    MAIN: "facility energy per unit of work",
    "work_gpu_h": "useful work (throughput)",
    "facility_energy_kwh": "facility energy",
    "it_energy_kwh": "IT energy",
    "cooling_energy_kwh": "cooling energy",
    "makeup_water_l": "make-up water",
    "carbon_kg": "carbon",
    "cost_usd": "cost of energy",
}
ABSOLUTE: Final = {
    **COVARIATES,
    "inlet_temp_max_c": "hottest inlet",
    "return_air_temp_c_at_block_end": "return air at block end (stored heat)",
    "chw_return_temp_c_at_block_end": "chilled water return at block end (stored heat)",
    "cdu_return_temp_c_at_block_end": "coolant return at block end (stored heat)",
}
UNKNOWN: Final = "not known"
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1b1f24}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .9em;text-align:right;
border-bottom:1px solid #d8dee4}td:first-child,th:first-child{text-align:left}
.claim{font-size:1.15em;border-left:4px solid #1a7f37;padding:.5em 1em;background:#f3faf5}
.none{border-color:#9a6700;background:#fdf8ec}.out td{color:#818a94}svg{max-width:100%}
"""


def page(report: Report) -> str:
    """Return the report as HTML."""
    plan = report.plan
    kind = "claim none" if report.refusals else "claim"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>Savings of {escape(report.site)}</title><style>{_STYLE}</style>",
        f"<h1>Savings of {escape(report.site)}</h1>",
        f'<p class="{kind}">{escape(report.claim)}</p>',
        f"<p>Randomised switchback: {plan.pair_count} pairs of blocks of "
        f"{plan.block_s / 3600.0:g} h from {time_text(plan.start_time_s)}, first "
        f"{plan.washout_s / 3600.0:g} h of each left out, order drawn from seed {plan.seed}. "
        "Differences are policy against feedback rule within pairs; intervals are 95 %, the wider "
        "of bootstrap over pairs and Student's; p is the share of orders within pairs that would "
        "give as large a difference.</p>",
        "<h2>What was used and done</h2>",
        _table(report.relative, RELATIVE, unit="%"),
        _points(report),
        "<h2>What neither arm decides, and what was left behind</h2>",
        "<p>Weather should not differ; temperatures at block ends show heat that one arm leaves "
        "to the other.</p>",
        _table(report.absolute, ABSOLUTE, unit="K"),
        _weather(report.at_equal_weather),
        _debt(report.debt_kwh),
        "<h2>Blocks</h2>",
        _blocks(report),
    ]
    return "\n".join(parts) + "\n"


def _number(value: float, unit: str) -> str:
    if not isfinite(value):
        return UNKNOWN
    return f"{100.0 * value:+.2f} %" if unit == "%" else f"{value:+.2f} K"


def _table(found: dict[str, Estimate], names: dict[str, str], *, unit: str) -> str:
    rows = [
        "<table><tr><th>policy against rule<th>difference<th>from<th>to<th>p<th>pairs</tr>",
        *(
            f"<tr><td>{escape(text)}<td>{_number(found[name].mean, unit)}"
            f"<td>{_number(found[name].low, unit)}<td>{_number(found[name].high, unit)}"
            f"<td>{found[name].p_value:.3f}<td>{found[name].count}</tr>"
            for name, text in names.items()
            if found[name].count
        ),
        "</table>",
    ]
    return "".join(rows)


def _points(report: Report) -> str:
    """Return energy per work of each pair as a drawing: a point per pair, and zero."""
    by_pair: dict[int, dict[Arm, float]] = {}
    for block in report.blocks:
        if not block.problem and block.used["work_gpu_h"] > 0.0:
            per_work = block.used["facility_energy_kwh"] / block.used["work_gpu_h"]
            by_pair.setdefault(block.pair, {})[block.arm] = per_work
    shares = [
        (pair, of[Arm.POLICY] / of[Arm.BASELINE] - 1.0)
        for pair, of in sorted(by_pair.items())
        if len(of) == len(Arm)
    ]
    if not shares:
        return ""
    most = max(max(abs(share) for _, share in shares), 1e-6) * 1.1
    width, height = 720.0, 180.0
    step = width / len(shares)
    dots = "".join(
        f'<circle cx="{(n + 0.5) * step:.1f}" cy="{0.5 * height * (1.0 - share / most):.1f}" '
        f'r="4" fill="#0969da"><title>pair {pair}: {100.0 * share:+.2f} %</title></circle>'
        for n, (pair, share) in enumerate(shares)
    )
    zero = f'<path d="M0 {0.5 * height}H{width}" stroke="#818a94"/>'
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="energy per work by pair">'
        f"{zero}{dots}</svg><p>Energy per unit of work, one point per pair, "
        f"{100.0 * most:.1f} % above and below the line of no difference.</p>"
    )


def _weather(e: Estimate | None) -> str:
    if e is None:
        return "<p>Too few pairs to compute the difference at equal weather and work.</p>"
    return (
        "<p>Energy per unit of work at equal wet bulb and work (least squares over pairs): "
        f"{_number(e.mean, '%')} ({_number(e.low, '%')} to {_number(e.high, '%')}).</p>"
    )


def _debt(debt_kwh: float | None) -> str:
    if debt_kwh is None:
        return "<p>The hall's heat capacity was not given, so stored heat is told in K only.</p>"
    return f"<p>Heat stored at the end of the policy's blocks: {debt_kwh:+.2f} kWh.</p>"


def _blocks(report: Report) -> str:
    head = (
        "<table><tr><th>block<th>arm<th>facility kW<th>work GPU·h/h<th>wet bulb °C"
        "<th>least inlet margin K<th>within 1 K<th>counts</tr>"
    )
    rows = []
    for block in report.blocks:
        used = block.used
        counts = escape(block.problem) or "yes"
        rows.append(
            f'<tr class="{"out" if block.problem else ""}"><td>{block.index}<td>{block.arm}'
            f"<td>{_plain(used['facility_energy_kwh'])}<td>{_plain(used['work_gpu_h'])}"
            f"<td>{_plain(block.covariates['wet_bulb_temp_c'])}<td>{_plain(block.margin_min_k)}"
            f"<td>{_plain(100.0 * block.near_limit_ratio)} %<td>{counts}</tr>"
        )
    return head + "".join(rows) + "</table>"


def _plain(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else UNKNOWN
