"""A plant agent inside the test's process, over the small hall, with clocks in the test's hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from coolcap_agent import certs
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.plant.agent import PlantAgent
from coolcap_agent.plant.config import PlantConfig, read_plant_config
from coolcap_agent.plant.equipment import Equipment
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import load_tls
from coolcap_agent.sim.hall_layout import Fault
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc
from support.fake_points import HandClock
from support.small_hall import START_S, SmallHall

SUPPLY = "supply_air_temp_setpoint_c"
FLOW = "air_flow_setpoint_ratio"
PLANT_CONFIG = """
plant_id = "plant"
state_dir = "state"
device_deadline_s = 0.2
{top}
[server]
certificate_file = "plant.crt"
key_file = "plant.key"
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
[limits.levers.supply_air_temp_setpoint_c]
low = 16.0
high = 25.0
default = 19.0
rise_max_per_min = 0.5
fall_max_per_min = 2.0
[limits.levers.air_flow_setpoint_ratio]
low = 0.4
high = 1.0
rise_max_per_min = 1.0
fall_max_per_min = 1.0
"""


class SmallPlantAgent:
    """The plant of the small hall; the agent may command two of its levers."""

    def __init__(self, folder: Path, pki: certs.Pki) -> None:
        self.folder, self.pki = folder, pki
        self.small = SmallHall.create(folder / "hall.bin")
        self.clock = HandClock(START_S)
        self.mono = HandClock(0.0)

    def config(self, *, top: str = "") -> PlantConfig:
        path = self.folder / "plant.toml"
        path.write_text(PLANT_CONFIG.format(top=top))
        return read_plant_config(path)

    def fault(self, lever: str, flag: Fault) -> None:
        self.small.hall.table("lever_fault")["flags"][PLANT_LEVER_COLUMN[lever]] = flag

    def commanded(self, lever: str) -> float:
        """What the hall was told, NaN if its own program decides."""
        row = PLANT_LEVER_COLUMN[lever]
        return float(self.small.hall.table("lever_control")["commanded"][row])

    def command_behind_its_back(self, lever: str, value: float) -> None:
        self.small.hall.table("lever_control")["commanded"][PLANT_LEVER_COLUMN[lever]] = value

    @asynccontextmanager
    async def serve(self, config: PlantConfig | None = None) -> AsyncIterator["ServedPlant"]:
        config = config or self.config()
        with StateDir(config.agent.state_dir) as state:
            equipment = Equipment(config.driver, deadline_s=config.agent.device_deadline_s)
            await equipment.open(deadline_s=5.0)
            agent = PlantAgent(
                config,
                equipment=equipment,
                state=state,
                clock=self.clock,
                mono_s=self.mono.mono_s,
            )
            await agent.guard.start()
            tls = load_tls(self.pki.files("plant"), usages=(Usage.SERVER,), name="plant")
            server = RpcServer(tls=tls)
            agent.offer(server)
            port = await server.start(Address(host="127.0.0.1", port=0))
            served = ServedPlant(self, agent, Address(host="127.0.0.1", port=port))
            try:
                yield served
            finally:
                for channel in served.channels:
                    await channel.close()
                await server.stop(grace_s=0)
                await agent.close()


class ServedPlant:
    """A plant agent that answers, and its clients."""

    def __init__(self, plant: SmallPlantAgent, agent: PlantAgent, address: Address) -> None:
        self.plant, self.agent, self.address = plant, agent, address
        self.channels: list[grpc.aio.Channel] = []
        self._sequence = 0

    def client(self, name: str = "control") -> plant_agent_pb2_grpc.PlantAgentStub:
        tls = load_tls(self.plant.pki.files(name), usages=(Usage.CLIENT,))
        self.channels.append(open_channel(self.address, server_name="plant", tls=tls))
        return plant_agent_pb2_grpc.PlantAgentStub(self.channels[-1])

    async def acquire(self) -> common_pb2.Lease:
        return await self.client().AcquireLease(
            common_pb2.AcquireLeaseRequest(holder="control@hall-1", instance_id="1"), timeout=5
        )

    async def telemetry(self) -> plant_agent_pb2.PlantTelemetry:
        await self.agent.sample()
        return await self.client("viewer").GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=5)

    async def set(
        self, lease: common_pb2.Lease, **setpoints: float
    ) -> plant_agent_pb2.SetSetpointsResponse:
        return await self.client().SetSetpoints(self.request(lease, **setpoints), timeout=5)

    def request(
        self, lease: common_pb2.Lease, **setpoints: float
    ) -> plant_agent_pb2.SetSetpointsRequest:
        self._sequence += 1
        return plant_agent_pb2.SetSetpointsRequest(
            lease_id=lease.lease_id,
            epoch=lease.epoch,
            sequence=self._sequence,
            setpoints=[
                plant_agent_pb2.Setpoint(lever=lever, value=value)
                for lever, value in setpoints.items()
            ],
        )


def lever_of(telemetry: plant_agent_pb2.PlantTelemetry, lever: str) -> plant_agent_pb2.LeverReading:
    """The state of one lever."""
    return next(reading for reading in telemetry.levers if reading.lever == lever)
