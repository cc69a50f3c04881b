"""What the device refuses although the library it is made of would accept it."""

import asyncio
import math
from collections.abc import Iterator

import pytest

from coolcap_agent.drivers.bacnet_client import BacnetClient, Interface
from coolcap_agent.drivers.base import DriverError, NotPermitted, ValueRefused
from coolcap_agent.plant_simulators.bacnet_device import BacnetDevice, free_udp_port
from coolcap_agent.plant_simulators.hall import FirstOrderHall


@pytest.fixture(scope="module")
def device() -> Iterator[BacnetDevice]:
    with BacnetDevice(FirstOrderHall()) as device:
        yield device


def write(device: BacnetDevice, name: str, value: float | None, *, priority: int) -> None:
    async def ask() -> None:
        interface = Interface(
            address=f"127.0.0.1:{free_udp_port('127.0.0.1')}",
            instance=4001,
            timeout_s=1.0,
            retry_count=0,
        )
        client = BacnetClient(interface)
        await client.join(device)
        try:
            await client.write(f"{device.host}:{device.port}", name, value, priority=priority)
        finally:
            client.leave(device)
            await asyncio.sleep(0)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("name", "value", "priority", "error"),
    [
        ("analog-value,1", math.nan, 13, ValueRefused),
        ("analog-value,1", math.inf, 13, ValueRefused),
        ("analog-value,1", 14.9, 13, ValueRefused),
        ("analog-value,1", 1e9, 13, ValueRefused),
        ("analog-value,1", 20.0, 6, NotPermitted),
        ("analog-input,1", 20.0, 13, NotPermitted),
        ("analog-value,99", 20.0, 13, DriverError),
    ],
)
def test_bad_write_is_refused(
    device: BacnetDevice, name: str, value: float, priority: int, error: type[DriverError]
) -> None:
    with pytest.raises(error):
        write(device, name, value, priority=priority)

    assert all(math.isnan(device.slot("supply_air_temp_setpoint_c", p)) for p in range(1, 17))


def test_stronger_slot_wins_and_gives_way_when_emptied(device: BacnetDevice) -> None:
    lever = "supply_air_temp_setpoint_c"
    assert isinstance(device.hall, FirstOrderHall)
    in_force = []
    for value, priority in ((24.0, 16), (25.0, 10), (20.5, 8), (26.0, 10), (None, 8), (None, 10)):
        write(device, "analog-value,1", value, priority=priority)
        in_force.append(device.hall.written[lever])
    write(device, "analog-value,1", None, priority=16)

    assert in_force == [24.0, 25.0, 20.5, 20.5, 26.0, 24.0]
    assert device.hall.written[lever] == 20.0
