"""The node agent over gRPC: what a controller, a second one, and a person meet."""

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable

import grpc.aio
import pytest

from coolcap_agent.sim.hall_layout import Fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2
from support.small_node import TTL_S, ServedNode, SmallNode, acquire_request

Request = node_agent_pb2.NodeAgentSessionRequest


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def acquire(served: ServedNode, holder: str = "control@hall-1") -> common_pb2.Lease:
    return await served.client().AcquireLease(acquire_request(holder), timeout=5)


def test_capabilities_tell_the_device_range_and_the_agents_own(node: SmallNode) -> None:
    limits = "[limits]\npower_cap_max_w = 450.0\npower_cap_rise_max_w_per_s = 20.0"

    async def play() -> node_agent_pb2.NodeCapabilities:
        async with node.serve(node.config(limits=limits)) as served:
            return await served.client("viewer").GetCapabilities(
                common_pb2.GetCapabilitiesRequest(), timeout=5
            )

    told = asyncio.run(play())

    gpu = told.gpus[0]
    assert (told.node_id, told.driver, told.lease_ttl_max.seconds) == ("node-1", "simulated", 3)
    assert [g.gpu_uuid for g in told.gpus] == node.uuids
    assert (gpu.power_limit_min_w, gpu.power_limit_max_w) == (100.0, 500.0)
    assert (gpu.power_cap_min_w, gpu.power_cap_max_w) == (140.0, 450.0)
    assert (gpu.power_cap_slew_w_per_s, gpu.commandable) == (20.0, True)
    assert not gpu.HasField("sm_clock_min_mhz")


def test_telemetry_before_the_first_reading_is_unavailable(node: SmallNode) -> None:
    async def play() -> tuple[grpc.StatusCode, str]:
        async with node.serve() as served:
            return await refused(
                served.client().GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=5)
            )

    assert asyncio.run(play())[0] is grpc.StatusCode.UNAVAILABLE


def test_caps_are_set_read_back_and_restored_on_release(node: SmallNode) -> None:
    node.set_limit_w(0, 480.0)

    async def play() -> None:
        async with node.serve() as served:
            client = served.client()
            lease = await client.AcquireLease(acquire_request(), timeout=5)
            answer = await client.SetPowerCaps(served.request(lease, 300.0, 250.0), timeout=5)
            assert [result.outcome for result in answer.results] == [common_pb2.OUTCOME_APPLIED] * 2
            assert [r.power_limit_enforced_w for r in answer.results] == [300.0, 250.0]
            assert node.limits_w() == [300.0, 250.0]

            released = await client.ReleaseLease(
                common_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch),
                timeout=5,
            )
            assert {(r.device, r.value, r.outcome) for r in released.results} == {
                (node.uuids[0], 480.0, common_pb2.OUTCOME_RESTORED),
                (node.uuids[1], 500.0, common_pb2.OUTCOME_RESTORED),
            }
            assert node.limits_w() == [480.0, 500.0]

    asyncio.run(play())


