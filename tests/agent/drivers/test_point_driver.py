"""One lever over several devices, and devices that come and go; all in memory."""

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    Holder,
    NotPermitted,
    Overridden,
    ValueRefused,
)
from coolcap_agent.drivers.equipment import DeviceRange
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.point_driver import PointDriver
from coolcap_agent.drivers.points import Handshake, Point, PointMap, SensorPoint
from support.memory_equipment import LEVER, Cell, MemoryDevice, MemoryEquipment, lever_point


@dataclass
class Plant:
    """Two CDUs behind one lever, each with a sensor; the first has a handshake."""

    one: MemoryEquipment = field(default_factory=lambda: MemoryEquipment("one"))
    two: MemoryEquipment = field(default_factory=lambda: MemoryEquipment("two"))

    def driver(self) -> PointDriver[MemoryDevice, Cell]:
        for equipment, value in ((self.one, 10.0), (self.two, 11.0)):
            equipment.cells |= {"sp": value, "temp": 20.0, "enable": 0.0, "beat": 0.0, "hand": 0.0}
        one = Handshake(
            device="one",
            enable=Point(device="one", address=Cell("enable")),
            heartbeat=Point(device="one", address=Cell("beat")),
            override=Point(device="one", address=Cell("hand")),
        )
        points: PointMap[MemoryDevice, Cell] = PointMap(
            devices=(MemoryDevice("one"), MemoryDevice("two")),
            levers=(lever_point("one"), lever_point("two")),
            sensors=tuple(
                SensorPoint(
                    signal="inlet_temp_max_c",
                    point=Point(device=name, address=Cell("temp")),
                    low=10.0,
                    high=40.0,
                    age_max_s=30.0,
                )
                for name in ("one", "two")
            ),
            handshakes=(one,),
        )
        return PointDriver(
            points,
            lambda _devices: [self.one, self.two],
            name="memory",
            patience=Patience(poll_s=0.5, command_s=1.0, settle_s=0.1),
        )


@pytest.fixture
def plant() -> Plant:
    return Plant()


@pytest.fixture
def driver(plant: Plant) -> Iterator[PointDriver[MemoryDevice, Cell]]:
    driver = plant.driver()
    driver.open()
    yield driver
    driver.close()


