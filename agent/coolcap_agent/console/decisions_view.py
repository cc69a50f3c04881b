"""Decisions as the console lists them: the newest of the site, and what changed one group's cap."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from coolcap_agent.console.view import number
from coolcap_agent.controller.decisions import DecisionRecord, reason_codes
from coolcap_agent.daemon.wire import timestamp
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.telemetry import FloatArray

CHANGED_W: Final = 1.0
"""Smaller changes of a cap are not listed."""
CHANGED_LEVER: Final = np.array([0.005 if lever.unit == "1" else 0.1 for lever in PLANT_LEVERS])
"""The same for levers: half a per cent, 0.1 K."""


def _target(record: DecisionRecord) -> FloatArray:
    """Return caps after the decision; in a mode that sends nothing those it would have sent."""
    sent = record.commanded.power_cap_w
    if record.mode.mode.writes:
        return sent
    return record.shielded.setpoints.power_cap_w


def _moved(before: FloatArray, after: FloatArray, least: float | FloatArray) -> FloatArray:
    """Return by how much values change, 0 where they stay or are not known."""
    change = after - before
    return np.where(np.isfinite(change) & (np.abs(change) >= least), change, 0.0)


def decision_row(record: DecisionRecord, layout: Layout) -> dict[str, Any]:
    """Return one decision about the whole site in short."""
    change_w = _moved(record.in_force.power_cap_w, _target(record), CHANGED_W)
    bits = record.shielded.group_reasons[change_w != 0.0].tolist()
    reasons = Counter(code for value in bits for code in reason_codes(int(value)))
    levers = _moved(record.in_force.plant, record.shielded.setpoints.plant, CHANGED_LEVER)
    return {
        "number": record.number,
        "time": timestamp(record.time_s).ToJsonString(),
        "mode": str(record.mode.mode),
        "actor": str(record.actor),
        "sent": record.mode.mode.writes,
        "failure": record.failure,
        "lowered": int((change_w < 0.0).sum()),
        "raised": int((change_w > 0.0).sum()),
        "change_w": number(float((change_w * layout.gpu_count).sum()), 0),
        "levers": [
            {
                "name": lever.name,
                "unit": lever.unit,
                "from": number(float(record.in_force.plant[k])),
                "to": number(float(record.shielded.setpoints.plant[k])),
            }
            for k, lever in enumerate(PLANT_LEVERS)
            if levers[k] != 0.0
        ],
        "reasons": [code for code, _ in reasons.most_common(3)],
        "refusals": len(record.applied.refusals),
    }


def newest_decisions(
    records: Sequence[DecisionRecord], layout: Layout, *, count: int
) -> list[dict[str, Any]]:
    """Return the newest decisions, the newest first."""
    return [decision_row(record, layout) for record in records[::-1][:count]]


def cap_changes(
    records: Iterable[DecisionRecord], layout: Layout, group: str, *, count: int
) -> list[dict[str, Any]]:
    """Return what changed the cap of a group, the newest first.

    Raises:
        ValueError: If the site has no such group.
    """
    n = layout.group_names.index(group)
    found: list[dict[str, Any]] = []
    for record in records:
        before_w, after_w = float(record.in_force.power_cap_w[n]), float(_target(record)[n])
        if not abs(after_w - before_w) >= CHANGED_W:
            continue
        found.append(
            {
                "number": record.number,
                "time": timestamp(record.time_s).ToJsonString(),
                "from_w": number(before_w, 0),
                "to_w": number(after_w, 0),
                "sent": record.mode.mode.writes,
                "actor": str(record.actor),
                "reasons": list(reason_codes(int(record.shielded.group_reasons[n]))),
            }
        )
    return found[::-1][:count]