def test_controller_that_vanishes_has_its_caps_restored_within_the_lease(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve() as served:
            lease = await acquire(served)
            await served.client().SetPowerCaps(served.request(lease, 300.0, 250.0), timeout=5)

            node.mono.time_s += TTL_S - 0.01
            await served.agent.guard.tick()
            assert node.limits_w() == [300.0, 250.0]

            node.mono.time_s += 0.01
            await served.agent.guard.tick()
            assert node.limits_w() == [500.0, 500.0]
            lease_status = (await served.telemetry()).lease
            assert lease_status.state == common_pb2.LEASE_STATE_FREE

    asyncio.run(play())


def test_second_controller_is_refused_with_the_holders_name(node: SmallNode) -> None:
    async def play() -> tuple[grpc.StatusCode, str]:
        async with node.serve() as served:
            await acquire(served)
            return await refused(served.client("b").AcquireLease(acquire_request("b"), timeout=5))

    code, message = asyncio.run(play())

    assert code is grpc.StatusCode.ABORTED
    assert message.startswith("node-1 is leased to 'control@hall-1' for another 3.0 s")


def test_command_of_an_older_epoch_is_refused_and_writes_nothing(node: SmallNode) -> None:
    async def play() -> tuple[grpc.StatusCode, str]:
        async with node.serve() as served:
            old = await acquire(served)
            node.mono.time_s += TTL_S
            await served.agent.guard.tick()
            await acquire(served, "b")
            return await refused(
                served.client().SetPowerCaps(served.request(old, 300.0), timeout=5)
            )

    code, message = asyncio.run(play())

    assert code is grpc.StatusCode.ABORTED
    assert "epoch 1 is older than 2" in message
    assert node.limits_w() == [500.0, 500.0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lease_id": "guess"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"epoch": 99}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"node_id": "node-2"}, grpc.StatusCode.NOT_FOUND),
        ({"sequence": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"sequence": -1}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_bad_command_ends_with_its_code_and_writes_nothing(
    node: SmallNode, change: dict[str, object], code: grpc.StatusCode
) -> None:
    async def play() -> grpc.StatusCode:
        async with node.serve() as served:
            request = served.request(await acquire(served), 300.0)
            for field, value in change.items():
                setattr(request, field, value)
            return (await refused(served.client().SetPowerCaps(request, timeout=5)))[0]

    assert code is asyncio.run(play())
    assert node.limits_w() == [500.0, 500.0]


@pytest.mark.parametrize("watts", [math.nan, math.inf, -math.inf])
def test_cap_that_is_no_number_is_refused_for_all_gpus(node: SmallNode, watts: float) -> None:
    async def play() -> tuple[grpc.StatusCode, str]:
        async with node.serve() as served:
            request = served.request(await acquire(served), 300.0, watts)
            return await refused(served.client().SetPowerCaps(request, timeout=5))

    code, message = asyncio.run(play())

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == (
        f"power cap {watts:.1f} W for {node.uuids[1]} is not a finite number; allowed are 100.0 to "
        "500.0 W (limits read from the device); nothing was written"
    )
    assert node.limits_w() == [500.0, 500.0]


def test_cap_outside_the_device_range_is_refused_for_its_gpu_alone(node: SmallNode) -> None:
    async def play() -> node_agent_pb2.SetPowerCapsResponse:
        async with node.serve() as served:
            request = served.request(await acquire(served), 90.0, 300.0)
            return await served.client().SetPowerCaps(request, timeout=5)

    first, second = asyncio.run(play()).results

    assert first.outcome == common_pb2.OUTCOME_REFUSED_OUT_OF_RANGE
    assert first.message == (
        f"power cap 90.0 W for {node.uuids[0]} is outside 100.0 to 500.0 W "
        "(limits read from the device)"
    )
    assert second.outcome == common_pb2.OUTCOME_APPLIED
    assert node.limits_w() == [500.0, 300.0]


def test_clock_ceiling_is_answered_as_not_commandable(node: SmallNode) -> None:
    async def play() -> node_agent_pb2.PowerCapResult:
        async with node.serve() as served:
            request = served.request(await acquire(served), 300.0)
            request.power_caps[0].sm_clock_max_mhz = 1200.0
            return (await served.client().SetPowerCaps(request, timeout=5)).results[0]

    result = asyncio.run(play())

    assert result.outcome == common_pb2.OUTCOME_APPLIED
    assert result.sm_clock_outcome == common_pb2.OUTCOME_REFUSED_NOT_COMMANDABLE


def test_agent_without_rights_serves_telemetry_and_writes_nothing(node: SmallNode) -> None:
    async def play() -> None:
        node.fault(0, Fault.NO_PERMISSION)
        async with node.serve() as served:
            telemetry = await served.telemetry()
            assert telemetry.gpus[0].state == node_agent_pb2.GPU_STATE_READ_ONLY
            assert telemetry.gpus[0].power_w == 400.0
            request = served.request(await acquire(served), 300.0, 300.0)
            first, second = (await served.client().SetPowerCaps(request, timeout=5)).results
            assert first.outcome == common_pb2.OUTCOME_READ_ONLY
            assert second.outcome == common_pb2.OUTCOME_APPLIED

    asyncio.run(play())


def test_read_only_config_refuses_every_cap(node: SmallNode) -> None:
    async def play() -> list[int]:
        async with node.serve(node.config(top="read_only = true")) as served:
            request = served.request(await acquire(served), 300.0, 300.0)
            answer = await served.client().SetPowerCaps(request, timeout=5)
            return [result.outcome for result in answer.results]

    assert asyncio.run(play()) == [common_pb2.OUTCOME_READ_ONLY] * 2
    assert node.limits_w() == [500.0, 500.0]


def test_gpu_that_is_lost_has_no_values_and_says_why(node: SmallNode) -> None:
    async def play() -> node_agent_pb2.NodeTelemetry:
        async with node.serve() as served:
            await served.agent.sample()
            node.fault(1, Fault.LOST)
            return await served.telemetry()

    first, second = asyncio.run(play()).gpus

    assert (first.state, first.power_w) == (node_agent_pb2.GPU_STATE_OK, 400.0)
    assert second.state == node_agent_pb2.GPU_STATE_LOST
    assert not second.HasField("power_w")
    assert "GPU is lost" in second.message


def test_gpu_that_hangs_delays_no_other(node: SmallNode) -> None:
    """
    The device's call blocks for a minute; everybody waits for it once, for one deadline.
    """

    async def play() -> None:
        async with node.serve() as served:
            loop = asyncio.get_running_loop()
            node.fault(1, Fault.HANG)
            telemetry = await served.telemetry()
            assert telemetry.gpus[1].state == node_agent_pb2.GPU_STATE_UNREACHABLE
            assert telemetry.gpus[0].state == node_agent_pb2.GPU_STATE_OK

            begin_s = loop.time()
            for _ in range(20):
                await served.agent.sample()
            request = served.request(await acquire(served), 300.0, 300.0)
            first, second = (await served.client().SetPowerCaps(request, timeout=5)).results
            assert loop.time() - begin_s < 2.0
            assert first.outcome == common_pb2.OUTCOME_APPLIED
            assert second.outcome == common_pb2.OUTCOME_DEVICE_UNREACHABLE

            node.fault(1, Fault(0))
            while (await served.telemetry()).gpus[1].state != node_agent_pb2.GPU_STATE_OK:
                await asyncio.sleep(0.01)
            assert node.limits_w() == [300.0, 500.0]

    asyncio.run(play())


async def send(*requests: Request, hold: asyncio.Event) -> AsyncIterator[Request]:
    for request in requests:
        yield request
    await hold.wait()


async def until_refusal(
    responses: AsyncIterable[node_agent_pb2.NodeAgentSessionResponse],
) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
    async for response in responses:
        yield response
        if response.HasField("refusal"):
            return


def test_session_carries_telemetry_answers_renewals_and_refusals(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve() as served:
            await served.agent.sample()
            client = served.client()
            lease = await client.AcquireLease(acquire_request(), timeout=5)
            node.mono.time_s += 2.0
            hold = asyncio.Event()
            renewal = common_pb2.RenewLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch)
            stale = served.request(lease, 200.0)
            stale.epoch = 77
            call = client.Session(send(Request(renew_lease=renewal), hold=hold))
            seen: dict[str, node_agent_pb2.NodeAgentSessionResponse] = {}
            async for response in call:
                seen[response.WhichOneof("response") or ""] = response
                if {"telemetry", "lease"} <= seen.keys():
                    break
            assert seen["telemetry"].telemetry.sequence == 1
            assert seen["lease"].lease.remaining.seconds == 3

            command = served.request(lease, 300.0)
            call = client.Session(
                send(Request(set_power_caps=command), Request(), hold=hold), timeout=5
            )
            async for response in call:
                seen[response.WhichOneof("response") or ""] = response
                if {"set_power_caps", "refusal"} <= seen.keys():
                    break
            assert seen["set_power_caps"].set_power_caps.sequence == command.sequence
            assert seen["refusal"].refusal.reason == common_pb2.REFUSAL_REASON_INVALID

            call = client.Session(send(Request(set_power_caps=stale), hold=hold), timeout=5)
            refusals = [r.refusal async for r in until_refusal(call)]
            assert refusals[-1].reason == common_pb2.REFUSAL_REASON_NO_LEASE
            assert refusals[-1].sequence == stale.sequence
            assert refusals[-1].epoch == lease.epoch
            hold.set()
            assert node.limits_w() == [300.0, 500.0]

    asyncio.run(play())


def test_end_of_a_session_does_not_end_the_lease(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve() as served:
            await served.agent.sample()
            client = served.client()
            lease = await client.AcquireLease(acquire_request(), timeout=5)
            call = client.Session(send(hold=asyncio.Event()))
            async for _ in call:
                break
            call.cancel()

            answer = await client.SetPowerCaps(served.request(lease, 300.0), timeout=5)
            assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED

    asyncio.run(play())


def test_command_that_answers_telemetry_lets_the_simulated_hall_go_on(node: SmallNode) -> None:
    async def play() -> float:
        async with node.serve() as served:
            telemetry = await served.telemetry()
            request = served.request(await acquire(served))
            request.answers_time.CopyFrom(telemetry.measure_time)
            await served.client().SetPowerCaps(request, timeout=5)
            return float(node.small.hall.table("node_ack")["answers_time_s"][0])

    assert asyncio.run(play()) == node.clock.time_s


def test_foreign_change_is_undone_while_the_lease_lives_and_told(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve() as served:
            lease = await acquire(served)
            await served.client().SetPowerCaps(served.request(lease, 300.0), timeout=5)
            node.set_limit_w(0, 450.0)

            telemetry = await served.telemetry()

            assert telemetry.gpus[0].power_limit_requested_w == 450.0
            assert "was changed to 450.0 W by somebody else" in telemetry.gpus[0].message
            assert node.limits_w() == [300.0, 500.0]

    asyncio.run(play())


@pytest.mark.parametrize("recorded", [True, False])
def test_writes_are_recorded_unless_the_config_says_otherwise(
    node: SmallNode, recorded: bool
) -> None:
    async def play() -> None:
        config = node.config(top=f"record_writes = {str(recorded).lower()}")
        async with node.serve(config) as served:
            lease = await acquire(served)
            await served.client().SetPowerCaps(served.request(lease, 300.0), timeout=5)

    asyncio.run(play())

    assert (node.folder / "state" / "audit.jsonl").exists() is recorded
