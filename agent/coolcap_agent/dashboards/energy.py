"""Energy and PUE: meters over windows, by ISO/IEC 30134."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.influxql import (
    Column,
    Ratio,
    over_time,
    ratio_in_range,
    ratio_over_time,
    rest_over_time,
    used_in_range,
    used_over_time,
)
from coolcap_agent.dashboards.variables import window_variable
from coolcap_agent.telemetry_log.schema import COOLING_POWERS, FACILITY_1M, PLANT_1M

PUE = Ratio(name="PUE", over="facility_energy_kwh", under="it_energy_kwh")
WUE = Ratio(name="WUE", over="makeup_water_l", under="it_energy_kwh")
CUE = Ratio(name="CUE", over="carbon_kg", under="it_energy_kwh")
ITUE = Ratio(name="ITUE", over="gpu_it_energy_kwh", under="gpu_energy_kwh")
TUE = Ratio(name="TUE", over="facility_energy_kwh", under="gpu_energy_kwh")
COOLING_SHARE = Ratio(name="Cooling / IT", over="cooling_energy_kwh", under="it_energy_kwh")
PER_WORK = Ratio(name="Energy per work", over="facility_energy_kwh", under="work_gpu_h")
COVERAGE = Ratio(name="Coverage", over="covered_s", under="elapsed_s")
COOLING_NAMES = ("Fans", "Chillers", "Pumps", "Towers")


def energy() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-energy",
        title="coolcap: Energy and PUE",
        about="Energy, water, carbon and cost by the meters, with the share of time they cover.",
        range_from="now-7d",
        refresh="1m",
        variables=[window_variable()],
    )
    _range(board)
    _windows(board)
    _inputs(board)
    return board


def _range(board: Board) -> None:
    ratios = (
        (1, "PUE", "Facility energy over IT energy (ISO/IEC 30134-2)", PUE, "none"),
        (2, "WUE", "Make-up water over IT energy (ISO/IEC 30134-9)", WUE, "suffix: L/kWh"),
        (3, "CUE", "Carbon over IT energy (ISO/IEC 30134-8)", CUE, "suffix: kg/kWh"),
        (
            4,
            "Energy per work",
            "Facility energy per reference GPU-hour: what coolcap minimises",
            PER_WORK,
            "suffix: kWh/GPU·h",
        ),
    )
    for id_, title, what, ratio, unit in ratios:
        board.stat(
            id_,
            title,
            f"{what}, of the sums over the whole range shown.",
            ratio_in_range(FACILITY_1M, ratio),
            unit=unit,
            decimals=3,
        )
    board.stat(
        5,
        "Work",
        "Useful work in the range: 1 GPU·h is an hour of one uncapped GPU at full demand.",
        used_in_range(FACILITY_1M, {"Work": "work_gpu_h"}),
        decimals=1,
    )
    board.stat(
        6,
        "Coverage",
        "Share of the range with complete, plausible counters. Sums and ratios are of the covered "
        "time only.",
        ratio_in_range(FACILITY_1M, COVERAGE),
        unit="percentunit",
        decimals=1,
        steps=look.COVERAGE,
    )
    sums = (
        (7, "Facility energy", "facility_energy_kwh"),
        (8, "IT energy", "it_energy_kwh"),
        (9, "Cooling energy", "cooling_energy_kwh"),
        (10, "Water", "makeup_water_l"),
        (11, "Carbon", "carbon_kg"),
        (12, "Cost", "cost_usd"),
    )
    for id_, title, field in sums:
        board.stat(
            id_,
            title,
            "Sum over the range shown.",
            used_in_range(FACILITY_1M, {title: field}),
            decimals=2,
        )
    inside = (
        (
            13,
            "ITUE",
            "IT energy over that of the GPUs, in the time all of them were known. It falls when "
            "server fans do, where PUE rises",
            ITUE,
        ),
        (
            14,
            "TUE",
            "Facility energy over that of the GPUs: ITUE times PUE, if all GPUs were known all the "
            "time",
            TUE,
        ),
    )
    for id_, title, what, ratio in inside:
        board.stat(
            id_,
            title,
            f"{what}, of the sums over the whole range shown.",
            ratio_in_range(FACILITY_1M, ratio),
            unit="none",
            decimals=3,
        )


def _windows(board: Board) -> None:
    board.row(100, "By window of $window")
    board.graph(
        101,
        "PUE",
        "Facility energy over IT energy in each window.",
        ratio_over_time(FACILITY_1M, PUE),
        unit="none",
        decimals=3,
        style="steps",
    )
    board.graph(
        102,
        "Energy",
        "Energy of each window by its use.",
        used_over_time(
            FACILITY_1M,
            {"IT": "it_energy_kwh", "Cooling": "cooling_energy_kwh"},
        ),
        rest_over_time(
            FACILITY_1M,
            "Losses and other",
            whole="facility_energy_kwh",
            parts=("it_energy_kwh", "cooling_energy_kwh"),
        ),
        style="stacked bars",
        zero=True,
    )
    board.graph(
        103,
        "Energy per work",
        "Facility energy per reference GPU-hour in each window.",
        ratio_over_time(FACILITY_1M, PER_WORK),
        unit="suffix: kWh/GPU·h",
        decimals=3,
        style="steps",
    )
    board.graph(
        104,
        "Cooling per IT energy",
        "Cooling energy over IT energy in each window.",
        ratio_over_time(FACILITY_1M, COOLING_SHARE),
        unit="percentunit",
        decimals=1,
        style="steps",
        zero=True,
    )
    board.graph(
        105,
        "WUE",
        "Make-up water over IT energy in each window.",
        ratio_over_time(FACILITY_1M, WUE),
        unit="suffix: L/kWh",
        decimals=2,
        style="steps",
        width=8,
        zero=True,
    )
    board.graph(
        106,
        "CUE",
        "Carbon over IT energy in each window.",
        ratio_over_time(FACILITY_1M, CUE),
        unit="suffix: kg/kWh",
        decimals=3,
        style="steps",
        width=8,
        zero=True,
    )
    board.graph(
        107,
        "Coverage",
        "Share of each window with complete, plausible counters.",
        ratio_over_time(FACILITY_1M, COVERAGE),
        unit="percentunit",
        style="steps",
        width=8,
        zero=True,
    )


def _inputs(board: Board) -> None:
    board.row(200, "Power, price and carbon")
    parts = [
        Column(name=name, field=field)
        for name, field in zip(COOLING_NAMES, COOLING_POWERS, strict=True)
    ]
    board.graph(
        201,
        "Power by use",
        "Mean power by the minute or longer.",
        over_time(
            PLANT_1M,
            [
                Column(name="IT", field="it_power_w"),
                *parts,
                Column(name="Losses", field="loss_power_w"),
            ],
        ),
        style="stack",
        zero=True,
    )
    board.graph(
        202,
        "Price",
        "Price of electricity.",
        over_time(PLANT_1M, [Column(name="Price", field="price_usd_per_kwh")]),
        width=6,
    )
    board.graph(
        203,
        "Carbon intensity",
        "Carbon intensity of the grid.",
        over_time(PLANT_1M, [Column(name="Carbon", field="grid_carbon_g_per_kwh")]),
        width=6,
    )
