"""The process that hosts the simulated fleet: a gRPC server, with its own certificate, per node."""

import asyncio
import gc
import heapq
import json
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio

from coolcap_agent.certs import LOCAL_HOSTS
from coolcap_agent.relay.service import RelayService
from coolcap_agent.rpc.authority import Authority, certificate_pem, key_pem
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.interceptor import RoleInterceptor
from coolcap_agent.rpc.server import SERVER_OPTIONS
from coolcap_agent.soak.fleet_site import GPUS_PER_NODE, FleetShape
from coolcap_agent.soak.light_node import LightNode
from coolcap_agent.soak.light_plant import LightPlant
from coolcap_agent.soak.local_route import LocalRoute
from coolcap_proto.v1 import node_agent_pb2_grpc, node_relay_pb2_grpc, plant_agent_pb2_grpc

Register = Callable[[grpc.aio.Server], None]


class Servers:
    """Starts servers that show certificates of the folder's authority.

    Args:
        pki: Folder with the authority.
    """

    def __init__(self, pki: Path) -> None:
        self._authority = Authority.load(
            certificate_pem=(pki / "ca.crt").read_bytes(), key_pem=(pki / "ca.key").read_bytes()
        )

    async def start(self, name: str, register: Register, stack: AsyncExitStack) -> int:
        """Serve as ``name`` and return the port."""
        now = datetime.now(UTC)
        certificate, key = self._authority.issue(
            name,
            hosts=LOCAL_HOSTS,
            uris=(),
            usages=(Usage.SERVER,),
            start=now,
            end=now + timedelta(days=2),
        )
        server = grpc.aio.server(interceptors=[RoleInterceptor()], options=SERVER_OPTIONS)
        register(server)
        credentials = grpc.ssl_server_credentials(
            [(key_pem(key), certificate_pem(certificate))],
            certificate_pem(self._authority.certificate),
            require_client_auth=True,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        stack.push_async_callback(server.stop, 0)
        return port


async def sample_for_ever(agents: list[LightNode | LightPlant], *, period_s: float) -> None:
    """Sample every agent once per period, each at its own phase."""
    start_s = time.monotonic()
    due = [(start_s + random.uniform(0.0, period_s), n) for n in range(len(agents))]
    heapq.heapify(due)
    while True:
        due_s, n = due[0]
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        agents[n].sample()
        # A host that is late skips readings, as an agent does.
        next_s = max(due_s + period_s, time.monotonic() - period_s)
        heapq.heapreplace(due, (next_s, n))


async def run(folder: Path, shape: FleetShape) -> None:
    """Serve the fleet until SIGTERM; write ``fleet.toml`` when all listen."""
    state = folder / "nodes"
    state.mkdir(exist_ok=True)
    nodes = [
        LightNode(name, gpu_count=GPUS_PER_NODE, folder=state, period_s=shape.period_s)
        for name in shape.node_names()
    ]
    plant = LightPlant("plant", folder=state, period_s=shape.period_s)
    servers = Servers(folder / "pki")
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with AsyncExitStack() as stack:
        tables = []
        port = await servers.start(
            "plant",
            lambda server: plant_agent_pb2_grpc.add_PlantAgentServicer_to_server(plant, server),
            stack,
        )
        tables.append(_table("plant", "plant", port))
        for node in nodes:
            node.sample()
            if not shape.relay_size:
                port = await servers.start(node.name, _registers(node), stack)
                tables.append(_table(node.name, "node", port))
        for n, relay in enumerate(shape.relay_names()):
            behind = nodes[n * shape.relay_size : (n + 1) * shape.relay_size]
            port = await servers.start(relay, _registers_relay(behind), stack)
            names = ", ".join(f'"{node.name}"' for node in behind)
            tables.append(_table(relay, "relay", port) + f"nodes = [{names}]\n")
        plant.sample()
        waiting = folder / "fleet.toml.new"
        waiting.write_text("\n".join(tables), encoding="utf-8")
        waiting.rename(folder / "fleet.toml")
        gc.freeze()
        sampling = asyncio.create_task(sample_for_ever([*nodes, plant], period_s=shape.period_s))
        await stopped.wait()
        sampling.cancel()
        (folder / "host.json").write_text(
            json.dumps(
                {
                    "command_count": sum(node.command_count for node in nodes),
                    "restore_count": sum(node.restore_count for node in nodes),
                    "capped_count": sum(min(node.cap_w) < 700.0 for node in nodes),
                }
            ),
            encoding="utf-8",
        )


def _registers(node: LightNode) -> Register:
    return lambda server: node_agent_pb2_grpc.add_NodeAgentServicer_to_server(node, server)


def _registers_relay(nodes: list[LightNode]) -> Register:
    service = RelayService([LocalRoute(node) for node in nodes])
    return lambda server: node_relay_pb2_grpc.add_NodeRelayServicer_to_server(service, server)


def _table(name: str, kind: str, port: int) -> str:
    return f'[[agents]]\nname = "{name}"\nkind = "{kind}"\naddress = "127.0.0.1:{port}"\n'


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    asyncio.run(run(Path(sys.argv[1]), FleetShape(**given)))
