"""Calls of the operator API as plain functions, for the command line."""

import asyncio
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from coolcap_agent.controller.client import CALL_DEADLINE_S, Operator
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.status import MODE
from coolcap_agent.daemon.wire import timestamp
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
    operator: Operator, mode: Mode, *, reason: str, reset_trip: bool
) -> controller_pb2.SetModeResponse:
    """Ask for a mode. Raises ControllerError."""
    request = controller_pb2.SetModeRequest(mode=MODE[mode], reason=reason, reset_trip=reset_trip)
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
