"""What people ask for beside the mode, from the operator API's messages."""

from coolcap_agent.clock import time_text
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Plan, next_start_s
from coolcap_agent.daemon.wire import span_of, time_of
from coolcap_proto.v1 import controller_pb2


def new_override(
    request: controller_pb2.SetOverrideRequest, name: str, *, who: str, state: LoopState
) -> Override:
    """Return the override a request asks for, from now on."""
    now_s = float(state.telemetry.time_s)
    return Override(
        subject=name,
        value=request.value,
        start_time_s=now_s,
        end_time_s=now_s + span_of(request.duration),
        who=who,
        reason=request.reason,
    )


def override_problem(state: LoopState) -> str:
    """Return why nothing can be overridden now; empty if it can."""
    mode = state.mode.mode
    if not mode.writes:
        return f"mode {mode} writes nothing, so an override would do nothing; ask for auto first"
    if not state.leads:
        return "this controller stands by and writes nothing; ask the one that leads"
    return ""


def new_plan(request: controller_pb2.SetSwitchbackRequest, *, now_s: float) -> Plan | None:
    """Return the switchback a request asks for, None to end it."""
    if not request.HasField("block"):
        return None
    block_s = span_of(request.block)
    given = request.HasField("start_time") or block_s <= 0.0
    return Plan(
        start_time_s=time_of(request.start_time) if given else next_start_s(now_s, block_s=block_s),
        block_s=block_s,
        washout_s=span_of(request.washout),
        pair_count=request.pair_count,
        seed=request.seed,
    )


def plan_text(plan: Plan) -> str:
    """Return a plan in words, whole enough to be made again."""
    return (
        f"{plan.pair_count} pairs of blocks of {plan.block_s:g} s from "
        f"{time_text(plan.start_time_s)}, washout {plan.washout_s:g} s, seed {plan.seed}"
    )
