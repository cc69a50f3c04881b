"""Ceilings of the SM clock over gRPC: set, read back, within limits, restored."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import GpuInfo, GpuReading
from coolcap_agent.drivers.simulated import SimulatedGpuDriver
from coolcap_agent.journal import Entry
from coolcap_agent.node.gpus import ClockPoint, Gpus
from coolcap_agent.node.limits import clock_key
from coolcap_agent.sim.hall_layout import Fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2
from support.small_node import TTL_S, ServedNode, SmallNode, acquire_request

LIMITS = "[limits]\nsm_clock_min_mhz = 900.0"


def ceilings_mhz(node: SmallNode) -> list[float]:
    found: list[float] = node.small.hall.table("gpu_control")["sm_clock_limit_mhz"][:2].tolist()
    return found


async def set_clocks(
    served: ServedNode, lease: common_pb2.Lease, *mhz: float
) -> list[node_agent_pb2.PowerCapResult]:
    request = served.request(lease)
    for uuid, clock_mhz in zip(served.node.uuids, mhz, strict=False):
        request.power_caps.add(gpu_uuid=uuid, sm_clock_max_mhz=clock_mhz)
    return list((await served.client().SetPowerCaps(request, timeout=5)).results)


def test_ceiling_is_set_read_back_and_taken_away_when_the_lease_ends(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            first, second = await set_clocks(served, lease, 1200.0, 1500.0)
            assert first.sm_clock_outcome == common_pb2.OUTCOME_APPLIED
            assert (first.sm_clock_limit_mhz, second.sm_clock_limit_mhz) == (1200.0, 1500.0)
            assert first.outcome == common_pb2.OUTCOME_UNSPECIFIED
            assert (await served.telemetry()).gpus[0].sm_clock_limit_mhz == 1200.0

            node.mono.time_s += TTL_S
            await served.agent.guard.tick()

            assert all(map(math.isnan, ceilings_mhz(node)))
            assert not (await served.telemetry()).gpus[0].HasField("sm_clock_limit_mhz")

    asyncio.run(play())


def test_cap_and_ceiling_of_one_gpu_are_two_levers_of_one_command(node: SmallNode) -> None:
    async def play() -> node_agent_pb2.PowerCapResult:
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            request = served.request(lease, 300.0)
            request.power_caps[0].sm_clock_max_mhz = 1200.0
            result = (await served.client().SetPowerCaps(request, timeout=5)).results[0]
            released = await served.client().ReleaseLease(
                common_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch),
                timeout=5,
            )
            assert {(r.lever, r.value) for r in released.results} == {
                ("power_cap_w", 500.0),
                ("sm_clock_max_mhz", 2000.0),
            }
            return result

    result = asyncio.run(play())

    assert result.outcome == result.sm_clock_outcome == common_pb2.OUTCOME_APPLIED
    assert node.limits_w() == [500.0, 500.0]


@pytest.mark.parametrize(
    ("asked_mhz", "outcome", "in_force_mhz"),
    [
        (600.0, common_pb2.OUTCOME_CLAMPED, 900.0),
        (2000.0, common_pb2.OUTCOME_UNCHANGED, 2000.0),
        (300.0, common_pb2.OUTCOME_REFUSED_OUT_OF_RANGE, math.nan),
        (2100.0, common_pb2.OUTCOME_REFUSED_OUT_OF_RANGE, math.nan),
    ],
)
def test_ceiling_keeps_within_the_devices_range_and_the_agents_own(
    node: SmallNode, asked_mhz: float, outcome: int, in_force_mhz: float
) -> None:
    async def play() -> node_agent_pb2.PowerCapResult:
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            return (await set_clocks(served, lease, asked_mhz))[0]

    result = asyncio.run(play())

    assert result.sm_clock_outcome == outcome
    assert result.HasField("sm_clock_limit_mhz") is math.isfinite(in_force_mhz)
    if math.isfinite(in_force_mhz):
        assert result.sm_clock_limit_mhz == in_force_mhz


def test_highest_clock_takes_a_ceiling_away(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            await set_clocks(served, lease, 1200.0)
            result = (await set_clocks(served, lease, 2000.0))[0]
            assert result.sm_clock_outcome == common_pb2.OUTCOME_APPLIED
            assert math.isnan(ceilings_mhz(node)[0])

    asyncio.run(play())


def test_capabilities_offer_ceilings_where_the_limits_do(node: SmallNode) -> None:
    async def play(limits: str) -> node_agent_pb2.GpuCapabilities:
        async with node.serve(node.config(limits=limits)) as served:
            told = await served.client().GetCapabilities(
                common_pb2.GetCapabilitiesRequest(), timeout=5
            )
            return told.gpus[0]

    without, given = asyncio.run(play("[limits]")), asyncio.run(play(LIMITS))

    assert not without.HasField("sm_clock_min_mhz")
    assert (given.sm_clock_min_mhz, given.sm_clock_max_mhz) == (900.0, 2000.0)


def test_driver_that_lost_a_ceiling_gets_it_again(node: SmallNode) -> None:
    async def play() -> None:
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            await set_clocks(served, lease, 1200.0)
            node.small.hall.table("gpu_control")["sm_clock_limit_mhz"][0] = math.nan

            message = (await served.telemetry()).gpus[0].message

            assert "SM clock ceiling 1200 MHz" in message
            assert "writing it again" in message
            assert ceilings_mhz(node)[0] == 1200.0

    asyncio.run(play())


def test_ceiling_a_device_ignores_is_not_reported_as_set(node: SmallNode) -> None:
    async def play() -> int:
        node.fault(0, Fault.IGNORED_SET)
        async with node.serve(node.config(limits=LIMITS)) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            return (await set_clocks(served, lease, 1200.0))[0].sm_clock_outcome

    assert asyncio.run(play()) == common_pb2.OUTCOME_NOT_VERIFIED


class ForgetfulDriver(SimulatedGpuDriver):
    """As NVML: tells no ceiling that an earlier process has set."""

    def read_gpu(self, uuid: str) -> GpuReading:
        return replace(super().read_gpu(uuid), sm_clock_limit_mhz=math.nan)


def test_ceiling_of_an_earlier_process_is_taken_away_although_the_device_tells_none(
    tmp_path: Path, pki: certs.Pki
) -> None:
    node = SmallNode(tmp_path, pki)

    async def play() -> None:
        gpus = Gpus(ForgetfulDriver(node.small.path, "node-1"), deadline_s=1.0)
        await gpus.open(deadline_s=5.0)
        info = gpus.infos[0]
        node.small.hall.table("gpu_control")["sm_clock_limit_mhz"][0] = 1200.0
        point = ClockPoint(gpus, info.uuid, spec_of(node, info))
        entry = Entry(device=info.uuid, lever="sm_clock_max_mhz", value=2000.0)
        assert (await point.read()).requested == 2000.0

        await point.adopt(entry)
        assert math.isnan((await point.read()).requested)
        after = await point.write(2000.0, allowed=lambda: True)

        assert after.requested == 2000.0
        assert math.isnan(ceilings_mhz(node)[0])
        await gpus.close()

    asyncio.run(play())


def spec_of(node: SmallNode, info: GpuInfo) -> Spec:
    spec = node.config(limits=LIMITS).limits.clock_spec(info, read_only=False)
    assert spec.key == clock_key(info.uuid)
    return spec


def test_ceiling_that_seems_to_be_gone_is_taken_away_all_the_same(
    node: SmallNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    That a lock is gone is inferred from the clock and may be wrong: then it must not stay.
    """

    async def play() -> None:
        config = node.config(limits=LIMITS + '\nforeign_changes = "alarm"')
        async with node.serve(config) as served:
            lease = await served.client().AcquireLease(acquire_request(), timeout=5)
            await set_clocks(served, lease, 1200.0)
            real = SimulatedGpuDriver.read_gpu
            monkeypatch.setattr(
                SimulatedGpuDriver,
                "read_gpu",
                lambda self, uuid: replace(real(self, uuid), sm_clock_limit_mhz=math.nan),
            )
            await served.agent.sample()
            node.mono.time_s += TTL_S
            await served.agent.guard.tick()

            assert math.isnan(ceilings_mhz(node)[0])

    asyncio.run(play())
