"""Cooling: what was asked of the plant, what it does, and what it costs."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.energy import COOLING_NAMES, COOLING_SHARE
from coolcap_agent.dashboards.influxql import Column, over_time, ratio_over_time, used_over_time
from coolcap_agent.dashboards.variables import window_variable
from coolcap_agent.telemetry_log.schema import COOLING_POWERS, FACILITY_1M, PLANT_1M

# Title, lever, and the reading that follows it.
LEVERS = (
    ("Supply air", "supply_air_temp_setpoint_c", "supply_air_temp_c"),
    ("Chilled water", "chw_supply_temp_setpoint_c", "chw_supply_temp_c"),
    ("Condenser water", "cw_supply_temp_setpoint_c", "cw_supply_temp_c"),
    ("Air flow", "air_flow_setpoint_ratio", "air_flow_ratio"),
    ("Coolant supply", "cdu_supply_temp_setpoint_c", "cdu_supply_temp_c"),
    ("Coolant flow", "cdu_flow_setpoint_ratio", "cdu_flow_ratio"),
)


def cooling() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-cooling",
        title="coolcap: Cooling",
        about="Setpoints and what follows them, temperatures from chip to sky, cooling power.",
        range_from="now-24h",
        refresh="1m",
        variables=[window_variable()],
    )
    board.row(100, "Setpoints")
    for i, (title, lever, reading) in enumerate(LEVERS):
        board.graph(
            101 + i,
            title,
            "The setpoint in force and what follows it. Empty where the site has no such lever.",
            over_time(
                PLANT_1M,
                [Column(name="Setpoint", field=lever), Column(name="Measured", field=reading)],
            ),
            width=8,
            decimals=1,
        )
    _temperatures(board)
    _power(board)
    return board


def _temperatures(board: Board) -> None:
    board.row(200, "Temperatures")
    board.graph(
        201,
        "Air",
        "The air's way round the hall. The hottest inlet is held below its limit; coolant must "
        "stay above the dew point.",
        over_time(
            PLANT_1M,
            [
                Column(name="Return", field="return_air_temp_c"),
                Column(name="Hottest inlet", field="inlet_temp_max_c", function="max"),
                Column(name="Supply", field="supply_air_temp_c"),
                Column(name="Dew point", field="dew_point_c"),
            ],
        ),
        over_time(FACILITY_1M, [Column(name="Limit", field="inlet_temp_limit_c", function="last")]),
        width=8,
        decimals=1,
    )
    board.graph(
        202,
        "Water",
        "Chilled and condenser water, supply and return.",
        over_time(
            PLANT_1M,
            [
                Column(name="Condenser return", field="cw_return_temp_c"),
                Column(name="Condenser supply", field="cw_supply_temp_c"),
                Column(name="Chilled return", field="chw_return_temp_c"),
                Column(name="Chilled supply", field="chw_supply_temp_c"),
            ],
        ),
        width=8,
        decimals=1,
    )
    board.graph(
        203,
        "Outdoors",
        "What heat is rejected to; the wet bulb is the least a tower can cool to.",
        over_time(
            PLANT_1M,
            [
                Column(name="Dry bulb", field="outdoor_temp_c"),
                Column(name="Wet bulb", field="wet_bulb_temp_c"),
            ],
        ),
        width=8,
        decimals=1,
    )


def _power(board: Board) -> None:
    board.row(300, "Power, water and equipment")
    parts = [
        Column(name=name, field=field)
        for name, field in zip(COOLING_NAMES, COOLING_POWERS, strict=True)
    ]
    board.graph(
        301,
        "Cooling power",
        "What cools the hall, by kind of equipment.",
        over_time(PLANT_1M, parts),
        style="stack",
        zero=True,
    )
    board.graph(
        302,
        "Cooling per IT energy, by $window",
        "Cooling energy over IT energy in each window.",
        ratio_over_time(FACILITY_1M, COOLING_SHARE),
        unit="percentunit",
        decimals=1,
        style="steps",
        zero=True,
    )
    board.graph(
        303,
        "Make-up water, by $window",
        "Water that replaces what evaporated, was blown down or drifted away.",
        used_over_time(FACILITY_1M, {"Water": "makeup_water_l"}),
        style="bars",
        zero=True,
    )
    board.graph(
        304,
        "Equipment fit to run",
        "Share of air handlers and chillers that can run.",
        over_time(
            PLANT_1M,
            [
                Column(name="Air handlers", field="crah_available_ratio", function="min"),
                Column(name="Chillers", field="chiller_available_ratio", function="min"),
            ],
        ),
        steps=((None, look.BAD), (0.5, look.WARN), (0.99, look.GOOD)),
        style="steps",
        zero=True,
    )
