"""GPUs and caps: how power, caps and temperatures are spread, and single groups."""

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.board import Board
from coolcap_agent.dashboards.influxql import Column, newest, over_time, tag_values
from coolcap_agent.dashboards.variables import RACK_CHOSEN, several_of
from coolcap_agent.telemetry_log.schema import FACILITY, GROUP, RACK_1M

GROUP_CHOSEN = '"group" =~ /^$group$/'


def gpus() -> Board:
    """Return the dashboard."""
    board = Board(
        uid="coolcap-gpus",
        title="coolcap: GPUs and caps",
        about="Power, caps, clocks and temperatures of GPUs: the site's spread, racks, groups.",
        range_from="now-3h",
        refresh="30s",
        variables=[
            several_of("rack", "Racks", tag_values(GROUP, "rack", "site")),
            # Not all at once: a graph of a thousand lines takes a minute and tells nothing.
            several_of("group", "Groups", tag_values(GROUP, "group", "site", "rack")),
        ],
    )
    _spread(board)
    _racks(board)
    _groups(board)
    return board


def _quantiles(field: str, unit: str) -> list[Column]:
    return [
        Column(name="Highest", field=f"{field}_max_{unit}", function="max"),
        Column(name="90 % below", field=f"{field}_p90_{unit}"),
        Column(name="Median", field=f"{field}_p50_{unit}"),
        Column(name="10 % below", field=f"{field}_p10_{unit}"),
    ]


def _spread(board: Board) -> None:
    board.row(100, "Site")
    board.graph(
        101,
        "Power per GPU",
        "How power is spread over the control groups, per GPU.",
        over_time(FACILITY, _quantiles("gpu_power", "w")),
        width=8,
        zero=True,
    )
    board.graph(
        102,
        "Power limit per GPU",
        "How the limits the devices enforce are spread.",
        over_time(FACILITY, _quantiles("power_limit", "w")),
        width=8,
        zero=True,
    )
    board.graph(
        103,
        "GPU temperature",
        "How the hottest GPU of each group is spread.",
        over_time(FACILITY, _quantiles("gpu_temp", "c")),
        width=8,
        decimals=1,
    )
    board.graph(
        104,
        "Utilisation and work",
        "Means over all GPUs. Work is relative to an uncapped GPU at full demand: what caps cost.",
        over_time(
            FACILITY,
            [
                Column(name="Utilisation", field="gpu_util_mean_ratio"),
                Column(name="Memory", field="mem_util_mean_ratio"),
                Column(name="Work", field="work_rate_mean_ratio"),
            ],
        ),
        width=8,
        zero=True,
    )
    board.graph(
        105,
        "Kind of work",
        "Share of GPUs by kind of work.",
        over_time(
            FACILITY,
            [
                Column(name="Training", field="training_mean_ratio"),
                Column(name="Prefill", field="prefill_mean_ratio"),
                Column(name="Decode", field="decode_mean_ratio"),
                Column(name="Memory-bound", field="memory_bound_mean_ratio"),
            ],
        ),
        width=8,
        style="stack",
        zero=True,
    )
    board.graph(
        106,
        "Latency",
        "Worst 99th percentile of latency over its target; above 100 % a promise is broken.",
        over_time(FACILITY, [Column(name="Worst", field="latency_max_ratio", function="max")]),
        width=8,
        steps=((None, look.GOOD), (1.0, look.BAD)),
        zero=True,
    )


def _racks(board: Board) -> None:
    board.row(200, "Racks: $rack")
    board.graph(
        201,
        "Power by rack",
        "IT power of each rack chosen.",
        over_time(
            RACK_1M, [Column(name="Power", field="it_power_w")], by=("rack",), where=RACK_CHOSEN
        ),
        style="stack",
        zero=True,
    )
    board.graph(
        202,
        "Hottest GPU by rack",
        "The hottest GPU of each rack chosen.",
        over_time(
            RACK_1M,
            [Column(name="GPU", field="gpu_temp_c", function="max")],
            by=("rack",),
            where=RACK_CHOSEN,
        ),
        decimals=1,
    )


def _groups(board: Board) -> None:
    board.row(300, "Groups")
    board.table(
        301,
        "Groups of racks $rack",
        "The newest readings of each control group of the racks chosen. A cap is what was "
        "commanded, a limit what the device enforces; where they differ, something else sets it "
        "too.",
        newest(
            GROUP,
            {
                "Power": "gpu_power_w",
                "Cap": "power_cap_w",
                "Limit": "power_limit_w",
                "Clock": "sm_clock_mhz",
                "Utilisation": "gpu_util_ratio",
                "Work": "work_rate_ratio",
                "Latency": "latency_ratio",
                "GPU": "gpu_temp_c",
                "Memory": "hbm_temp_c",
                "Inlet": "inlet_temp_c",
                "Age": "telemetry_age_s",
            },
            by=("group", "node", "rack"),
            where=RACK_CHOSEN,
        ),
        width=24,
        height=12,
        steps={"Age": look.AGE},
    )
    graphs = (
        (302, "Power", "gpu_power_w", "Mean power per GPU of each group chosen."),
        (
            303,
            "Power limit",
            "power_limit_w",
            "Limit the devices enforce, per GPU of each group chosen.",
        ),
        (304, "GPU temperature", "gpu_temp_c", "Hottest GPU of each group chosen."),
        (305, "Work", "work_rate_ratio", "Useful work relative to an uncapped GPU."),
    )
    for id_, title, field, what in graphs:
        board.graph(
            id_,
            f"{title} of $group",
            what,
            over_time(GROUP, [Column(name=title, field=field)], by=("group",), where=GROUP_CHOSEN),
        )
