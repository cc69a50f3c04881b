"""What the console shows, as plain values for JSON: the hall as it stands, and as it is now.

The hall as it stands is sent once; what changes is sent with each tick as arrays in the order of
the layout, so that ten thousand GPUs are some tens of kilobytes. Unknown is null.
"""

from math import isfinite
from typing import Any, Final

import numpy as np

from coolcap_agent.console.calls import as_json
from coolcap_agent.controller.modes import ASK
from coolcap_agent.controller.run_meter import cooling_power_w, power_bound_w
from coolcap_agent.controller.status import Scene, status_message
from coolcap_agent.daemon.version import agent_version
from coolcap_agent.sink.base import SinkStatus
from coolcap_agent.telemetry_log.fleet_sums import Parts
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import REASON_TEXT

HISTORY_NAMES: Final = (
    "it_power_w",
    "facility_power_w",
    "cooling_power_w",
    "it_power_bound_w",
    "inlet_temp_max_c",
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "supply_air_temp_c",
    "supply_air_temp_setpoint_c",
    "chw_supply_temp_c",
    "chw_supply_temp_setpoint_c",
    "gpu_temp_max_c",
    "power_cap_mean_w",
    "work_rate_mean_ratio",
)
"""Columns of the history: of the signal table, the status and over all groups."""
PLANT_SHOWN: Final = (
    "supply_air_temp_c",
    "return_air_temp_c",
    "chw_supply_temp_c",
    "chw_return_temp_c",
    "cw_supply_temp_c",
    "cw_return_temp_c",
    "cdu_supply_temp_c",
    "cdu_return_temp_c",
    "outdoor_temp_c",
    "wet_bulb_temp_c",
    "crah_fan_power_w",
    "chiller_power_w",
    "pump_power_w",
    "tower_fan_power_w",
    "loss_power_w",
)
"""Readings of the plant beside its levers."""


def number(value: float, decimals: int = 3) -> float | None:
    """Return a value for JSON: rounded, None where it is not known."""
    return round(float(value), decimals) if isfinite(value) else None


def numbers(values: FloatArray, decimals: int = 1) -> list[float | None]:
    """Return values for JSON."""
    rounded: list[float] = np.round(values, decimals).tolist()
    return [value if isfinite(value) else None for value in rounded]


def whole(values: FloatArray) -> list[int | None]:
    """Return values for JSON, to the next whole number."""
    return [None if not isfinite(value) else round(value) for value in values.tolist()]


def layout_view(layout: Layout, limits: Limits) -> dict[str, Any]:
    """Return the hall as it stands: racks, nodes, groups and how many GPUs each has."""
    racks: dict[str, dict[str, list[int]]] = {}
    for n, (rack, node) in enumerate(zip(layout.rack_names, layout.node_names, strict=True)):
        racks.setdefault(rack, {}).setdefault(node, []).append(n)
    return {
        "site": layout.name,
        "version": agent_version(),
        "racks": [
            {"name": rack, "nodes": [{"name": node, "groups": g} for node, g in nodes.items()]}
            for rack, nodes in racks.items()
        ],
        "groups": list(layout.group_names),
        "gpu_counts": layout.gpu_count.tolist(),
        "power_limit_max_w": whole(layout.power_limit_max_w),
        "power_limit_min_w": whole(layout.power_limit_min_w),
        "inlet_temp_max_c": limits.inlet_temp_max_c,
        "gpu_temp_max_c": limits.gpu_temp_max_c,
        "levers": [
            {"name": lever.name, "unit": lever.unit, "meaning": lever.meaning}
            for lever, present in zip(PLANT_LEVERS, layout.plant_levers, strict=True)
            if present
        ],
        "plant": [
            {"name": s.name, "unit": s.unit, "meaning": s.meaning}
            for s in PLANT_SIGNALS
            if s.name in PLANT_SHOWN
        ],
        "modes": [str(mode) for mode in ASK],
        "reasons": {str(r.name).lower(): text for r, text in REASON_TEXT.items()},
    }


def state_view(
    scene: Scene, racks: Parts, gpus: FloatArray, *, status: dict[str, Any], log: SinkStatus
) -> dict[str, Any]:
    """Return the hall as it is now.

    Args:
        scene: What the controller knows.
        racks: The layout's racks.
        gpus: Readings per GPU in the order of the groups, columns as ``GROUP_SIGNALS``.
        status: From :func:`status_view`.
        log: How the telemetry log is doing.
    """
    state = scene.state
    telemetry = state.telemetry
    rows = racks.rows(telemetry.groups)
    agents = status.pop("agents")
    return {
        **status,
        "time_s": float(telemetry.time_s),
        "fit": state.verdict.fit,
        "failure": state.failure,
        "agents": {
            "count": len(agents),
            "live": sum(a["connection"] == "CONNECTION_STATE_LIVE" for a in agents),
            "leased": sum(a["lease_held"] for a in agents),
            "troubled": [
                {"agent": a["agent_id"], "message": a["message"]} for a in agents if a["message"]
            ],
        },
        "plant": {name: number(float(telemetry.of_plant(name))) for name in PLANT_SHOWN},
        "inlet_temp_max_c": number(float(telemetry.of_plant("inlet_temp_max_c"))),
        "racks": {
            "inlet_c": numbers(rows[:, GROUP_COLUMN["inlet_temp_c"]]),
            "power_w": whole(rows[:, GROUP_COLUMN["it_power_w"]]),
        },
        "groups": {
            "cap_w": whole(state.commanded.power_cap_w),
            "fit": np.asarray(state.verdict.groups).tolist(),
        },
        "gpus": {
            "power_w": whole(gpus[:, GROUP_COLUMN["gpu_power_w"]]),
            "limit_w": whole(gpus[:, GROUP_COLUMN["power_limit_w"]]),
            "temp_c": whole(gpus[:, GROUP_COLUMN["gpu_temp_c"]]),
        },
        "log": {
            "written": log.written,
            "waiting": log.waiting,
            "dropped": log.dropped,
            "problem": log.problem,
        },
    }


def status_view(scene: Scene) -> dict[str, Any]:
    """Return the operator API's status without its groups, which the arrays hold."""
    message = status_message(scene)
    message.ClearField("groups")
    return as_json(message)


def history_row(telemetry: Telemetry, layout: Layout) -> FloatArray:
    """Return the present values of ``HISTORY_NAMES``."""
    power = {
        "cooling_power_w": cooling_power_w(telemetry),
        "it_power_bound_w": power_bound_w(telemetry, layout),
    }
    known = {signal.name for signal in PLANT_SIGNALS}
    weight = layout.gpu_count.astype(np.float64)

    def value(name: str) -> float:
        if name in power:
            return power[name]
        if name in known:
            return float(telemetry.of_plant(name))
        if name == "gpu_temp_max_c":
            temps_c = telemetry.group("gpu_temp_c")
            return float(np.nanmax(temps_c)) if np.isfinite(temps_c).any() else float("nan")
        column = "power_limit_w" if name == "power_cap_mean_w" else "work_rate_ratio"
        return float((telemetry.group(column) * weight).sum() / weight.sum())

    return np.array([value(name) for name in HISTORY_NAMES])
