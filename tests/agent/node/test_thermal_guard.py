"""A GPU near its limit gets a lower cap, whatever is commanded, until it is cool again."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from coolcap_proto.v1 import common_pb2
from support.small_node import TTL_S, ServedNode, SmallNode, acquire_request

HOT_C, WARM_C, COOL_C = 85.0, 83.0, 60.0
"""The highest operating temperature of simulated GPUs is 87 °C, the guard's margin 3 K."""
CUT_W = 25.0  # per second, 5 % of 500 W


def set_temp(node: SmallNode, temp_c: float, gpu: int = 0) -> None:
    node.small.hall.table("gpu_reading")["gpu_temp_c"][:, gpu] = temp_c


async def pass_seconds(served: ServedNode, seconds: int) -> None:
    for _ in range(seconds):
        served.node.mono.time_s += 1.0
        await served.agent.sample()


def play(
    node: SmallNode,
    scene: Callable[[ServedNode, common_pb2.Lease], Awaitable[None]],
    limits: str = "[limits]",
) -> None:
    async def run() -> None:
        async with node.serve(node.config(limits=limits)) as served:
            request = acquire_request()
            lease = await served.client().AcquireLease(request, timeout=5)
            await scene(served, lease)

    asyncio.run(run())


async def keep(served: ServedNode, lease: common_pb2.Lease) -> None:
    served.agent.guard.leases.renew(lease_id=lease.lease_id, epoch=lease.epoch)


def test_cap_falls_while_a_gpu_is_hot_and_no_other_gpu_is_touched(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        await served.agent.sample()
        set_temp(node, HOT_C)
        await pass_seconds(served, 2)
        assert node.limits_w() == [500.0 - 2 * CUT_W, 500.0]
        telemetry = await served.telemetry()
        assert "3 K; its cap is lowered" in telemetry.gpus[0].message

    play(node, scene)


def test_cap_never_falls_below_the_floor(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, HOT_C)
        for _ in range(30):
            await keep(served, lease)
            await pass_seconds(served, 1)
        assert node.limits_w()[0] == 140.0

    play(node, scene)


def test_command_above_the_ceiling_is_clamped_and_says_why(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, HOT_C)
        await pass_seconds(served, 2)
        answer = await served.client().SetPowerCaps(served.request(lease, 490.0), timeout=5)
        assert answer.results[0].outcome == common_pb2.OUTCOME_CLAMPED
        assert "thermal guard" in answer.results[0].message
        assert node.limits_w()[0] <= 500.0 - 2 * CUT_W + 1e-9

    play(node, scene)


def test_lower_command_is_carried_out_as_it_is(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, HOT_C)
        await pass_seconds(served, 1)
        answer = await served.client().SetPowerCaps(served.request(lease, 200.0), timeout=5)
        assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED
        assert node.limits_w()[0] == 200.0

    play(node, scene)


def test_cap_goes_back_slowly_to_what_was_commanded_last(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        await served.client().SetPowerCaps(served.request(lease, 400.0), timeout=5)
        await served.agent.sample()
        set_temp(node, HOT_C)
        await pass_seconds(served, 2)
        assert node.limits_w()[0] == 350.0

        set_temp(node, WARM_C)
        await keep(served, lease)
        await pass_seconds(served, 2)
        assert node.limits_w()[0] == 350.0  # between the two margins nothing moves

        set_temp(node, COOL_C)
        await keep(served, lease)
        await pass_seconds(served, 2)
        assert node.limits_w()[0] == 360.0
        for _ in range(10):
            await keep(served, lease)
            await pass_seconds(served, 1)
        assert node.limits_w()[0] == 400.0
        assert (await served.telemetry()).gpus[0].message == ""

    play(node, scene)


def test_end_of_the_lease_restores_what_the_guard_had_lowered(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, HOT_C)
        await pass_seconds(served, 2)
        node.mono.time_s += TTL_S
        await served.agent.guard.tick()
        assert node.limits_w() == [500.0, 500.0]

    play(node, scene)


def test_without_a_lease_nothing_is_written_and_the_fault_is_told(node: SmallNode) -> None:
    async def run() -> str:
        async with node.serve() as served:
            set_temp(node, HOT_C)
            return (await served.telemetry()).gpus[0].message

    assert "its cap is left alone" in asyncio.run(run())
    assert node.limits_w() == [500.0, 500.0]


def test_guard_that_is_switched_off_does_nothing(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, HOT_C)
        await pass_seconds(served, 2)
        assert node.limits_w() == [500.0, 500.0]

    play(node, scene, limits="[limits]\nthermal_guard = false")


def test_gpu_that_tells_no_temperature_is_left_alone(node: SmallNode) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, math.nan)
        await pass_seconds(served, 2)
        assert node.limits_w() == [500.0, 500.0]

    play(node, scene)


@pytest.mark.parametrize("margin_k", [0.0, 10.0])
def test_margin_is_the_one_of_the_limits(node: SmallNode, margin_k: float) -> None:
    async def scene(served: ServedNode, lease: common_pb2.Lease) -> None:
        set_temp(node, 80.0)
        await pass_seconds(served, 1)
        assert (node.limits_w()[0] < 500.0) is (margin_k == 10.0)

    play(node, scene, limits=f"[limits]\nthermal_margin_min_k = {margin_k}")
