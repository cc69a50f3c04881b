"""Critical events and lost GPUs concern their own GPU and no other."""

import asyncio
import logging

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from coolcap_agent.drivers.base import GpuEvent
from coolcap_agent.logging import FaultLog
from coolcap_agent.node.xid_watch import REMEMBER_S, XidWatch
from coolcap_agent.sim.faults import clear_faults, set_fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2
from support.fake_points import HandClock
from support.small_node import ServedNode, SmallNode, acquire_request

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(served: ServedNode) -> list[int]:
    """Health of the agent's service and of each GPU."""
    await served.agent.sample()
    served.client("viewer")
    check: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = served.channels[-1].unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    names = [f"coolcap.v1.NodeAgent/{uuid}" for uuid in served.node.uuids]
    answers = [
        await check(health_pb2.HealthCheckRequest(service=name), timeout=5) for name in names
    ]
    return [answer.status for answer in answers]


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("gpu-lost", node_agent_pb2.GPU_STATE_LOST),
        ("reset-required", node_agent_pb2.GPU_STATE_RESET_REQUIRED),
    ],
)
def test_gpu_that_is_gone_has_its_own_state_and_health_and_comes_back(
    node: SmallNode, fault: str, state: int
) -> None:
    async def play() -> None:
        async with node.serve() as served:
            assert await health(served) == [SERVING, SERVING]
            set_fault(node.small.hall, "node-1/1", fault)
            assert await health(served) == [SERVING, NOT_SERVING]
            told = (await served.telemetry()).gpus
            assert [gpu.state for gpu in told] == [node_agent_pb2.GPU_STATE_OK, state]

            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            answer = await served.client().SetPowerCaps(
                served.request(lease, 300.0, 300.0), timeout=5
            )
            assert [result.outcome for result in answer.results] == [
                common_pb2.OUTCOME_APPLIED,
                common_pb2.OUTCOME_DEVICE_UNREACHABLE,
            ]

            clear_faults(node.small.hall, "node-1/1")
            node.mono.time_s += REMEMBER_S
            assert await health(served) == [SERVING, SERVING]

    asyncio.run(play())


def test_xid_makes_one_gpu_unhealthy_and_it_goes_on_being_read_and_capped(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve() as served:
            await served.agent.sample()
            set_fault(node.small.hall, "node-1/0", "xid", value=48)
            assert await health(served) == [NOT_SERVING, SERVING]
            told = (await served.telemetry()).gpus[0]
            assert told.state == node_agent_pb2.GPU_STATE_OK
            assert "Xid 48: double-bit memory error" in told.message

            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            answer = await served.client().SetPowerCaps(served.request(lease, 300.0), timeout=5)
            assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED

    asyncio.run(play())


def test_xid_is_logged_as_it_begins_and_once_it_is_long_ago(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock(0.0)
    watch = XidWatch(FaultLog(logging.getLogger("test")), mono_s=clock.mono_s)
    caplog.set_level(logging.INFO)

    watch.note([GpuEvent(uuid="GPU-a", xid=95)])
    watch.note([GpuEvent(uuid="GPU-a", xid=95)])
    clock.time_s = REMEMBER_S - 1.0
    watch.note([])
    assert watch.xid("GPU-a") == 95.0
    clock.time_s = REMEMBER_S
    watch.note([])

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert watch.xid("GPU-a") != watch.xid("GPU-a")


def test_crash_of_a_program_says_nothing_about_the_gpu() -> None:
    faults = FaultLog(logging.getLogger("test"))
    watch = XidWatch(faults, mono_s=lambda: 0.0)

    watch.note([GpuEvent(uuid="GPU-a", xid=31)])

    assert watch.xid("GPU-a") != watch.xid("GPU-a")
    assert faults.present == {}


def test_partitioned_gpu_is_capped_only_where_the_limits_say_so(node: SmallNode) -> None:
    set_fault(node.small.hall, "node-1/0", "mig")

    async def play(limits: str) -> common_pb2.Outcome.ValueType:
        async with node.serve(node.config(limits=limits)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            answer = await served.client().SetPowerCaps(served.request(lease, 300.0), timeout=5)
            return answer.results[0].outcome

    refused = asyncio.run(play("[limits]"))
    allowed = asyncio.run(play("[limits]\ncap_partitioned_gpus = true"))

    assert refused == common_pb2.OUTCOME_REFUSED_NOT_COMMANDABLE
    assert allowed == common_pb2.OUTCOME_APPLIED


def test_gpu_limited_with_its_module_is_read_only_and_says_why(node: SmallNode) -> None:
    set_fault(node.small.hall, "node-1/0", "module-scope")

    async def play() -> node_agent_pb2.NodeCapabilities:
        async with node.serve() as served:
            assert await health(served) == [SERVING, SERVING]
            return await served.client().GetCapabilities(
                common_pb2.GetCapabilitiesRequest(), timeout=5
            )

    first, second = asyncio.run(play()).gpus

    assert (first.commandable, second.commandable) == (False, True)
    assert "only one for its module" in first.not_commandable_reason
