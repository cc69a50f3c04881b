"""Whose turn it is in a switchback, and a canary apart from the rest, as lines of the log."""

from collections.abc import Iterable

import numpy as np

from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.switchback import Arm
from coolcap_agent.sink.line_protocol import line
from coolcap_agent.telemetry_log.schema import CANARY, SWITCHBACK
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray


def steering_lines(state: LoopState, layout: Layout, *, at_ns: int) -> Iterable[bytes]:
    """Return the lines there is reason for: none without a switchback and a canary."""
    tags = {"site": layout.name}
    plan, turn = state.wishes.switchback, state.division.turn
    if plan is not None and turn is not None:
        undisturbed = state.mode.mode is Mode.AUTO and state.leads and not state.overrides
        fields = {
            "start_time_s": plan.start_time_s,
            "block_s": plan.block_s,
            "washout_s": plan.washout_s,
            "pair_count": plan.pair_count,
            "seed": plan.seed,
            "block_index": turn.block,
            "policy_arm": float(turn.arm is Arm.POLICY),
            "washing_out": float(turn.washing_out),
            "undisturbed": float(undisturbed),
        }
        yield line(SWITCHBACK.name, tags, fields, at_ns=at_ns)
    if state.division.mixed:
        own = state.division.groups
        for arm, members in ((Arm.POLICY, own), (Arm.BASELINE, ~own)):
            values = _canary(state, layout, members)
            yield line(CANARY.name, {**tags, "arm": arm.value}, values, at_ns=at_ns)


def _canary(state: LoopState, layout: Layout, members: BoolArray) -> dict[str, float]:
    """Return the means per GPU over the groups that can be read."""
    known = members & state.verdict.groups
    weights = layout.gpu_count[known]

    def mean(signal: str) -> float:
        values = state.telemetry.group(signal)[known]
        return float(np.average(values, weights=weights)) if known.any() else float("nan")

    return {
        "group_count": float(members.sum()),
        "gpu_power_mean_w": mean("gpu_power_w"),
        "power_limit_mean_w": mean("power_limit_w"),
        "work_rate_mean_ratio": mean("work_rate_ratio"),
    }
