"""The BACnet driver against a device on a real socket."""

import asyncio
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from agent.drivers.cooling_suite import (
    LEVER,
    SIGNAL,
    FieldDriver,
    FieldDriverSuite,
    Rig,
    by_signal,
    make_driver,
)
from coolcap_agent.drivers import bacnet
from coolcap_agent.drivers.bacnet import make_cooling_driver
from coolcap_agent.drivers.bacnet_address import is_device_address
from coolcap_agent.drivers.bacnet_client import BacnetClient, Interface, NoSuchServiceError
from coolcap_agent.drivers.base import DeviceLost, DriverError, Holder, NotPermitted, Overridden
from coolcap_agent.drivers.probe import probe_levers
from coolcap_agent.plant_simulators.bacnet_device import PRIORITY, BacnetDevice, free_udp_port
from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_envs.contract.config import Table

OPERATOR = 8


@dataclass
class BacnetRig(Rig):
    driver: FieldDriver
    device: BacnetDevice
    hall: FirstOrderHall
    folder: Path

    @property
    def simulator(self) -> BacnetDevice:
        return self.device

    def override(self, lever: str, value: float) -> None:
        self.device.put(lever, value, priority=OPERATOR)

    def end_override(self, lever: str) -> None:
        self.device.put(lever, None, priority=OPERATOR)

    def write_as_another(self, lever: str, value: float) -> None:
        self.device.put(lever, value, priority=PRIORITY)

    def set_mute(self, mute: bool) -> None:
        self.device.mute = mute


def repeated(call: Callable[[], object]) -> None:
    """Make a call until it is answered."""
    for _ in range(10):
        with suppress(DeviceLost):
            call()
            return
    raise AssertionError("no answer in ten attempts")


def make(folder: Path, *, port: int = 0, timeout_s: float = 0.25, retries: int = 1) -> FieldDriver:
    return make_driver(
        make_cooling_driver,
        folder,
        interface=f"127.0.0.1:{port or free_udp_port('127.0.0.1')}",
        device_instance=4000,
        apdu_timeout_s=timeout_s,
        apdu_retries=retries,
    )


@pytest.fixture
def device() -> Iterator[BacnetDevice]:
    with BacnetDevice(FirstOrderHall()) as device:
        yield device


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BacnetRig]:
    hall = FirstOrderHall()
    with BacnetDevice(hall) as device:
        device.write_point_map(tmp_path / "points.toml")
        driver = make(tmp_path)
        driver.open()
        rig = BacnetRig(driver, device, hall, tmp_path)
        yield rig
        rig.driver.close()


