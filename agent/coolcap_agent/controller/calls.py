"""Calls of the operator API as plain functions, for the command line."""

import asyncio
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from coolcap_agent.controller.client import CALL_DEADLINE_S, Operator
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.status import MODE
from coolcap_agent.daemon.wire import duration, timestamp
from coolcap_proto.v1 import controller_pb2


def as_json(message: Message) -> dict[str, Any]:
    """Return an answer for machines: the API's field names, everything that has a value."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def status(operator: Operator) -> controller_pb2.GetStatusResponse:
    """Return the present state. Raises ControllerError."""
    request = controller_pb2.GetStatusRequest()
    return asyncio.run(operator.call(lambda stub: stub.GetStatus(request, timeout=CALL_DEADLINE_S)))


def set_mode(
    operator: Operator,
    mode: Mode,
    *,
    reason: str,
    reset_trip: bool,
    canary_ratio: float | None = None,
) -> controller_pb2.SetModeResponse:
    """Ask for a mode, and for a canary's share if given. Raises ControllerError."""
    request = controller_pb2.SetModeRequest(
        mode=MODE[mode], reason=reason, reset_trip=reset_trip, canary_ratio=canary_ratio
    )
    return asyncio.run(operator.call(lambda stub: stub.SetMode(request, timeout=CALL_DEADLINE_S)))


def set_budget(
    operator: Operator,
    name: str,
    *,
    budget_w: float | None,
    start_time_s: float | None,
    end_time_s: float | None,
    reason: str,
) -> controller_pb2.SetBudgetResponse:
    """Set a budget, or lift its change with None. Raises ControllerError."""
    request = controller_pb2.SetBudgetRequest(
        name=name,
        budget_w=budget_w,
        start_time=None if start_time_s is None else timestamp(start_time_s),
        end_time=None if end_time_s is None else timestamp(end_time_s),
        reason=reason,
    )
    return asyncio.run(operator.call(lambda stub: stub.SetBudget(request, timeout=CALL_DEADLINE_S)))


def set_override(
    operator: Operator,
    *,
    group: str,
    lever: str,
    value: float | None,
    duration_s: float,
    reason: str,
) -> controller_pb2.SetOverrideResponse:
    """Take a value in hand, or let it go with None. Raises ControllerError."""
    request = controller_pb2.SetOverrideRequest(
        value=value, duration=None if value is None else duration(duration_s), reason=reason
    )
    if group:
        request.group = group
    else:
        request.lever = lever
    return asyncio.run(
        operator.call(lambda stub: stub.SetOverride(request, timeout=CALL_DEADLINE_S))
    )


def start_switchback(
    operator: Operator,
    *,
    start_time_s: float | None,
    block_s: float,
    washout_s: float,
    pair_count: int,
    seed: int,
    reason: str,
) -> controller_pb2.SetSwitchbackResponse:
    """Let policy and rule take turns. Raises ControllerError."""
    request = controller_pb2.SetSwitchbackRequest(
        start_time=None if start_time_s is None else timestamp(start_time_s),
        block=duration(block_s),
        washout=duration(washout_s),
        pair_count=pair_count,
        seed=seed,
        reason=reason,
    )
    return asyncio.run(
        operator.call(lambda stub: stub.SetSwitchback(request, timeout=CALL_DEADLINE_S))
    )


def end_switchback(operator: Operator, *, reason: str) -> controller_pb2.SetSwitchbackResponse:
    """Let the policy decide all the time. Raises ControllerError."""
    request = controller_pb2.SetSwitchbackRequest(reason=reason)
    return asyncio.run(
        operator.call(lambda stub: stub.SetSwitchback(request, timeout=CALL_DEADLINE_S))
    )


def release(operator: Operator, *, reason: str) -> controller_pb2.ReleaseControlResponse:
    """Hand everything back. Raises ControllerError."""
    request = controller_pb2.ReleaseControlRequest(reason=reason)
    return asyncio.run(
        operator.call(lambda stub: stub.ReleaseControl(request, timeout=CALL_DEADLINE_S))
    )


def decision(
    operator: Operator, *, group: str, lever: str, time_s: float | None
) -> controller_pb2.Decision:
    """Return a recorded decision about a group or a lever. Raises ControllerError."""
    request = controller_pb2.GetDecisionRequest(time=None if time_s is None else timestamp(time_s))
    if group:
        request.group = group
    else:
        request.lever = lever
    return asyncio.run(
        operator.call(lambda stub: stub.GetDecision(request, timeout=CALL_DEADLINE_S))
    )
