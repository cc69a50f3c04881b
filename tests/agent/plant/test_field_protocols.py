"""A real plant agent on each field protocol: killed, left alone, overridden and taken along."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.plant.server import plant_once
from coolcap_agent.plant_simulators.bacnet_device import BacnetDevice, free_udp_port
from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.modbus_plc import ModbusPlc
from coolcap_agent.plant_simulators.opcua_server import OpcuaServer
from coolcap_agent.plant_simulators.redfish_cdu import RedfishCdu
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc
from support.daemons import Agent, DaemonSite, daemon_site, wait_for
from support.small_plant import SUPPLY

SIMULATORS: dict[str, Callable[[FirstOrderHall], Simulator]] = {
    "bacnet": BacnetDevice,
    "modbus": ModbusPlc,
    "opcua": OpcuaServer,
    "redfish": RedfishCdu,
}
SIMULATED_DRIVER = """
name = "simulated"
[driver.simulated]
hall = "hall.bin"
[clock]
simulated = "hall.bin"
"""
LOCAL_C = 20.0


def override(device: Simulator) -> None:
    """Let a person take the supply air over, by the means the protocol has."""
    if isinstance(device, BacnetDevice):
        device.put(SUPPLY, 18.0, priority=8)
    elif isinstance(device, RedfishCdu):
        device.put(SUPPLY, 18.0, mode="Override")
    elif isinstance(device, ModbusPlc | OpcuaServer):
        device.virtual.overridden = True


@dataclass
class FieldPlant:
    """A plant agent, the device it commands, and the hall behind that."""

    site: DaemonSite
    agent: Agent
    device: Simulator
    hall: FirstOrderHall

    @property
    def supply_c(self) -> float:
        return self.hall.written[SUPPLY]

    def command(self, value: float) -> plant_agent_pb2.SetpointResult:
        """Be a controller that sets the supply air and is then gone without a word."""

        async def play() -> plant_agent_pb2.SetpointResult:
            channel = self.site.channel(self.agent)
            client = plant_agent_pb2_grpc.PlantAgentStub(channel)
            lease = await client.AcquireLease(
                common_pb2.AcquireLeaseRequest(holder="control", instance_id="1"), timeout=5
            )
            answer = await client.SetSetpoints(
                plant_agent_pb2.SetSetpointsRequest(
                    lease_id=lease.lease_id,
                    epoch=lease.epoch,
                    sequence=1,
                    setpoints=[plant_agent_pb2.Setpoint(lever=SUPPLY, value=value)],
                ),
                timeout=5,
            )
            await channel.close()
            return answer.results[0]

        return asyncio.run(play())


@pytest.fixture(params=sorted(SIMULATORS))
def plant(request: pytest.FixtureRequest, tmp_path: Path, pki: certs.Pki) -> Iterator[FieldPlant]:
    hall = FirstOrderHall()
    protocol: str = request.param
    with daemon_site(tmp_path, pki) as site, SIMULATORS[protocol](hall) as device:
        agent = site.plant("ramp_back = false")
        options = ""
        if protocol == "bacnet":
            port = free_udp_port("127.0.0.1")
            options = f'interface = "127.0.0.1:{port}"\ndevice_instance = 4000\n'
        device.write_point_map(tmp_path / "points.toml")
        field = f'\nname = "{protocol}"\n[driver.{protocol}]\npoints = "points.toml"\n{options}'
        text = agent.path.read_text().replace(SIMULATED_DRIVER, field)
        text = text.replace("device_deadline_s = 0.5", "device_deadline_s = 5.0")
        agent.path.write_text(text.replace("sample_period_s = 30.0", "sample_period_s = 0.2"))
        yield FieldPlant(site, agent, device, hall)


def test_killed_agent_gives_back_what_it_commanded_when_it_starts_again(
    plant: FieldPlant,
) -> None:
    plant.agent.start()
    result = plant.command(22.0)
    plant.agent.end(signal.SIGKILL)
    orphan_c = plant.supply_c

    plant.agent.start()

    assert result.outcome == common_pb2.OUTCOME_APPLIED
    assert orphan_c == pytest.approx(22.0)
    wait_for(lambda: plant.supply_c == pytest.approx(LOCAL_C), plant.agent.log.read_text())
    wait_for(lambda: not plant.agent.journal.exists(), "the journal stayed")
    assert plant.agent.end() == 0
    assert plant.supply_c == pytest.approx(LOCAL_C)


def test_lever_of_a_controller_that_vanished_goes_back_to_the_local_program(
    plant: FieldPlant,
) -> None:
    plant.agent.start()
    plant.command(22.0)

    wait_for(lambda: plant.supply_c == pytest.approx(LOCAL_C), plant.agent.log.read_text())
    assert plant.agent.end() == 0


def test_persons_override_is_answered_as_such_and_left_alone(plant: FieldPlant) -> None:
    plant.agent.start()
    override(plant.device)
    held_c = plant.supply_c

    result = plant.command(22.0)

    assert result.outcome == common_pb2.OUTCOME_OVERRIDDEN
    assert SUPPLY in result.message
    assert plant.supply_c == held_c
    assert plant.agent.end() == 0
    assert plant.supply_c == held_c


def test_one_reading_shows_signals_and_levers(plant: FieldPlant) -> None:
    telemetry = plant_once(plant.agent.path)["telemetry"]

    readings = {reading["signal"]: reading for reading in telemetry["readings"]}
    levers = {lever["lever"]: lever for lever in telemetry["levers"]}
    assert readings["inlet_temp_max_c"]["value"] == pytest.approx(23.5)
    assert readings["inlet_temp_max_c"]["validity"] == "VALIDITY_VALID"
    assert readings["inlet_temp_max_c"]["origin"].startswith(plant.device.protocol)
    assert levers[SUPPLY]["setpoint_effective"] == pytest.approx(LOCAL_C)
