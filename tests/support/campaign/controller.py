"""A controller in a hurry: takes the lease, renews it, and commands random caps and clocks.

It asks for values outside every limit as well, which the agent has to refuse or clamp. What it
learns that must never be, it writes to its log as a line that begins with ``WRONG``.
"""

import asyncio
import random
import sys
from pathlib import Path

import grpc.aio

from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

CALL_S = 1.0
PAUSE_S = 0.01
RENEWAL_EVERY = 5
"""Commands from one renewal to the next."""


def run_controller(order: dict[str, str]) -> int:
    """Command until killed."""
    asyncio.run(_command_for_ever(order))
    return 0


async def _command_for_ever(order: dict[str, str]) -> None:
    folder = Path(order["pki"])
    files = TlsFiles(
        certificate=folder / "control.crt", key=folder / "control.key", ca=folder / "ca.crt"
    )
    tls = load_tls(files, usages=(Usage.CLIENT,))
    host, port = order["address"].rsplit(":", 1)
    rng = random.Random(int(order["seed"]))
    while True:
        channel = open_channel(
            Address(host=host, port=int(port)), server_name=order["node"], tls=tls
        )
        try:
            await _session(node_agent_pb2_grpc.NodeAgentStub(channel), order["holder"], rng)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(PAUSE_S)
        finally:
            await channel.close()


async def _session(
    client: node_agent_pb2_grpc.NodeAgentStub, holder: str, rng: random.Random
) -> None:
    lease = await client.AcquireLease(
        common_pb2.AcquireLeaseRequest(holder=holder, instance_id=str(rng.random())),
        timeout=CALL_S,
        wait_for_ready=True,
    )
    has = await client.GetCapabilities(common_pb2.GetCapabilitiesRequest(), timeout=CALL_S)
    sequence = 0
    while True:
        sequence += 1
        chosen = [gpu for gpu in has.gpus if rng.random() < 0.5]
        answer = await client.SetPowerCaps(
            node_agent_pb2.SetPowerCapsRequest(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=sequence,
                power_caps=[_cap(gpu, rng) for gpu in chosen],
            ),
            timeout=CALL_S,
        )
        _look_at(answer, {gpu.gpu_uuid: gpu for gpu in has.gpus})
        if sequence % RENEWAL_EVERY == 0:
            await client.RenewLease(
                common_pb2.RenewLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch),
                timeout=CALL_S,
            )
        await asyncio.sleep(rng.uniform(0.0, 2.0 * PAUSE_S))


def _cap(gpu: node_agent_pb2.GpuCapabilities, rng: random.Random) -> node_agent_pb2.PowerCap:
    """Return a random command, a tenth beyond the device's range on either side."""
    span_w = gpu.power_limit_max_w - gpu.power_limit_min_w
    cap = node_agent_pb2.PowerCap(
        gpu_uuid=gpu.gpu_uuid,
        power_cap_w=gpu.power_limit_min_w + span_w * rng.uniform(-0.1, 1.1),
    )
    if rng.random() < 0.3:
        cap.sm_clock_max_mhz = rng.uniform(0.2, 1.1) * gpu.sm_clock_max_mhz
    return cap


def _look_at(
    answer: node_agent_pb2.SetPowerCapsResponse,
    gpus: dict[str, node_agent_pb2.GpuCapabilities],
) -> None:
    done = (common_pb2.OUTCOME_APPLIED, common_pb2.OUTCOME_CLAMPED)
    for result in answer.results:
        gpu = gpus[result.gpu_uuid]
        in_force_w = result.power_limit_requested_w
        if result.outcome in done and not gpu.power_cap_min_w <= in_force_w <= gpu.power_cap_max_w:
            sys.stderr.write(f"WRONG: {in_force_w} W of {gpu.gpu_uuid} after {result.outcome}\n")
            sys.stderr.flush()
