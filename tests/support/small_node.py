"""A node agent inside the test's process, over simulated GPUs, with clocks in the test's hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import numpy as np

from coolcap_agent import certs
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.node.agent import NodeAgent
from coolcap_agent.node.config import NodeConfig, read_node_config
from coolcap_agent.node.gpus import Gpus
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import load_tls
from coolcap_agent.sim.hall_layout import Fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc
from support.fake_points import HandClock
from support.small_hall import START_S, SmallHall

NODE = "node-1"
TTL_S = 3.0
CONFIG = """
node_id = "node-1"
state_dir = "state"
device_deadline_s = 0.2
{top}
[server]
certificate_file = "node-1.crt"
key_file = "node-1.key"
ca_file = "ca.crt"
[lease]
ttl_default_s = 3.0
ttl_max_s = 3.0
[driver]
name = "simulated"
[driver.simulated]
hall = "hall.bin"
{limits}
"""


class SmallNode:
    """One node of the small hall: 2 GPUs that take 100 to 500 W, served in this process."""

    def __init__(self, folder: Path, pki: certs.Pki) -> None:
        self.folder, self.pki = folder, pki
        self.small = SmallHall.create(folder / "hall.bin")
        self.clock = HandClock(START_S)
        self.mono = HandClock(0.0)
        self._sequence = 0

    def config(self, *, top: str = "", limits: str = "[limits]") -> NodeConfig:
        path = self.folder / "node.toml"
        path.write_text(CONFIG.format(top=top, limits=limits))
        return read_node_config(path)

    def fault(self, gpu: int, flag: Fault) -> None:
        faults = self.small.hall.table("gpu_fault")
        faults["flags"][gpu] = flag
        faults["call_delay_s"][gpu] = 60.0 if flag & Fault.HANG else 0.0

    def limits_w(self) -> list[float]:
        limits: list[float] = self.small.hall.table("gpu_control")["power_limit_requested_w"][
            :2
        ].tolist()
        return limits

    def set_limit_w(self, gpu: int, watts: float) -> None:
        self.small.hall.table("gpu_control")["power_limit_requested_w"][gpu] = np.float64(watts)

    @property
    def uuids(self) -> list[str]:
        rows: list[bytes] = self.small.hall.table("gpu_info")["uuid"][:2].tolist()
        return [uuid.decode() for uuid in rows]

    @asynccontextmanager
    async def serve(self, config: NodeConfig | None = None) -> AsyncIterator["ServedNode"]:
        config = config or self.config()
        with StateDir(config.agent.state_dir) as state:
            gpus = Gpus(config.driver, deadline_s=config.agent.device_deadline_s)
            await gpus.open(deadline_s=5.0)
            agent = NodeAgent(
                config, gpus=gpus, state=state, clock=self.clock, mono_s=self.mono.mono_s
            )
            await agent.guard.start()
            tls = load_tls(self.pki.files(NODE), usages=(Usage.SERVER,), name=NODE)
            server = RpcServer(tls=tls)
            agent.offer(server)
            port = await server.start(Address(host="127.0.0.1", port=0))
            served = ServedNode(self, agent, Address(host="127.0.0.1", port=port))
            try:
                yield served
            finally:
                for channel in served.channels:
                    await channel.close()
                await server.stop(grace_s=0)
                await agent.close()


class ServedNode:
    """A node agent that answers, and its clients."""

    def __init__(self, node: SmallNode, agent: NodeAgent, address: Address) -> None:
        self.node, self.agent, self.address = node, agent, address
        self.channels: list[grpc.aio.Channel] = []
        self._sequence = 0

    def client(self, name: str = "control") -> node_agent_pb2_grpc.NodeAgentStub:
        tls = load_tls(self.node.pki.files(name), usages=(Usage.CLIENT,))
        self.channels.append(open_channel(self.address, server_name=NODE, tls=tls))
        return node_agent_pb2_grpc.NodeAgentStub(self.channels[-1])

    async def telemetry(self) -> node_agent_pb2.NodeTelemetry:
        await self.agent.sample()
        return await self.client().GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=5)

    def request(
        self, lease: common_pb2.Lease, *watts: float | None
    ) -> node_agent_pb2.SetPowerCapsRequest:
        """The next command: caps for the GPUs in order, None leaves one out."""
        self._sequence += 1
        return node_agent_pb2.SetPowerCapsRequest(
            lease_id=lease.lease_id,
            epoch=lease.epoch,
            sequence=self._sequence,
            power_caps=[
                node_agent_pb2.PowerCap(gpu_uuid=uuid, power_cap_w=cap_w)
                for uuid, cap_w in zip(self.node.uuids, watts, strict=False)
                if cap_w is not None
            ],
        )


def acquire_request(
    holder: str = "control@hall-1", instance_id: str = "1"
) -> common_pb2.AcquireLeaseRequest:
    return common_pb2.AcquireLeaseRequest(holder=holder, instance_id=instance_id)
