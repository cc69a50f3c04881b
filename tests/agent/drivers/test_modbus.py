"""The Modbus driver against a PLC on a real socket."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from coolcap_agent.drivers.base import DeviceLost, DriverError, Holder, ValueRefused
from coolcap_agent.drivers.modbus import ModbusDialect, make_cooling_driver
from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.plant_simulators.hall import LEVERS, FirstOrderHall
from coolcap_agent.plant_simulators.modbus_plc import ModbusPlc
from coolcap_envs.contract.config import Table
from support.fake_points import HandClock

HEARTBEAT_TIMEOUT_S = 60.0


@dataclass
class ModbusRig(Rig):
    driver: FieldDriver
    plc: ModbusPlc
    hall: FirstOrderHall
    clock: HandClock

    @property
    def simulator(self) -> ModbusPlc:
        return self.plc

    def override(self, lever: str, value: float) -> None:
        self.plc.virtual.overridden = True
        self.plc.virtual.hand[lever] = value
        self.plc.virtual.cycle()

    def end_override(self, lever: str) -> None:
        self.plc.virtual.overridden = False
        del self.plc.virtual.hand[lever]

    def write_as_another(self, lever: str, value: float) -> None:
        self.simulator.put(lever, value)

    def set_mute(self, mute: bool) -> None:
        self.simulator.mute = mute


@pytest.fixture
def plc() -> Iterator[ModbusPlc]:
    with ModbusPlc(FirstOrderHall()) as plc:
        yield plc


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ModbusRig]:
    hall, clock = FirstOrderHall(), HandClock()
    now_s = clock.now_s
    with ModbusPlc(hall, heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S, now_s=now_s) as plc:
        text = plc.point_map().replace("unit_id = 1", "unit_id = 1\ntimeout_s = 0.5")
        (tmp_path / "points.toml").write_text(text, encoding="utf-8")
        driver = make_driver(make_cooling_driver, tmp_path)
        driver.open()
        yield ModbusRig(driver, plc, hall, clock)
        driver.close()


class TestModbus(FieldDriverSuite):
    """The shared suite."""

    def test_equipment_returns_to_its_own_program_when_polling_stops(self, rig: ModbusRig) -> None:
        """The heartbeat counts with the polls, so a stuck agent is noticed by the PLC."""
        rig.driver.set_setpoint(LEVER, value=13.0)
        for _ in range(3):
            rig.clock.time_s += 0.9 * HEARTBEAT_TIMEOUT_S
            rig.driver.read()
        followed_while_polled = rig.hall.written[LEVER]

        rig.clock.time_s += 1.1 * HEARTBEAT_TIMEOUT_S
        rig.plc.virtual.cycle()

        assert followed_while_polled == 13.0
        assert rig.hall.written[LEVER] == 10.0
        assert rig.driver.read_lever(LEVER).holder is Holder.LOCAL
        assert "not followed" in rig.driver.read_lever(LEVER).message

    def test_enable_lets_no_old_value_of_another_lever_come_into_force(
        self, rig: ModbusRig
    ) -> None:
        """The heartbeat was late, the equipment went back; one lever is commanded again."""
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.driver.set_setpoint("supply_air_temp_setpoint_c", value=22.0)
        rig.clock.time_s += 1.1 * HEARTBEAT_TIMEOUT_S
        rig.plc.virtual.cycle()
        back = dict(rig.hall.written)

        rig.driver.set_setpoint("supply_air_temp_setpoint_c", value=20.5)

        assert back[LEVER] == 10.0
        assert rig.hall.written[LEVER] == 10.0
        assert rig.hall.written["supply_air_temp_setpoint_c"] == 20.5

    def test_enable_is_dropped_with_the_last_lever_released(self, rig: ModbusRig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.driver.set_setpoint("supply_air_temp_setpoint_c", value=22.0)

        rig.driver.release(LEVER)
        enabled_while_one_is_held = rig.plc.virtual.enable
        rig.driver.release("supply_air_temp_setpoint_c")

        assert enabled_while_one_is_held
        assert not rig.plc.virtual.enable

    def test_setpoint_that_stands_but_is_not_followed_is_an_error(self, rig: ModbusRig) -> None:
        rig.plc.virtual.stuck = True

        with pytest.raises(ValueRefused, match="equipment follows 10 °C"):
            rig.driver.set_setpoint(LEVER, value=13.0)

    def test_late_answer_is_never_taken_for_a_later_one(self, rig: ModbusRig) -> None:
        """The socket is closed on a timeout; what was on its way dies with it."""
        rig.driver.read()
        rig.plc.delay_s = 0.6
        with pytest.raises(DeviceLost):
            rig.driver.read_setpoint(LEVER)
        rig.plc.delay_s = 0.0

        for _ in range(3):
            for lever in LEVERS:
                assert rig.driver.read_setpoint(lever.lever) == pytest.approx(lever.default)

    def test_answer_with_the_number_of_another_request_is_not_believed(
        self, rig: ModbusRig
    ) -> None:
        rig.driver.read()
        rig.plc.stale_transactions = True
        rig.hall.replaced[SIGNAL] = 40.0

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert reading.value == pytest.approx(23.5)

    def test_block_with_another_identity_is_not_believed(self, rig: ModbusRig) -> None:
        rig.driver.read()
        rig.plc.identity = 0xC002
        rig.hall.replaced[SIGNAL] = 40.0

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert reading.value == pytest.approx(23.5)
        with pytest.raises(DriverError, match="0xc002, not 0xc001"):
            rig.driver.set_setpoint(LEVER, value=13.0)
        assert rig.hall.written[LEVER] == 10.0


def test_another_device_is_refused_when_opening(plc: ModbusPlc, tmp_path: Path) -> None:
    plc.identity = 0xC002
    plc.write_point_map(tmp_path / "points.toml")
    driver = make_driver(make_cooling_driver, tmp_path)

    with pytest.raises(DriverError, match="is another device: identity register 0 holds 0xc002"):
        driver.open()


def test_wrong_word_order_is_refused_when_opening(plc: ModbusPlc, tmp_path: Path) -> None:
    plc.words_swapped = True
    plc.write_point_map(tmp_path / "points.toml")
    driver = make_driver(make_cooling_driver, tmp_path)

    with pytest.raises(DriverError, match=r"not the known 123\.456: look at the word order"):
        driver.open()


def test_little_word_order_is_read_and_written(plc: ModbusPlc, tmp_path: Path) -> None:
    plc.words_swapped = True
    text = plc.point_map().replace("unit_id = 1", 'unit_id = 1\nword_order = "little"')
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    driver = make_driver(make_cooling_driver, tmp_path)
    driver.open()

    driver.set_setpoint(LEVER, value=13.0)

    assert driver.read_setpoint(LEVER) == pytest.approx(13.0)
    assert by_signal(driver.read())[SIGNAL].value == pytest.approx(23.5)
    driver.close()


def test_wrong_unit_and_absent_device_are_told_apart(plc: ModbusPlc, tmp_path: Path) -> None:
    text = plc.point_map()
    (tmp_path / "points.toml").write_text(text.replace("unit_id = 1", "unit_id = 2"))
    with pytest.raises(DeviceLost, match="behind the gateway does not answer"):
        make_driver(make_cooling_driver, tmp_path).open()
    plc.stop()
    with pytest.raises(DeviceLost, match="does not accept a connection"):
        make_driver(make_cooling_driver, tmp_path).open()


def test_device_refuses_what_the_map_wrongly_allows(plc: ModbusPlc, tmp_path: Path) -> None:
    text = plc.point_map().replace("high = 20.0", "high = 30.0")
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    driver = make_driver(make_cooling_driver, tmp_path)
    driver.open()

    with pytest.raises(ValueRefused, match=r"does not accept the value \(exception 3\)"):
        driver.set_setpoint(LEVER, value=25.0)

    driver.set_setpoint(LEVER, value=12.0)
    assert driver.read_setpoint(LEVER) == pytest.approx(12.0)
    driver.close()


def test_every_mistake_of_a_modbus_map_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(
        """
