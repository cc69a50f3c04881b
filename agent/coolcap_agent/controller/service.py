"""The operator API ``coolcap.v1.Controller``. Roles are checked before a call gets here."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite
from typing import TypeVar

import grpc

from coolcap_agent.audit import AuditError
from coolcap_agent.clock import time_text
from coolcap_agent.controller.budgets import BudgetChange, BudgetError, UnknownBudgetError
from coolcap_agent.controller.controller import Controller
from coolcap_agent.controller.decision_wire import decision_message, tell
from coolcap_agent.controller.explain import UnknownSubjectError
from coolcap_agent.controller.modes import ASK, ModeError
from coolcap_agent.controller.overrides import (
    OverrideError,
    UnknownOverrideError,
    check_override,
)
from coolcap_agent.controller.status import (
    MODE,
    budget_message,
    mode_of,
    mode_response,
    status_message,
)
from coolcap_agent.controller.steering import new_override, new_plan, override_problem, plan_text
from coolcap_agent.controller.steering_status import override_message, switchback_message
from coolcap_agent.controller.switchback import SwitchbackError
from coolcap_agent.controller.wishes import Wishes, WishesError
from coolcap_agent.daemon.wire import time_of
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.roles import caller_of
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.safety.budget import other_power_w
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc

T = TypeVar("T")

REASON_BYTES_MAX = 4096


class ControllerService(controller_pb2_grpc.ControllerServicer):
    """Answers operators.

    Args:
        controller: What runs the loop.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def GetStatus(  # noqa: N802 - the API's name
        self, request: controller_pb2.GetStatusRequest, context: CallContext
    ) -> controller_pb2.GetStatusResponse:
        """Return the present state of the loop."""
        return status_message(self._controller.scene())

    async def SetMode(  # noqa: N802
        self, request: controller_pb2.SetModeRequest, context: CallContext
    ) -> controller_pb2.SetModeResponse:
        """Change the mode at the next tick."""
        mode = mode_of(request.mode)
        if mode is None or mode not in ASK:
            allowed = ", ".join(mode.name for mode in ASK)
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"mode {controller_pb2.Mode.Name(request.mode)} cannot be asked for; ask for "
                f"{allowed}",
            )
        ratio = request.canary_ratio if request.HasField("canary_ratio") else None
        if ratio is not None and not 0.0 <= ratio <= 1.0:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"a canary's share of {ratio:g} is outside 0 to 1 (1: all groups)",
            )
        canary = "" if ratio is None else f", canary {ratio:g}"
        await self._audit(context, f"mode {mode}{canary}", request.reason)
        previous = self._controller.loop.state.mode.mode
        try:
            state = await self._controller.set_mode(
                mode, reason=request.reason, reset_trip=request.reset_trip, canary_ratio=ratio
            )
        except ModeError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except WishesError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return mode_response(state, previous=previous)

    async def SetBudget(  # noqa: N802
        self, request: controller_pb2.SetBudgetRequest, context: CallContext
    ) -> controller_pb2.SetBudgetResponse:
        """Set or lift one power budget."""
        budget_w = request.budget_w if request.HasField("budget_w") else None
        if budget_w is not None and not (isfinite(budget_w) and budget_w > 0.0):
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"budget {budget_w} W must be > 0 and finite"
            )
        said = "as in the site file" if budget_w is None else f"{budget_w:.0f} W"
        await self._audit(context, f"budget {request.name} {said}", request.reason)
        scene = self._controller.scene()
        now_s = float(scene.state.telemetry.time_s)
        change = None
        if budget_w is not None:
            start = request.HasField("start_time")
            change = BudgetChange(
                budget_w=budget_w,
                start_time_s=time_of(request.start_time) if start else now_s,
                end_time_s=time_of(request.end_time) if request.HasField("end_time") else inf,
                reason=request.reason,
            )
        try:
            self._controller.budgets.set(
                request.name,
                change,
                other_w=other_power_w(scene.state.telemetry, scene.layout),
            )
        except UnknownBudgetError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except BudgetError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        await self._tell("budget", request.name, f"{said}: {request.reason}")
        return controller_pb2.SetBudgetResponse(budget=budget_message(scene, request.name))

    async def SetOverride(  # noqa: N802
        self, request: controller_pb2.SetOverrideRequest, context: CallContext
    ) -> controller_pb2.SetOverrideResponse:
        """Take one value in hand for a time, or let it go."""
        subject = request.WhichOneof("subject")
        if subject is None:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "give a control group or a lever to override"
            )
        name = request.group if subject == "group" else request.lever
        state = self._controller.loop.state
        if not request.HasField("value"):
            await self._audit(context, f"override of {name} lifted", request.reason)
            return await self._wish_override(
                context, lambda wishes: wishes.without_override(name), f"{name} lifted", request
            )
        override = new_override(request, name, who=caller_of(context).name, state=state)
        try:
            check_override(override, state.layout, state.limits)
        except UnknownOverrideError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except OverrideError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if problem := override_problem(state):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        what = f"{name} {override.value:g} until {time_text(override.end_time_s)}"
        await self._audit(context, f"override of {what}", request.reason)
        return await self._wish_override(
            context, lambda wishes: wishes.with_override(override), what, request
        )

    async def SetSwitchback(  # noqa: N802
        self, request: controller_pb2.SetSwitchbackRequest, context: CallContext
    ) -> controller_pb2.SetSwitchbackResponse:
        """Let policy and rule take turns, or end that."""
        plan = new_plan(request, now_s=float(self._controller.loop.state.telemetry.time_s))
        try:
            if plan is not None:
                plan.check()
        except SwitchbackError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        what = "switchback ends" if plan is None else f"switchback {plan_text(plan)}"
        await self._audit(context, what, request.reason)
        try:
            await self._controller.wish(lambda wishes: replace(wishes, switchback=plan))
        except WishesError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        await self._tell("switchback", "loop", f"{what}: {request.reason}")
        return controller_pb2.SetSwitchbackResponse(
            switchback=switchback_message(self._controller.loop.state)
        )

    async def ReleaseControl(  # noqa: N802
        self, request: controller_pb2.ReleaseControlRequest, context: CallContext
    ) -> controller_pb2.ReleaseControlResponse:
        """Hand everything back."""
        await self._audit(context, "release", request.reason)
        state, released = await self._controller.release(request.reason)
        return controller_pb2.ReleaseControlResponse(
            agents=[
                controller_pb2.AgentRelease(
                    agent_id=one.agent, results=one.results, message=one.message
                )
                for one in released
            ],
            mode=MODE[state.mode],
        )

    async def GetDecision(  # noqa: N802
        self, request: controller_pb2.GetDecisionRequest, context: CallContext
    ) -> controller_pb2.Decision:
        """Return the recorded decision for one control group or one lever."""
        subject = request.WhichOneof("subject")
        if subject is None:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "give a control group or a lever to explain"
            )
        time_s = time_of(request.time) if request.HasField("time") else None
        record = self._controller.decisions.at(time_s)
        if record is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, self._what_is_kept())
        layout = self._controller.config.layout
        name = request.group if subject == "group" else request.lever
        if subject == "lever" and name not in PLANT_LEVER_COLUMN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no lever {name!r}; see GetStatus")
        try:
            # Asking the policy again takes a while in a large hall; the event loop turns meanwhile.
            told = await asyncio.to_thread(
                tell, self._controller.decisions, record, layout, subject=name
            )
        except UnknownSubjectError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        return decision_message(record, told, is_group=subject == "group")

    def _what_is_kept(self) -> str:
        span_s = self._controller.decisions.span_s()
        if span_s is None:
            return "no decision has been made yet; decisions are made in every mode but off"
        first, last = (time_text(time_s) for time_s in span_s)
        return f"no decision at or before that time; kept are those from {first} to {last}"

    async def _wish_override(
        self,
        context: CallContext,
        change: Callable[[Wishes], Wishes],
        what: str,
        request: controller_pb2.SetOverrideRequest,
    ) -> controller_pb2.SetOverrideResponse:
        try:
            mode = await self._controller.wish(change)
        except WishesError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        await self._tell("override", request.group or request.lever, f"{what}: {request.reason}")
        overrides = self._controller.loop.state.overrides
        return controller_pb2.SetOverrideResponse(
            overrides=[override_message(override) for override in overrides], mode=MODE[mode.mode]
        )

    async def _tell(self, code: str, subject: str, message: str) -> None:
        """Log something a person did as an event."""
        await self._controller.in_loop(
            lambda: self._controller.event(code=code, subject=subject, message=message)
        )

    async def _audit(self, context: CallContext, what: str, reason: str) -> None:
        """Write down who wants what, before it is done."""
        if not reason.strip() or len(reason.encode()) > REASON_BYTES_MAX:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"give a reason of 1 to {REASON_BYTES_MAX} bytes: it goes to the audit log",
            )
        who = caller_of(context).name
        time_s = float(self._controller.loop.state.telemetry.time_s)
        try:
            self._controller.audit.add(who=who, what=what, reason=reason, time_s=time_s)
        except AuditError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"nothing was changed: {error}")
        self._controller.changed_s = time.time()
