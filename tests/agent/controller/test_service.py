"""The operator API over mutual TLS: what people with and without the right to control can do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import numpy as np
import pytest

from coolcap_agent.audit import verify
from coolcap_agent.controller.client import ControllerError, Operator
from coolcap_agent.controller.controller import Controller
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.service import ControllerService
from coolcap_agent.controller.words import decision_lines, release_lines, status_lines
from coolcap_agent.daemon.wire import timestamp
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.simulated_clock import SimulatedClock
from coolcap_agent.sink.memory import MemorySink
from coolcap_envs.contract.policy import RulePolicy
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc
from support.small_fleet import SmallFleet, until

Stub = controller_pb2_grpc.ControllerStub


class Desk:
    """A running controller, and people who call it."""

    def __init__(
        self, small: SmallFleet, controller: Controller, fleet: Fleet, address: Address
    ) -> None:
        self.small, self.controller, self.fleet = small, controller, fleet
        self._address = address

    def person(self, identity: str = "operator") -> Operator:
        return Operator(
            address=str(self._address),
            controller="control",
            tls_dir=self.small.pki.directory,
            identity=identity,
        )

    async def tick(self) -> None:
        """Let a policy period pass in the hall, and a decision be made."""
        await self.small.frame()
        now_s = self.small.small.hall.time_s()
        await until(lambda: all(s.measure_time_s == now_s for s in self.fleet.sessions.values()))
        await self.controller.policy()


@asynccontextmanager
async def opened(small: SmallFleet, *, top: str = "") -> AsyncIterator[Desk]:
    async with small.serve():
        config = small.config(top=top)
        async with small.controlled(config=config) as (fleet, _):
            controller = Controller(
                config,
                fleet=fleet,
                clock=SimulatedClock(small.folder / "hall.bin"),
                runner=PolicyRunner(LoadedPolicy(policy=RulePolicy(), name="rule"), deadline_s=5.0),
                sink=MemorySink(),
            )
            server = RpcServer(tls=config.load_tls())
            server.add(
                controller_pb2_grpc.add_ControllerServicer_to_server,
                ControllerService(controller),
                controller_pb2.DESCRIPTOR.services_by_name["Controller"],
            )
            port = await server.start(Address(host="127.0.0.1", port=0))
            try:
                assert await fleet.wait_ready(leases=True, patience_s=10.0)
                yield Desk(small, controller, fleet, Address(host="127.0.0.1", port=port))
            finally:
                await server.stop(grace_s=0)
                await controller.close()


def play(small: SmallFleet, scene: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(small) as desk:
            await scene(desk)

    asyncio.run(run())


def status(desk: Desk, identity: str = "viewer") -> Awaitable[controller_pb2.GetStatusResponse]:
    request = controller_pb2.GetStatusRequest()
    return desk.person(identity).call(lambda stub: stub.GetStatus(request, timeout=5))


def set_mode(
    desk: Desk,
    mode: controller_pb2.Mode.ValueType,
    *,
    identity: str = "operator",
    reason: str = "x",
) -> Awaitable[controller_pb2.SetModeResponse]:
    request = controller_pb2.SetModeRequest(mode=mode, reason=reason)
    return desk.person(identity).call(lambda stub: stub.SetMode(request, timeout=5))


def set_budget(
    desk: Desk, name: str, budget_w: float
) -> Awaitable[controller_pb2.SetBudgetResponse]:
    request = controller_pb2.SetBudgetRequest(name=name, budget_w=budget_w, reason="heat wave")
    return desk.person().call(lambda stub: stub.SetBudget(request, timeout=5))


def decision(
    desk: Desk, request: controller_pb2.GetDecisionRequest
) -> Awaitable[controller_pb2.Decision]:
    return desk.person("viewer").call(lambda stub: stub.GetDecision(request, timeout=5))


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(ControllerError) as caught:
        await call
    cause = caught.value.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    return cause.code(), str(caught.value)


def test_status_tells_site_agents_power_and_decisions(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        measured_w = float(fleet.limits_w().sum())
        await desk.tick()

        seen = await status(desk)

        assert (seen.site, seen.mode) == ("small", controller_pb2.MODE_AUTO)
        assert [a.agent_id for a in seen.agents] == ["node-1", "node-2", "plant"]
        assert all(a.lease_held for a in seen.agents)
        assert seen.loop.tick_count == 2
        assert [group.group for group in seen.groups][:2] == ["node-1/0", "node-1/1"]
        assert seen.power.it_power_w == pytest.approx(1920.0)
        assert seen.power.it_power_bound_w == pytest.approx(measured_w + 320.0)
        assert seen.meters.coverage_ratio == 1.0
        assert seen.meters.pue == pytest.approx(1.25)
        assert [budget.name for budget in seen.budgets] == ["first rack", "site"]
        text = "\n".join(status_lines(seen))
        assert "3 of 3 live, 3 leases held" in text
        assert "PUE 1.250" in text

    play(fleet, scene)


def test_levers_tell_which_of_them_cannot_be_commanded(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        levers = {lever.lever: lever for lever in (await status(desk)).levers}

        assert levers["supply_air_temp_setpoint_c"].commandable
        assert not levers["chw_supply_temp_setpoint_c"].commandable
        assert "has no [limits.levers.chw" in levers["chw_supply_temp_setpoint_c"].message

    play(fleet, scene)


def test_viewer_may_look_and_not_touch(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        code, text = await refused(set_mode(desk, controller_pb2.MODE_OFF, identity="viewer"))

        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "needs role control" in text
        assert (await status(desk)).mode == controller_pb2.MODE_AUTO

    play(fleet, scene)


def test_change_of_mode_is_answered_audited_and_takes_effect(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        answer = await set_mode(desk, controller_pb2.MODE_SHADOW, reason="filters are changed")

        assert answer.mode == controller_pb2.MODE_SHADOW
        assert answer.previous_mode == controller_pb2.MODE_AUTO
        assert answer.mode_reason == "filters are changed"
        await until(lambda: all(s.lease.live is None for s in desk.fleet.sessions.values()))
        audit = desk.controller.config.state_dir / "audit.jsonl"
        assert verify(audit).count == 1
        entry = json.loads(audit.read_text())
        assert (entry["who"], entry["what"]) == ("operator", "mode shadow")

    play(fleet, scene)


def test_change_without_a_reason_is_refused(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        code, text = await refused(set_mode(desk, controller_pb2.MODE_OFF, reason=" "))

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "give a reason" in text

    play(fleet, scene)


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        (controller_pb2.MODE_TRIPPED, grpc.StatusCode.INVALID_ARGUMENT),
        (controller_pb2.MODE_UNSPECIFIED, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_modes_nobody_may_ask_for_are_refused(
    fleet: SmallFleet, mode: controller_pb2.Mode.ValueType, code: grpc.StatusCode
) -> None:
    async def scene(desk: Desk) -> None:
        assert (await refused(set_mode(desk, mode)))[0] is code

    play(fleet, scene)


def test_hold_after_off_is_a_failed_precondition(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await set_mode(desk, controller_pb2.MODE_OFF)

        code, text = await refused(set_mode(desk, controller_pb2.MODE_HOLD))

        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "hold cannot follow off" in text

    play(fleet, scene)


def test_lower_budget_lowers_caps_at_the_next_fast_tick(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        budget = (await set_budget(desk, "site", 1600.0)).budget

        assert (budget.budget_w, budget.configured_w, budget.reason) == (
            1600.0,
            2600.0,
            "heat wave",
        )
        await desk.controller.fast()

        # Each GPU draws 400 W under a cap of its own, each server 20 % more than its GPUs.
        beside_w = 0.2 * np.minimum(fleet.limits_w(), 400.0).sum()
        assert (fleet.limits_w().sum() + beside_w) * 1.03 <= 1650.0

    play(fleet, scene)


def test_budget_nobody_can_keep_is_refused_and_changes_nothing(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        code, text = await refused(set_budget(desk, "site", 500.0))

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "cannot be kept" in text
        assert [b.budget_w for b in (await status(desk)).budgets] == [1200.0, 2600.0]
        assert (await refused(set_budget(desk, "hall", 2000.0)))[0] is grpc.StatusCode.NOT_FOUND
        assert (await refused(set_budget(desk, "site", -1.0)))[
            0
        ] is grpc.StatusCode.INVALID_ARGUMENT

    play(fleet, scene)


def test_release_hands_everything_back_and_says_what(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        await set_budget(desk, "site", 1600.0)
        await desk.tick()
        assert (fleet.limits_w() < 500.0).all()
        request = controller_pb2.ReleaseControlRequest(reason="maintenance")

        answer = await desk.person().call(lambda stub: stub.ReleaseControl(request, timeout=5))

        assert answer.mode == controller_pb2.MODE_OFF
        assert {one.agent_id: len(one.results) for one in answer.agents} == {
            "node-1": 2,
            "node-2": 2,
            "plant": 2,
        }
        assert fleet.limits_w().tolist() == [500.0] * 4
        assert "node-1: 2 of 2 values restored" in "\n".join(release_lines(answer))

    play(fleet, scene)


def test_decision_about_a_cap_is_told_with_numbers_and_reasons(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        first_s = fleet.small.hall.time_s()
        await desk.tick()

        told = await decision(
            desk,
            controller_pb2.GetDecisionRequest(group="node-2/1", time=timestamp(first_s + 1.0)),
        )

        step = told.steps[0]
        assert (told.group, told.decision_id, step.name) == ("node-2/1", "1", "power_cap_w")
        assert step.commanded == step.read_back == step.shielded
        assert "the feedback rule alone would set" in step.reasons[0].message
        assert {f.name for f in told.features} >= {"gpu_power_ratio", "inlet_temp_margin_k"}
        assert "node-2/1, decision 1" in next(iter(decision_lines(told)))

    play(fleet, scene)


def test_decision_that_is_not_kept_or_of_nothing_known_is_not_found(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        ask = controller_pb2.GetDecisionRequest
        none_yet = await refused(decision(desk, ask(group="node-1/0")))
        assert "no decision has been made yet" in none_yet[1]
        await desk.tick()

        too_early = await refused(decision(desk, ask(group="node-1/0", time=timestamp(5.0))))
        unknown = await refused(decision(desk, ask(group="node-9")))
        absent = await refused(decision(desk, ask(lever="cdu_flow_setpoint_ratio")))
        nothing = await refused(decision(desk, ask()))

        assert "kept are those from 1970" in too_early[1]
        assert "site small has node-1/0, node-1/1" in unknown[1]
        assert "site small has supply_air_temp_setpoint_c" in absent[1]
        codes = [too_early[0], unknown[0], absent[0], nothing[0]]
        assert codes == [grpc.StatusCode.NOT_FOUND] * 3 + [grpc.StatusCode.INVALID_ARGUMENT]

    play(fleet, scene)


def test_problem_is_told_from_its_begin_to_its_end(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        assert not (await status(desk)).problems
        await fleet.stop("node-1")
        await until(lambda: not desk.fleet.sessions["node-1"].connected)
        await desk.controller.fast()

        told = {problem.subject: problem for problem in (await status(desk)).problems}

        assert "is the agent running there?" in told["node-1"].message
        await fleet.start("node-1")
        assert await desk.fleet.wait_ready(leases=True, patience_s=10.0)
        await desk.tick()
        assert not (await status(desk)).problems

    play(fleet, scene)


def test_unreachable_controller_is_told_with_address_and_advice(fleet: SmallFleet) -> None:
    person = Operator(
        address="127.0.0.1:1",
        controller="control",
        tls_dir=fleet.pki.directory,
        identity="operator",
    )
    request = controller_pb2.GetStatusRequest()

    with pytest.raises(ControllerError, match=r"127\.0\.0\.1:1 is not reachable.*coolcap control"):
        asyncio.run(person.call(lambda stub: stub.GetStatus(request, timeout=5)))


def test_everything_that_happened_is_in_the_files(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        await desk.tick()

    play(fleet, scene)

    decisions: Path = fleet.folder / "state-control" / "decisions.jsonl"
    entries = [json.loads(line) for line in decisions.read_text().splitlines()]
    assert [entry["number"] for entry in entries] == [1, 2]
    group = entries[-1]["groups"]["node-1/0"]
    assert group["commanded_w"] == group["read_back_w"] == group["shielded_w"]
    assert entries[-1]["mode"] == "auto"
    assert set(entries[-1]["levers"]) == {
        "supply_air_temp_setpoint_c",
        "chw_supply_temp_setpoint_c",
        "cw_supply_temp_setpoint_c",
        "air_flow_setpoint_ratio",
    }