protocol = "modbus"
[[devices]]
name = "plc"
host = "10.0.0.1"
word_order = "middle"
blocks = [{ first = 0, count = 200 }]
colour = "red"
[[levers]]
lever = "chw_supply_temp_setpoint_c"
device = "plc"
register = 20
table = "input"
low = 6.0
high = 20.0
[[sensors]]
signal = "dew_point_c"
device = "plc"
register = 70000
type = "float16"
""",
        encoding="utf-8",
    )
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    assert [p.removeprefix(f"{tmp_path}/points.toml: ") for p in options.problems] == [
        "devices[0].blocks[0].count = 200 is not allowed: a whole number from 1 to 125 is needed",
        "devices[0].word_order = 'middle' is not allowed: one of big, little is needed",
        "unknown key 'devices[0].colour'",
        "levers[0].table = 'input' is not allowed: it is read-only",
        "sensors[0].register = 70000 is not allowed: a whole number from 0 to 65535 is needed",
        "sensors[0].type = 'float16' is not allowed: one of int16, uint16, int32, uint32, int64, "
        "uint64, float32, float64 is needed",
    ]


def test_points_outside_blocks_and_unproven_word_order_are_mistakes(
    plc: ModbusPlc, tmp_path: Path
) -> None:
    lines = [line for line in plc.point_map().splitlines() if not line.startswith("check")]
    text = "\n".join(lines).replace("register = 102", "register = 900")
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    outside, unproven = options.problems
    assert "plc holding 900 float32 lies outside the blocks of plc: holding 0 to 99" in outside
    assert "device 'plc' has values of several registers and no check" in unproven


def test_values_that_share_a_register_are_a_mistake(plc: ModbusPlc, tmp_path: Path) -> None:
    text = plc.point_map().replace("register = 104", "register = 103")
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    assert [p.partition(": ")[2] for p in options.problems] == [
        "sensors[1].device has holding 103 float32 twice: as holding 102 float32 already"
    ]


LEVER_OF_TENTHS = """
protocol = "modbus"
[[devices]]
name = "plc"
host = "127.0.0.1"
blocks = [{ first = 0, count = 40 }]
[[levers]]
lever = "chw_supply_temp_setpoint_c"
device = "plc"
register = 20
type = "int16"
scale = 0.1
low = 6.0
high = 20.0
"""


def test_tolerance_of_a_whole_number_is_half_its_step(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(LEVER_OF_TENTHS, encoding="utf-8")
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])

    points = take_points(options, ModbusDialect(), folder=tmp_path)

    assert options.problems == []
    assert points.levers[0].tolerance == pytest.approx(0.0501)
    assert points.levers[0].matches(points.levers[0].point.value_of(round(12.34 / 0.1)), 12.34)


def test_tolerance_below_half_a_step_is_a_mistake(tmp_path: Path) -> None:
    text = LEVER_OF_TENTHS + "tolerance = 0.01\n"
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])

    take_points(options, ModbusDialect(), folder=tmp_path)

    assert [p.partition(": ")[2] for p in options.problems] == [
        "levers[0].tolerance = 0.01 °C is below 0.0501: half a step of what it holds"
    ]
