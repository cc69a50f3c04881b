"""Operations: what the hall does now, and whether somebody must act."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.influxql import (
    Column,
    Ratio,
    events,
    newest,
    over_time,
    ratio_in_range,
    tag_values,
)
from coolcap_agent.dashboards.variables import RACK_CHOSEN, several_of
from coolcap_agent.telemetry_log.schema import AGENT, BUDGET, FACILITY, LOOP, RACK, RACK_1M


def operations() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-operations",
        title="coolcap: Operations",
        about="The hall now: power, temperatures, budgets, agents, mode, and what is wrong.",
        range_from="now-1h",
        refresh="10s",
        variables=[several_of("rack", "Racks", tag_values(RACK, "rack", "site"))],
    )
    _now(board)
    _power(board)
    _temperatures(board)
    _control(board)
    return board


def _now(board: Board) -> None:
    board.stat(
        1,
        "Mode",
        "What the controller does now.",
        newest(LOOP, {"Mode": "mode_code"}),
        mappings=look.MODES,
        unit="short",
    )
    board.stat(
        2,
        "Facility power",
        "Power at the facility's meter now.",
        newest(FACILITY, {"Facility": "facility_power_w"}),
        decimals=1,
    )
    board.stat(
        3,
        "IT power",
        "Power of the IT equipment now.",
        newest(FACILITY, {"IT": "it_power_w"}),
        decimals=1,
    )
    board.stat(
        4,
        "Inlet margin",
        "How far the hottest server inlet is below the site's limit.",
        newest(FACILITY, {"Margin": "inlet_margin_k"}),
        decimals=1,
        steps=look.INLET_MARGIN,
    )
    board.stat(
        5,
        "GPU margin",
        "How far the hottest GPU, or its memory, is below its limit.",
        newest(FACILITY, {"Margin": "gpu_temp_margin_k"}),
        decimals=1,
        steps=look.GPU_MARGIN,
    )
    board.stat(
        6,
        "PUE of this range",
        "Facility energy over IT energy in the whole range shown (ISO/IEC 30134-2); a ratio of "
        "energies, not of powers.",
        ratio_in_range(
            FACILITY, Ratio(name="PUE", over="facility_energy_kwh", under="it_energy_kwh")
        ),
        unit="none",
        decimals=3,
    )


def _power(board: Board) -> None:
    board.row(100, "Power")
    board.graph(
        101,
        "Power",
        "What facility and IT equipment draw, and the most the IT equipment could draw under the "
        "caps in force, whatever runs on it.",
        over_time(
            FACILITY,
            [
                Column(name="Facility", field="facility_power_w"),
                Column(name="IT", field="it_power_w"),
                Column(name="IT at most", field="it_power_bound_w"),
            ],
        ),
        zero=True,
        decimals=1,
    )
    board.table(
        102,
        "Budgets",
        "Each power budget: allowed, drawn, and the most its members could draw. A negative margin "
        "is a budget that is exceeded.",
        newest(
            BUDGET,
            {
                "Budget": "budget_w",
                "Power": "power_w",
                "At most": "power_bound_w",
                "Margin": "margin_w",
            },
            by=("budget",),
        ),
        steps={"Margin": look.BUDGET_MARGIN},
    )
    board.table(
        103,
        "Racks",
        "The newest readings of each rack. A line for each of them over time would be hundreds: "
        "choose some above and see below.",
        newest(
            RACK,
            {"Power": "it_power_w", "Inlet": "inlet_temp_c", "GPU": "gpu_temp_c"},
            by=("rack",),
        ),
    )
    board.graph(
        104,
        "Budget margin",
        "What each budget has left; below zero it is exceeded.",
        over_time(
            BUDGET, [Column(name="Margin", field="margin_w", function="min")], by=("budget",)
        ),
        steps=look.BUDGET_MARGIN,
    )


def _temperatures(board: Board) -> None:
    board.row(200, "Temperatures")
    board.graph(
        201,
        "Server inlets",
        "Hottest inlet of the hall against the site's limit, and how inlets are spread.",
        over_time(
            FACILITY,
            [
                Column(name="Limit", field="inlet_temp_limit_c", function="last"),
                Column(name="Hottest", field="inlet_temp_max_c", function="max"),
                Column(name="90 % of groups below", field="inlet_temp_p90_c"),
                Column(name="Median", field="inlet_temp_p50_c"),
            ],
        ),
        decimals=1,
    )
    board.graph(
        202,
        "Hottest inlet of $rack",
        "The hottest inlet of each rack chosen, mean of each minute.",
        over_time(
            RACK_1M,
            [Column(name="Inlet", field="inlet_temp_c", function="max")],
            by=("rack",),
            where=RACK_CHOSEN,
        ),
        decimals=1,
    )


def _control(board: Board) -> None:
    board.row(300, "Control")
    board.timeline(
        301,
        "Mode",
        "What the controller did when.",
        over_time(LOOP, [Column(name="Mode", field="mode_code", function="last")]),
        mappings=look.MODES,
    )
    board.table(
        302,
        "Agents",
        "Each agent: whether its telemetry arrives and the controller may command it.",
        newest(
            AGENT,
            {
                "Connected": "connected",
                "Lease held": "lease_held",
                "Age of telemetry": "telemetry_age_s",
            },
            by=("agent", "kind"),
        ),
        mappings={"Connected": look.YES_IS_GOOD, "Lease held": look.YES_IS_GOOD},
        steps={"Age of telemetry": look.AGE},
    )
    board.table(
        303,
        "Events",
        "What began and ended in the range shown, the newest first.",
        events(),
        mappings={"Began": look.BEGAN, "Severity": look.SEVERITIES},
        keeps_time=True,
    )
    board.graph(
        304,
        "Age of telemetry",
        "The oldest reading that decisions need. Beyond the site's limit the loop falls back to "
        "safe setpoints.",
        over_time(FACILITY, [Column(name="Oldest", field="telemetry_age_max_s", function="max")]),
        steps=look.AGE,
        zero=True,
    )
    board.graph(
        305,
        "Groups without good readings",
        "Control groups whose readings are too old, missing or out of range: they are left as they "
        "are.",
        over_time(
            FACILITY,
            [
                Column(name="Without", field="group_stale_count", function="max"),
                Column(name="All", field="group_count", function="last"),
            ],
        ),
        zero=True,
        decimals=0,
    )