class TestBacnet(FieldDriverSuite):
    """The shared suite."""

    def test_override_names_the_slot_and_leaves_ours_as_it_is(self, rig: BacnetRig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.override(LEVER, 8.0)

        with pytest.raises(Overridden, match=r"priority 8 \(operator\) of analog-value,2 holds 8"):
            rig.driver.set_setpoint(LEVER, value=14.0)

        assert rig.device.slot(LEVER, PRIORITY) == 13.0
        assert rig.device.slot(LEVER, OPERATOR) == 8.0

    def test_release_empties_our_slot_and_no_other(self, rig: BacnetRig) -> None:
        rig.device.put(LEVER, 11.0, priority=16)
        rig.driver.set_setpoint(LEVER, value=13.0)

        rig.driver.release(LEVER)

        assert math.isnan(rig.device.slot(LEVER, PRIORITY))
        assert rig.device.slot(LEVER, 16) == 11.0
        assert rig.hall.written[LEVER] == 11.0

    def test_release_under_an_override_empties_our_slot_and_keeps_theirs(
        self, rig: BacnetRig
    ) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.override(LEVER, 8.0)

        rig.driver.release(LEVER)

        assert math.isnan(rig.device.slot(LEVER, PRIORITY))
        assert rig.device.slot(LEVER, OPERATOR) == 8.0

    def test_slot_that_somebody_emptied_is_filled_again_by_the_next_command(
        self, rig: BacnetRig
    ) -> None:
        """Building systems have a button "release all overrides"."""
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.device.put(LEVER, None, priority=PRIORITY)
        emptied = rig.driver.read_lever(LEVER)

        rig.driver.set_setpoint(LEVER, value=14.0)

        assert emptied.holder is Holder.LOCAL
        assert rig.hall.written[LEVER] == 14.0

    def test_orphaned_value_of_a_killed_process_is_emptied(self, rig: BacnetRig) -> None:
        rig.device.put(LEVER, 13.0, priority=PRIORITY)

        rig.driver.release(LEVER)

        assert rig.hall.written[LEVER] == 10.0

    def test_sensor_out_of_service_is_unusable(self, rig: BacnetRig) -> None:
        rig.device.set_out_of_service(SIGNAL)

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert math.isnan(reading.value)
        assert reading.problem == "has status out-of-service"

    def test_commands_get_through_losses_duplicates_and_delays(self, rig: BacnetRig) -> None:
        """A command that got no answer is repeated, as the agent does; what it meant holds."""
        rig.driver.close()
        rig.driver = make(rig.folder, timeout_s=0.1, retries=5)
        rig.device.loss_ratio = 0.3
        rig.device.duplicate_ratio = 0.3
        rig.device.delay_max_s = 0.01
        repeated(rig.driver.open)

        for value in (12.0, 13.0, 14.0):
            repeated(partial(rig.driver.set_setpoint, LEVER, value=value))
            assert rig.hall.written[LEVER] == value
        polled = []

        def poll() -> None:
            reading = by_signal(rig.driver.read())[LEVER]
            if math.isnan(reading.value):
                raise DeviceLost(reading.problem)
            polled.append(reading.value)

        repeated(poll)
        repeated(partial(rig.driver.release, LEVER))

        assert polled == [14.0]
        assert rig.hall.written[LEVER] == 10.0

    def test_many_points_are_read_in_requests_that_fit(
        self, rig: BacnetRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Asked for too much at once the device aborts, and is asked for less."""
        monkeypatch.setattr(bacnet, "OBJECT_BYTES", 1)
        rig.driver.close()
        rig.driver.open()

        readings = rig.driver.read()

        assert [r.problem for r in readings] == [""] * len(readings)


def test_old_device_is_read_one_property_at_a_time(device: BacnetDevice, tmp_path: Path) -> None:
    device.reads_several = False
    device.restart()
    device.write_point_map(tmp_path / "points.toml")
    driver = make(tmp_path)
    driver.open()

    driver.set_setpoint(LEVER, value=13.0)

    assert by_signal(driver.read())[SIGNAL].value == pytest.approx(23.5)
    assert driver.read_lever(LEVER).holder is Holder.OURS
    driver.close()


def test_setpoint_without_a_priority_array_is_read_only(
    device: BacnetDevice, tmp_path: Path
) -> None:
    """It would acknowledge our write, forget the priority, and could not be released."""
    device.commandable = False
    device.restart()
    device.write_point_map(tmp_path / "points.toml")
    driver = make(tmp_path)
    driver.open()

    with pytest.raises(NotPermitted, match="no priority array"):
        driver.set_setpoint(LEVER, value=13.0)

    assert {"no priority array" in info.read_only_reason for info in driver.levers()} == {True}
    assert {"no priority array" in p.problem for p in probe_levers(driver, write=True)} == {True}
    driver.close()


def test_another_device_at_the_address_is_refused(device: BacnetDevice, tmp_path: Path) -> None:
    text = device.point_map().replace("instance = 1201", "instance = 1202")
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")

    with pytest.raises(DriverError, match=r"another device: .*object error unknown-object"):
        make(tmp_path).open()


def test_absent_device_is_lost_in_time(device: BacnetDevice, tmp_path: Path) -> None:
    """A timeout of the library is no Exception; it must not get past us."""
    device.write_point_map(tmp_path / "points.toml")
    device.stop()

    with pytest.raises(DeviceLost, match="no-response"):
        make(tmp_path).open()


def test_our_own_device_takes_no_writes(device: BacnetDevice, tmp_path: Path) -> None:
    """Whoever is on the control network could else change how patient we are."""
    device.write_point_map(tmp_path / "points.toml")
    port = free_udp_port("127.0.0.1")
    driver = make(tmp_path, port=port)
    driver.open()

    async def write() -> None:
        address = f"127.0.0.1:{free_udp_port('127.0.0.1')}"
        ours = Interface(address=address, instance=4001, timeout_s=1.0, retry_count=0)
        client = BacnetClient(ours)
        await client.join("test")
        try:
            await client.write(f"127.0.0.1:{port}", "analog-value,1", 5.0, priority=13)
        finally:
            client.leave("test")
            await asyncio.sleep(0)

    with pytest.raises(NoSuchServiceError):
        asyncio.run(write())
    driver.close()


def test_taken_port_is_refused(device: BacnetDevice, tmp_path: Path) -> None:
    """Two programs on one port would each get some of the packets."""
    device.write_point_map(tmp_path / "points.toml")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        with pytest.raises(DriverError, match=f"UDP port {port} of 127.0.0.1 cannot be used"):
            make(tmp_path, port=port).open()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("10.20.0.11", True),
        ("10.20.0.11:47809", True),
        ("2001:12", True),
        ("2001:0x0a0b", True),
        ("2001:10.0.0.5:47808", True),
        ("10.20.0.300", False),
        ("plant.example", False),
        ("*", False),
        ("65535:1", False),
        ("10.20.0.11:99999", False),
    ],
)
def test_device_address_is_checked_without_asking_the_network(text: str, right: bool) -> None:
    """The library would look names up while a config is only being checked."""
    assert is_device_address(text) is right


def test_every_mistake_of_a_bacnet_map_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(
        """
protocol = "bacnet"
[[devices]]
name = "plant"
address = "10.20.0.300"
instance = 4194303
[[levers]]
lever = "chw_supply_temp_setpoint_c"
device = "plant"
object = "analog-input,1"
priority = 8
low = 6.0
high = 20.0
[[levers]]
lever = "supply_air_temp_setpoint_c"
device = "plant"
object = "analog-value,1"
priority = 16
low = 15.0
high = 30.0
""",
        encoding="utf-8",
    )
    options = Table(
        {"points": "points.toml", "interface": "eth0"}, path="driver.bacnet", problems=[]
    )

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    interface, instance, *points = options.problems
    assert interface.startswith("driver.bacnet.interface = 'eth0' is not allowed")
    assert instance.startswith("driver.bacnet.device_instance is missing")
    assert [p.removeprefix(f"{tmp_path}/points.toml: ") for p in points] == [
        "devices[0].address = '10.20.0.300' is not the address of one BACnet device",
        "devices[0].instance = 4194303 is not allowed: a whole number from 0 to 4194302 is needed",
        "levers[0].object = 'analog-input,1' is not allowed: type,instance with a type of "
        f"{', '.join(bacnet.WRITABLE)} is needed",
        "levers[0].priority = 8 is not allowed: 9 to 15 is needed, a slot nothing else uses "
        "(8 belongs to operator)",
        "levers[1].priority = 16 is not allowed: 9 to 15 is needed, a slot nothing else uses "
        "(16 belongs to programs and schedules)",
    ]
