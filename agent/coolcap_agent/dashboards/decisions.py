"""Decisions and safety: who decided, what the shield changed and why, and what guards it all."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.influxql import (
    Column,
    Query,
    events,
    newest,
    over_time,
    tag_values,
    used_over_time,
)
from coolcap_agent.dashboards.variables import one_of
from coolcap_agent.telemetry_log.schema import (
    CAP,
    DECISION,
    FACILITY,
    LOOP,
    REASON_NAMES,
    SETPOINT,
)

STEPS = (
    ("Rule", "baseline"),
    ("Policy", "policy"),
    ("Shielded", "shielded"),
    ("Commanded", "commanded"),
    ("Read back", "read_back"),
)
PERIOD = "1m"


def decisions() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-decisions",
        title="coolcap: Decisions and safety",
        about="Each step from the rule to the device, the shield's reasons, deadlines, the log.",
        range_from="now-6h",
        refresh="30s",
        variables=[
            one_of("group", "Group", tag_values(CAP, "group", "site")),
            one_of("lever", "Lever", tag_values(SETPOINT, "lever", "site")),
        ],
    )
    _who(board)
    _steps(board)
    _safety(board)
    _log(board)
    return board


def _who(board: Board) -> None:
    board.timeline(
        1,
        "Mode",
        "What the controller did when.",
        over_time(LOOP, [Column(name="Mode", field="mode_code", function="last")]),
        mappings=look.MODES,
    )
    board.graph(
        2,
        "Who decided",
        "Decisions by where their setpoints came from: the policy, the rule, safe setpoints, the "
        "last command, or the guard between two decisions.",
        over_time(
            DECISION,
            [Column(name="Decisions", field="latency_s", function="count")],
            by=("actor",),
            every=PERIOD,
        ),
        unit="short",
        style="stacked bars",
        decimals=0,
        zero=True,
    )
    board.graph(
        3,
        "Caps from rule to device",
        "Mean cap per GPU at each step of a decision. What the policy asks is a bounded correction "
        "of the rule; the shield has the last word.",
        over_time(
            DECISION,
            [
                Column(name="Rule", field="power_cap_baseline_mean_w"),
                Column(name="Policy", field="power_cap_policy_mean_w"),
                Column(name="Shielded", field="power_cap_shielded_mean_w"),
                Column(name="Commanded", field="power_cap_commanded_mean_w"),
            ],
        ),
    )


def _reasons(of: str) -> Query:
    columns = [
        Column(name=reason.replace("_", " "), field=f"{of}_reason_{reason}_count")
        for reason in REASON_NAMES
    ]
    return over_time(DECISION, columns, every=PERIOD)


def _steps(board: Board) -> None:
    board.row(100, "Why")
    board.graph(
        101,
        "Why the shield changed caps",
        "Number of caps changed per decision, by reason; a cap may have several.",
        _reasons("group"),
        style="stacked bars",
        zero=True,
    )
    board.graph(
        102,
        "Why the shield changed cooling setpoints",
        "Number of levers changed per decision, by reason.",
        _reasons("lever"),
        style="stacked bars",
        zero=True,
    )
    columns = [Column(name=name, field=field, function="last") for name, field in STEPS]
    board.graph(
        103,
        "Cap of $group",
        "The cap per GPU of one group at each step of a decision.",
        over_time(CAP, columns, where='"group" =~ /^$group$/'),
        style="steps",
    )
    board.graph(
        104,
        "$lever",
        "One lever of the plant at each step of a decision; its unit is the end of its name.",
        over_time(SETPOINT, columns, where='"lever" =~ /^$lever$/'),
        style="steps",
    )


def _safety(board: Board) -> None:
    board.row(200, "Safety")
    board.graph(
        201,
        "Margins",
        "Distance to the limits of inlets and GPUs; below zero a limit is passed.",
        over_time(
            FACILITY,
            [
                Column(name="Inlet", field="inlet_margin_k", function="min"),
                Column(name="GPU", field="gpu_temp_margin_k", function="min"),
            ],
        ),
        steps=((None, look.BAD), (0.0, look.WARN), (1.0, look.GOOD)),
        width=8,
    )
    board.graph(
        202,
        "Time of a decision",
        "From telemetry to the agents' answers, and what of it the policy took.",
        over_time(
            DECISION,
            [
                Column(name="Whole", field="latency_s", function="max"),
                Column(name="Policy", field="policy_latency_s", function="max"),
            ],
        ),
        width=8,
        zero=True,
    )
    board.graph(
        203,
        "Missed and refused",
        "Decisions without a usable answer of the policy, and devices that refused a command.",
        used_over_time(LOOP, {"Missed": "missed_count"}, every=PERIOD),
        over_time(
            DECISION,
            [Column(name="Refused", field="refusal_count", function="sum")],
            every=PERIOD,
        ),
        style="bars",
        decimals=0,
        width=8,
        zero=True,
    )
    board.graph(
        204,
        "Agents",
        "Agents whose telemetry arrives, and whose lease is held, of all configured.",
        over_time(
            LOOP,
            [
                Column(name="Configured", field="agent_count", function="last"),
                Column(name="Connected", field="agent_connected_count", function="min"),
                Column(name="Leased", field="agent_leased_count", function="min"),
            ],
        ),
        decimals=0,
        style="steps",
        zero=True,
    )
    board.table(
        205,
        "Events",
        "What began and ended in the range shown, the newest first.",
        events(),
        mappings={"Began": look.BEGAN, "Severity": look.SEVERITIES},
        keeps_time=True,
    )


def _log(board: Board) -> None:
    board.row(300, "This log")
    board.stat(
        301,
        "Lines waiting",
        "Lines in the spool: they wait for the database and are sent when it is back.",
        newest(LOOP, {"Waiting": "log_waiting_count"}),
        steps=((None, look.GOOD), (10_000.0, look.WARN)),
    )
    board.stat(
        302,
        "Lines dropped",
        "Lines given up since the controller's start: refused by the database, or no room.",
        newest(LOOP, {"Dropped": "log_dropped_count"}),
        steps=look.NONE_IS_GOOD,
    )
    board.graph(
        303,
        "Lines written and dropped",
        "Lines of this log by the minute.",
        used_over_time(
            LOOP,
            {"Written": "log_written_count", "Dropped": "log_dropped_count"},
            every=PERIOD,
        ),
        width=16,
        height=6,
        zero=True,
    )
