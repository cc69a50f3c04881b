"""Savings: as much as the log can honestly say, and what it cannot."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.energy import COVERAGE, PER_WORK, PUE
from coolcap_agent.dashboards.influxql import (
    Column,
    Ratio,
    over_time,
    ratio_in_range,
    ratio_over_time,
    used_in_range,
    used_over_time,
)
from coolcap_agent.dashboards.variables import window_variable
from coolcap_agent.telemetry_log.schema import DECISION, FACILITY_1M, METER

READ_FIRST = """\
A saving is a difference to what **would have been**, and a log holds only what was. Weather, load
and the kind of work differ between any two periods, often by more than any controller saves.

- **Energy per work** is the quantity to watch: it falls when the same work takes less energy.
- **By mode** puts periods of shadow, advise and auto side by side. It is no measurement of a saving
  unless the mode was switched at random, in blocks (switchback), and long enough.
- **Rule and policy** shows how far the policy departs from the feedback rule that would act alone.
"""
COST_PER_WORK = Ratio(name="Cost per work", over="cost_usd", under="work_gpu_h")
CARBON_PER_WORK = Ratio(name="Carbon per work", over="carbon_kg", under="work_gpu_h")
WATER_PER_WORK = Ratio(name="Water per work", over="makeup_water_l", under="work_gpu_h")


def savings() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-savings",
        title="coolcap: Savings",
        about="Energy, cost, carbon and water per unit of useful work, and by mode.",
        range_from="now-30d",
        refresh="5m",
        variables=[window_variable()],
    )
    board.text(1, "Read first", READ_FIRST, height=6)
    ratios = (
        (2, PER_WORK, "suffix: kWh/GPU·h"),
        (3, COST_PER_WORK, "suffix: USD/GPU·h"),
        (4, CARBON_PER_WORK, "suffix: kg/GPU·h"),
        (5, WATER_PER_WORK, "suffix: L/GPU·h"),
    )
    for id_, ratio, unit in ratios:
        board.stat(
            id_,
            ratio.name,
            "Of the sums over the whole range shown.",
            ratio_in_range(FACILITY_1M, ratio),
            unit=unit,
            decimals=3,
        )
    board.stat(
        6,
        "Work",
        "Useful work in the range shown.",
        used_in_range(FACILITY_1M, {"Work": "work_gpu_h"}),
        decimals=1,
    )
    board.stat(
        7,
        "Coverage",
        "Share of the range with complete, plausible counters.",
        ratio_in_range(FACILITY_1M, COVERAGE),
        unit="percentunit",
        decimals=1,
        steps=look.COVERAGE,
    )
    _compared(board)
    return board


def _compared(board: Board) -> None:
    board.table(
        101,
        "By mode",
        "Meters apart for each mode of the controller, over the range shown. Periods differ in "
        "weather and load: see above.",
        used_in_range(
            METER,
            {
                "Covered": "covered_s",
                "Facility": "facility_energy_kwh",
                "IT": "it_energy_kwh",
                "Cooling": "cooling_energy_kwh",
                "Work": "work_gpu_h",
                "Cost": "cost_usd",
                "Carbon": "carbon_kg",
            },
            ratios=[PER_WORK, PUE],
            by=("mode",),
        ),
        width=24,
        height=7,
        units={PER_WORK.name: "suffix: kWh/GPU·h", PUE.name: "none"},
    )
    board.graph(
        102,
        "Energy per work, by $window",
        "Facility energy per reference GPU-hour in each window.",
        ratio_over_time(FACILITY_1M, PER_WORK),
        unit="suffix: kWh/GPU·h",
        decimals=3,
        style="steps",
    )
    board.graph(
        103,
        "Work and energy, by $window",
        "Useful work and the facility's energy in each window, one beside the other.",
        used_over_time(FACILITY_1M, {"Work": "work_gpu_h", "Facility": "facility_energy_kwh"}),
        style="bars",
        zero=True,
    )
    board.graph(
        104,
        "Cost per work, by $window",
        "Price of the facility's energy per reference GPU-hour in each window.",
        ratio_over_time(FACILITY_1M, COST_PER_WORK),
        unit="suffix: USD/GPU·h",
        decimals=3,
        style="steps",
    )
    board.graph(
        105,
        "Rule and policy",
        "Mean cap per GPU: what the feedback rule alone would set, and what was commanded.",
        over_time(
            DECISION,
            [
                Column(name="Rule", field="power_cap_baseline_mean_w"),
                Column(name="Commanded", field="power_cap_commanded_mean_w"),
            ],
        ),
    )
