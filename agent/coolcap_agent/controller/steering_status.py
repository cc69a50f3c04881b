"""Who steers what now, as the operator API shows it: overrides, arms, switchback, leadership."""

from collections.abc import Iterable
from math import isfinite
from typing import Final

import numpy as np

from coolcap_agent.controller.leadership import LeadershipState, LeadershipView
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Arm
from coolcap_agent.daemon.wire import duration, optional, timestamp
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray
from coolcap_proto.v1 import controller_pb2

ARM: Final = {arm: controller_pb2.Arm.Value(f"ARM_{arm.name}") for arm in Arm}
LEADERSHIP: Final = {
    state: controller_pb2.LeadershipState.Value(f"LEADERSHIP_STATE_{state.name}")
    for state in LeadershipState
}


def override_message(override: Override) -> controller_pb2.OverrideStatus:
    """Return an override."""
    message = controller_pb2.OverrideStatus(
        value=optional(override.value),
        start_time=timestamp(override.start_time_s),
        end_time=timestamp(override.end_time_s) if isfinite(override.end_time_s) else None,
        who=override.who,
        reason=override.reason,
    )
    if override.is_lever:
        message.lever = override.subject
    else:
        message.group = override.subject
    return message


def arm_messages(state: LoopState, layout: Layout) -> Iterable[controller_pb2.ArmStatus]:
    """Return the canary and the others apart; nothing while all groups are decided alike."""
    if not state.division.mixed:
        return
    own = state.division.groups
    for arm, members in ((Arm.POLICY, own), (Arm.BASELINE, ~own)):
        yield controller_pb2.ArmStatus(
            arm=ARM[arm],
            group_count=int(members.sum()),
            gpu_count=int(layout.gpu_count[members].sum()),
            gpu_power_w=_mean(state, layout, "gpu_power_w", members),
            power_cap_w=_mean(state, layout, "power_limit_w", members),
            work_rate_ratio=_mean(state, layout, "work_rate_ratio", members),
        )


def _mean(state: LoopState, layout: Layout, signal: str, members: BoolArray) -> float | None:
    """Return the mean per GPU over the groups that can be read."""
    values = state.telemetry.group(signal)
    known = members & state.verdict.groups & np.isfinite(values)
    if not known.any():
        return None
    return float(np.average(values[known], weights=layout.gpu_count[known]))


def switchback_message(state: LoopState) -> controller_pb2.SwitchbackStatus | None:
    """Return the switchback, None without one."""
    plan = state.wishes.switchback
    if plan is None:
        return None
    turn = plan.at(float(state.telemetry.time_s))
    return controller_pb2.SwitchbackStatus(
        start_time=timestamp(plan.start_time_s),
        block=duration(plan.block_s),
        washout=duration(plan.washout_s),
        pair_count=plan.pair_count,
        seed=plan.seed,
        block_index=None if turn is None else turn.block,
        arm=controller_pb2.ARM_UNSPECIFIED if turn is None else ARM[turn.arm],
        washing_out=turn is not None and turn.washing_out,
        end_time=timestamp(plan.end_time_s),
    )


def leadership_message(
    view: LeadershipView | None, *, agent_count: int
) -> controller_pb2.LeadershipStatus:
    """Return which of several controllers acts."""
    if view is None:
        return controller_pb2.LeadershipStatus(
            state=LEADERSHIP[LeadershipState.ALONE], agent_count=agent_count
        )
    return controller_pb2.LeadershipStatus(
        state=LEADERSHIP[view.state],
        held_count=view.held_count,
        needed_count=view.needed_count,
        agent_count=view.agent_count,
        leader=view.leader,
        elector=view.elector,
        message=view.message,
    )
