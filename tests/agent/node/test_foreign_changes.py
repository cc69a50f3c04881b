"""What the agent does when somebody else changes a cap it was told to hold."""

import asyncio

from coolcap_proto.v1 import common_pb2
from support.small_node import ServedNode, SmallNode, acquire_request


async def capped(served: ServedNode) -> common_pb2.Lease:
    lease = await served.client().AcquireLease(acquire_request(), timeout=5)
    await served.client().SetPowerCaps(served.request(lease, 300.0, 300.0), timeout=5)
    return lease


async def release(served: ServedNode, lease: common_pb2.Lease) -> common_pb2.ReleaseLeaseResponse:
    request = common_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch)
    return await served.client().ReleaseLease(request, timeout=5)


def test_yielding_leaves_the_value_to_them_now_and_when_the_lease_ends(node: SmallNode) -> None:
    async def play() -> None:
        limits = '[limits]\nforeign_changes = "yield"'
        async with node.serve(node.config(limits=limits)) as served:
            lease = await capped(served)
            node.set_limit_w(0, 450.0)

            message = (await served.telemetry()).gpus[0].message
            assert "left to them until another lease is granted" in message

            answer = await served.client().SetPowerCaps(
                served.request(lease, 250.0, 250.0), timeout=5
            )
            assert [result.outcome for result in answer.results] == [
                common_pb2.OUTCOME_OVERRIDDEN,
                common_pb2.OUTCOME_APPLIED,
            ]
            assert "was changed to 450.0 W" in answer.results[0].message
            assert node.limits_w() == [450.0, 250.0]

            released = await release(served, lease)
            assert [result.device for result in released.results] == node.uuids[1:]
            assert node.limits_w() == [450.0, 500.0]

    asyncio.run(play())


def test_next_lease_may_command_again_what_was_yielded(node: SmallNode) -> None:
    async def play() -> None:
        limits = '[limits]\nforeign_changes = "yield"'
        async with node.serve(node.config(limits=limits)) as served:
            lease = await capped(served)
            node.set_limit_w(0, 450.0)
            await served.telemetry()
            await release(served, lease)

            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            answer = await served.client().SetPowerCaps(served.request(lease, 250.0), timeout=5)
            assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED
            await release(served, lease)
            assert node.limits_w()[0] == 450.0

    asyncio.run(play())


def test_alarm_reports_and_leaves_it_until_the_next_command(node: SmallNode) -> None:
    async def play() -> None:
        limits = '[limits]\nforeign_changes = "alarm"'
        async with node.serve(node.config(limits=limits)) as served:
            lease = await capped(served)
            node.set_limit_w(0, 450.0)

            assert "leaving it alone" in (await served.telemetry()).gpus[0].message
            assert node.limits_w()[0] == 450.0

            answer = await served.client().SetPowerCaps(served.request(lease, 300.0), timeout=5)
            assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED
            assert (await served.telemetry()).gpus[0].message == ""

            await release(served, lease)
            assert node.limits_w() == [500.0, 500.0]

    asyncio.run(play())
