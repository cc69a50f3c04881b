"""All agents of the small site inside the test's process, over one small hall, and controllers.

Agents sample when the test says so; leases run on a monotonic clock in the test's hand.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np

from coolcap_agent import certs
from coolcap_agent.controller.config import ControlConfig, read_control_config
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.fleet_state import FleetState
from coolcap_agent.controller.remote_plant import RemotePlant
from coolcap_agent.controller.session import Identity
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.logging import FaultLog
from coolcap_agent.node.agent import NodeAgent
from coolcap_agent.node.config import read_node_config
from coolcap_agent.node.gpus import Gpus
from coolcap_agent.plant.agent import PlantAgent
from coolcap_agent.plant.config import read_plant_config
from coolcap_agent.plant.equipment import Equipment
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import load_tls
from coolcap_agent.simulated_clock import SimulatedClock
from coolcap_envs.contract.telemetry import FloatArray
from support.fake_points import HandClock
from support.small_hall import SmallHall
from support.small_plant import PLANT_CONFIG
from support.small_site import SMALL_SITE

NODES = ("node-1", "node-2")
PATIENCE_S = 10.0
NODE_CONFIG = """
node_id = "{name}"
state_dir = "state-{name}"
device_deadline_s = 1.0
[server]
certificate_file = "{name}.crt"
key_file = "{name}.key"
ca_file = "ca.crt"
[lease]
ttl_default_s = 3.0
ttl_max_s = 3.0
[driver]
name = "simulated"
[driver.simulated]
hall = "hall.bin"
[clock]
simulated = "hall.bin"
[limits]
"""
CONTROL_CONFIG = """
site = "small.toml"
name = "{name}"
state_dir = "state-{name}"
mode = "auto"
lease_ttl_s = 3.0
{top}
[server]
certificate_file = "{pki}/{name}.crt"
key_file = "{pki}/{name}.key"
ca_file = "{pki}/ca.crt"
[clock]
simulated = "hall.bin"
{agents}
{tables}
"""

Agent = NodeAgent | PlantAgent


async def until(true: Callable[[], bool]) -> None:
    """Wait until something that happens in this event loop has happened."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)


class SmallFleet:
    """Two node agents and a plant agent. Use :meth:`serve` inside an event loop."""

    def __init__(self, folder: Path, pki: certs.Pki) -> None:
        self.folder, self.pki = folder, pki
        self.small = SmallHall.create(folder / "hall.bin")
        self.mono = HandClock(0.0)
        self.agents: dict[str, Agent] = {}
        self.addresses: dict[str, Address] = {}
        self._stops: dict[str, Callable[[], Awaitable[None]]] = {}
        (folder / "small.toml").write_text(SMALL_SITE)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["SmallFleet"]:
        async with AsyncExitStack() as stack:
            for name in (*NODES, "plant"):
                await self.start(name)
                stack.push_async_callback(self.stop, name)
            yield self

    async def start(self, name: str) -> None:
        """Start one agent, on the address it had before if there was one."""
        stack = AsyncExitStack()
        agent = await self._open(name, stack)
        await agent.guard.start()
        tls = load_tls(self.pki.files(name), usages=(Usage.SERVER,), name=name)
        server = RpcServer(tls=tls)
        agent.offer(server)
        address = self.addresses.get(name, Address(host="127.0.0.1", port=0))
        port = await server.start(address)
        stack.push_async_callback(agent.close)
        stack.push_async_callback(server.stop, grace_s=0)
        self.agents[name] = agent
        self.addresses[name] = Address(host="127.0.0.1", port=port)
        self._stops[name] = stack.aclose
        await agent.sample()

    async def stop(self, name: str) -> None:
        """End one agent as a crash would: nothing is restored."""
        if name in self._stops:
            await self._stops.pop(name)()
            del self.agents[name]

    async def frame(self) -> None:
        """Let a policy period pass and all agents sample."""
        self.small.advance(30.0)
        for agent in self.agents.values():
            await agent.sample()

    def limits_w(self) -> FloatArray:
        """Return the power limits of all four GPUs, as the hardware has them."""
        return np.array(self.small.hall.table("gpu_control")["power_limit_requested_w"])

    def acknowledged_s(self) -> list[float]:
        """Return the site time each agent has answered, the plant's last."""
        hall = self.small.hall
        nodes: list[float] = hall.table("node_ack")["answers_time_s"].tolist()
        return [*nodes, float(hall.table("plant_ack")["answers_time_s"][0])]

    def config(
        self,
        name: str = "control",
        *,
        top: str = "",
        tables: str = "",
        named: Sequence[str] = (*NODES, "plant"),
    ) -> ControlConfig:
        """Write and read a controller's config that names these agents."""
        agents = "".join(self.agent_table(agent) for agent in named)
        path = self.folder / f"{name}.toml"
        path.write_text(
            CONTROL_CONFIG.format(
                name=name, pki=self.pki.directory, agents=agents, top=top, tables=tables
            )
        )
        return read_control_config(path)

    def agent_table(self, agent: str) -> str:
        """Return an agent's table as configs and fleet files have it."""
        kind = "plant" if agent == "plant" else "node"
        address = self.addresses[agent]
        return f'[[agents]]\nname = "{agent}"\nkind = "{kind}"\naddress = "{address}"\n'

    @asynccontextmanager
    async def controlled(
        self, name: str = "control", *, config: ControlConfig | None = None
    ) -> AsyncIterator[tuple[Fleet, RemotePlant]]:
        """Connect a controller; the context gives all leases back."""
        config = config or self.config(name)
        clock = SimulatedClock(self.folder / "hall.bin")
        fleet = Fleet(
            config.agents,
            identity=Identity(
                holder=f"{name}@small",
                instance_id=secrets.token_hex(4),
                lease_ttl_s=3.0,
                tls=config.load_tls(),
            ),
            state=FleetState(config.layout, start_time_s=clock.now_s()),
            faults=FaultLog(logging.getLogger("test")),
        )
        plant = RemotePlant(
            config.layout,
            fleet=fleet,
            clock=clock,
            events=asyncio.get_running_loop(),
            answer_deadline_s=5.0,
        )
        fleet.start()
        try:
            yield fleet, plant
        finally:
            await fleet.stop()

    async def _open(self, name: str, stack: AsyncExitStack) -> Agent:
        path = self.folder / f"{name}.toml"
        clock = SimulatedClock(self.folder / "hall.bin")
        if name == "plant":
            path.write_text(PLANT_CONFIG.format(top="").replace('"state"', '"state-plant"'))
            plant = read_plant_config(path)
            state = stack.enter_context(StateDir(plant.agent.state_dir))
            equipment = Equipment(plant.driver, deadline_s=plant.agent.device_deadline_s)
            await equipment.open(deadline_s=5.0)
            return PlantAgent(
                plant, equipment=equipment, state=state, clock=clock, mono_s=self.mono.mono_s
            )
        path.write_text(NODE_CONFIG.format(name=name))
        node = read_node_config(path)
        state = stack.enter_context(StateDir(node.agent.state_dir))
        gpus = Gpus(node.driver, deadline_s=node.agent.device_deadline_s)
        await gpus.open(deadline_s=5.0)
        return NodeAgent(node, gpus=gpus, state=state, clock=clock, mono_s=self.mono.mono_s)