def test_lever_of_two_devices_is_set_and_released_on_both(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    driver.set_setpoint(LEVER, value=13.0)
    set_to = (plant.one.cells["sp"], plant.two.cells["sp"])
    holder = driver.read_lever(LEVER).holder

    driver.release(LEVER)

    assert set_to == (13.0, 13.0)
    assert holder is Holder.OURS
    assert (plant.one.cells["sp"], plant.two.cells["sp"]) == (10.0, 11.0)


def test_value_in_force_of_two_devices_is_their_mean(
    driver: PointDriver[MemoryDevice, Cell],
) -> None:
    assert driver.read_setpoint(LEVER) == pytest.approx(10.5)


def test_one_point_that_fails_is_named_and_the_other_is_set(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    plant.two.stronger["sp"] = "operator holds 8"

    with pytest.raises(Overridden, match=rf"{LEVER}: 1 of 2 points failed: .*two sp: operator"):
        driver.set_setpoint(LEVER, value=13.0)

    assert plant.one.cells["sp"] == 13.0
    assert driver.read_lever(LEVER).holder is Holder.OTHER


def test_error_that_matters_most_stands_for_all(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    """A person's decision matters more than a device that may come back."""
    plant.one.lost = True
    plant.two.stronger["sp"] = "operator holds 8"

    with pytest.raises(Overridden, match="2 of 2 points failed: one does not answer"):
        driver.set_setpoint(LEVER, value=13.0)


def test_lever_with_one_lost_device_is_read_from_the_other(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    plant.one.lost = True

    reading = driver.read_lever(LEVER)

    assert reading.value == 11.0
    assert "one does not answer" in reading.message


def test_lever_with_no_device_left_is_lost(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    plant.one.lost = plant.two.lost = True

    with pytest.raises(DeviceLost, match="one does not answer; two does not answer"):
        driver.read_lever(LEVER)


def test_range_of_a_lever_is_what_all_its_points_accept(plant: Plant) -> None:
    plant.one.ranges["sp"] = DeviceRange(low=8.0, high=30.0)
    plant.two.ranges["sp"] = DeviceRange(high=18.0)
    driver = plant.driver()
    driver.open()

    (info,) = driver.levers()

    assert (info.low, info.high) == (8.0, 18.0)
    with pytest.raises(ValueRefused, match="outside 8 to 18 °C"):
        driver.set_setpoint(LEVER, value=19.0)
    driver.close()


def test_lever_is_read_only_if_one_of_its_points_is(plant: Plant) -> None:
    plant.two.ranges["sp"] = DeviceRange(read_only_reason="no right")
    driver = plant.driver()
    driver.open()

    with pytest.raises(NotPermitted, match="two sp: no right"):
        driver.set_setpoint(LEVER, value=13.0)

    assert plant.one.cells["sp"] == 10.0
    driver.close()


def test_opening_succeeds_when_one_device_answers(plant: Plant) -> None:
    plant.two.lost = True
    driver = plant.driver()

    driver.open()

    one, two = (r for r in driver.read() if r.signal == "inlet_temp_max_c")
    assert one.value == 20.0
    assert math.isnan(two.value)
    assert "two does not answer" in two.problem
    driver.close()


def test_opening_does_not_wait_for_a_device_that_hangs(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plant.two, "connect", asyncio.Event().wait)
    driver = plant.driver()

    driver.open()

    assert [info.name for info in driver.levers()] == [LEVER]
    driver.close()


def test_opening_twice_is_opening_once(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    driver.set_setpoint(LEVER, value=13.0)

    driver.open()

    assert driver.read_lever(LEVER).holder is Holder.OURS
    assert plant.one.connect_count == 1


def test_opening_fails_when_a_device_is_another_one(plant: Plant) -> None:
    plant.two.connect_error = DriverError("two is another device")
    driver = plant.driver()

    with pytest.raises(DriverError, match="another device"):
        driver.open()


def test_lost_device_is_asked_again_after_growing_pauses(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    """A poll does not wait for a device that has just failed; a command does try it."""
    plant.two.lost = True
    driver.read()
    driver.read()
    count = plant.two.connect_count
    driver.read()
    unhurried = plant.two.connect_count
    with pytest.raises(DeviceLost):
        driver.set_setpoint(LEVER, value=13.0)

    assert unhurried == count
    assert plant.two.connect_count == count + 1


def test_implausible_value_is_not_passed_on(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    plant.one.cells["temp"] = 3276.7

    reading = next(r for r in driver.read() if r.origin == "memory one temp")

    assert math.isnan(reading.value)
    assert reading.problem == "3276.7 is outside 10 to 40 (point map)"


def test_heartbeat_counts_with_polls_while_something_is_held(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    driver.read()
    before = plant.one.cells["beat"]
    driver.set_setpoint(LEVER, value=13.0)
    beats = [driver.read() and plant.one.cells["beat"] for _ in range(3)]
    driver.release(LEVER)
    after = plant.one.cells["beat"]
    driver.read()

    assert before == 0.0
    assert beats == [2.0, 3.0, 4.0]
    assert plant.one.cells["beat"] == after
    assert plant.one.cells["enable"] == 0.0


def test_override_switch_stops_commands_before_anything_is_written(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    plant.one.cells["hand"] = 1.0

    with pytest.raises(Overridden, match=r"override switch one hand is on"):
        driver.set_setpoint(LEVER, value=13.0)

    assert plant.one.cells["sp"] == 10.0


def test_override_switch_that_cannot_be_read_counts_as_on(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell]
) -> None:
    del plant.one.cells["hand"]

    with pytest.raises(Overridden, match="does not answer"):
        driver.set_setpoint(LEVER, value=13.0)


def test_readings_are_stamped_by_the_clock_the_driver_is_given(
    driver: PointDriver[MemoryDevice, Cell],
) -> None:
    driver.now_s = lambda: 1000.0

    assert {r.measure_time_s for r in driver.read()} == {1000.0}


def test_poll_returns_in_time_when_a_device_hangs(
    plant: Plant, driver: PointDriver[MemoryDevice, Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_addresses: object) -> dict[Cell, object]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(plant.two, "read", hang)
    begun_s = time.monotonic()

    one, two = (r for r in driver.read() if r.signal == "inlet_temp_max_c")

    assert time.monotonic() - begun_s < 2.0
    assert one.value == 20.0
    assert two.problem == "no answer yet"
