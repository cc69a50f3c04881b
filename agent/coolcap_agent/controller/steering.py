"""What people ask for beside the mode, from the operator API's messages."""

import contextlib
from math import inf

from coolcap_agent.clock import time_text
from coolcap_agent.controller.budgets import BudgetChange, BudgetError, Budgets
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Plan, next_start_s
from coolcap_agent.controller.wishes import Wishes
from coolcap_agent.daemon.wire import span_of, time_of
from coolcap_envs.safety.budget import other_power_w
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


def wishes_of(status: controller_pb2.GetStatusResponse) -> Wishes:
    """Return what people asked another controller for."""
    plan = None
    if status.HasField("switchback"):
        told = status.switchback
        plan = Plan(
            start_time_s=time_of(told.start_time),
            block_s=span_of(told.block),
            washout_s=span_of(told.washout),
            pair_count=told.pair_count,
            seed=told.seed,
        )
    overrides = tuple(
        Override(
            subject=told.group or told.lever,
            value=told.value,
            start_time_s=time_of(told.start_time),
            end_time_s=time_of(told.end_time),
            who=told.who,
            reason=told.reason,
        )
        for told in status.overrides
        if told.HasField("value")
    )
    return Wishes(canary_ratio=status.canary_ratio, overrides=overrides, switchback=plan)


def plan_text(plan: Plan) -> str:
    """Return a plan in words, whole enough to be made again."""
    return (
        f"{plan.pair_count} pairs of blocks of {plan.block_s:g} s from "
        f"{time_text(plan.start_time_s)}, washout {plan.washout_s:g} s, seed {plan.seed}"
    )


def adopt_budgets(
    budgets: Budgets, status: controller_pb2.GetStatusResponse, state: LoopState
) -> None:
    """Take over the budgets people changed on another controller of the hall."""
    other_w = other_power_w(state.telemetry, state.layout)
    for told in status.budgets:
        change = None
        if told.reason and told.HasField("budget_w"):
            change = BudgetChange(
                budget_w=told.budget_w,
                start_time_s=float(state.telemetry.time_s),
                end_time_s=time_of(told.end_time) if told.HasField("end_time") else inf,
                reason=told.reason,
            )
        if (change is None) == (budgets.change(told.name) is None) and change is None:
            continue
        with contextlib.suppress(BudgetError):  # a budget this site file lacks, or cannot keep
            budgets.set(told.name, change, other_w=other_w)
