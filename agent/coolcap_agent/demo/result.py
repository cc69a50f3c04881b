"""What one controller made of the simulated day, and the table that compares them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table

from coolcap_agent.sim.ground_truth import LATENCY
from coolcap_envs.contract.meters import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of the comparison.

    Attributes:
        name: Controller, baselines by their published names, e.g. ``C0+B3``.
        meaning: The same in plain words.
        totals: Energy, water, carbon and work of the day.
        violation_min: Minutes each limit (inlet, GPU, memory, budgets) was exceeded; for latency
            the mean over the groups.
    """

    name: str
    meaning: str
    totals: Totals
    violation_min: dict[str, float]

    @property
    def over_limit_min(self) -> float:
        """Return minutes above temperature limits or power budgets."""
        return sum(v for kind, v in self.violation_min.items() if kind != LATENCY)

    @property
    def late_min(self) -> float:
        """Return minutes above the latency target, mean over the groups."""
        return self.violation_min.get(LATENCY, 0.0)

    def saving_ratio(self, over: "Result") -> float:
        """Return how much less energy per work this took than ``over``, as a ratio."""
        mine = self.totals.energy_per_work_kwh_per_gpu_h
        return 1.0 - mine / over.totals.energy_per_work_kwh_per_gpu_h

    def as_dict(self) -> dict[str, object]:
        """Return the row for ``summary.json``."""
        t = self.totals
        return {
            "name": self.name,
            "meaning": self.meaning,
            "facility_energy_kwh": t.facility_energy_kwh,
            "it_energy_kwh": t.it_energy_kwh,
            "cooling_energy_kwh": t.cooling_energy_kwh,
            "work_gpu_h": t.work_gpu_h,
            "energy_per_work_kwh_per_gpu_h": t.energy_per_work_kwh_per_gpu_h,
            "pue": t.pue,
            "wue_l_per_kwh": t.wue_l_per_kwh,
            "cue_kg_per_kwh": t.cue_kg_per_kwh,
            "cost_usd": t.cost_usd,
            "carbon_kg": t.carbon_kg,
            "makeup_water_l": t.makeup_water_l,
            "elapsed_s": t.elapsed_s,
            "coverage_ratio": t.coverage_ratio,
            "violation_min": self.violation_min,
        }


HEADER = (
    "controller",
    "kWh/GPUh",
    "change",
    "kWh",
    "GPUh",
    "PUE",
    "L/kWh",
    "over",
    "late",
)
"""Facility energy per work and its change against the reference, facility energy, work, PUE, WUE,
minutes above a temperature limit or power budget, and above the latency target."""


def cells(result: Result, reference: Result) -> tuple[str, ...]:
    """Return one row as texts, in the order of ``HEADER``."""
    t = result.totals
    saving = result.saving_ratio(reference)
    return (
        result.name,
        f"{t.energy_per_work_kwh_per_gpu_h:.4f}",
        "-" if result is reference else f"{-100.0 * saving:+.1f} %",
        f"{t.facility_energy_kwh:.1f}",
        f"{t.work_gpu_h:.1f}",
        f"{t.pue:.3f}",
        f"{t.wue_l_per_kwh:.2f}",
        f"{result.over_limit_min:.1f}",
        f"{result.late_min:.1f}",
    )


METER_HEADER = (
    "controller",
    "facility kWh",
    "IT kWh",
    "cooling kWh",
    "WUE L/kWh",
    "water L",
    "CUE kg/kWh",
    "carbon kg",
    "cost USD",
    "covered",
)
"""What the meters say, for those who want to check a figure."""


def meter_cells(result: Result) -> tuple[str, ...]:
    """Return the meters of one row as texts, in the order of ``METER_HEADER``."""
    t = result.totals
    return (
        result.name,
        f"{t.facility_energy_kwh:.2f}",
        f"{t.it_energy_kwh:.2f}",
        f"{t.cooling_energy_kwh:.2f}",
        f"{t.wue_l_per_kwh:.3f}",
        f"{t.makeup_water_l:.1f}",
        f"{t.cue_kg_per_kwh:.3f}",
        f"{t.carbon_kg:.2f}",
        f"{t.cost_usd:.2f}",
        f"{100.0 * t.coverage_ratio:.1f} %",
    )


def comparison(results: Sequence[Result], reference: Result, *, title: str) -> Table:
    """Return the table for a terminal."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in HEADER:
        justify: Literal["left", "right"] = "left" if column == HEADER[0] else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for result in results:
        table.add_row(*cells(result, reference))
    return table
