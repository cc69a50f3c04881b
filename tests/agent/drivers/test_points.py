"""Point maps: every mistake at once, and the way from raw numbers to house units."""

from pathlib import Path

import pytest

from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.drivers.point_units import UNITS
from coolcap_agent.drivers.points import PointMap
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.signals import PLANT_SIGNALS
from support.memory_equipment import Cell, MemoryDevice


class MemoryDialect:
    """A protocol with the smallest addresses: a cell's name."""

    protocol = "memory"

    def take_device(self, table: Table, *, name: str, folder: Path) -> MemoryDevice:
        del table, folder
        return MemoryDevice(name)

    def take_address(self, table: Table, *, written: bool) -> Cell:
        del written
        return Cell(table.take_str("cell"))

    def problems_of(self, points: PointMap[MemoryDevice, Cell]) -> list[str]:
        return [f"{p} is out of bounds" for p in points.points() if p.address.name == "beyond"]


def read(text: str, folder: Path) -> tuple[PointMap[MemoryDevice, Cell], list[str]]:
    """Return the map in ``text`` and its problems, without the file's name."""
    path = folder / "points.toml"
    path.write_text(text, encoding="utf-8")
    options = Table({"points": "points.toml"}, path="driver.memory", problems=[])
    points = take_points(options, MemoryDialect(), folder=folder)
    assert all(problem.startswith(f"{path}: ") for problem in options.problems)
    return points, [problem.removeprefix(f"{path}: ") for problem in options.problems]


HEAD = """
protocol = "memory"
[[devices]]
name = "plant"
"""


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    points, problems = read(
        """
protocol = "modbus"
flavour = "mild"
[[devices]]
name = "plant"
[[devices]]
name = "plant"
[[levers]]
lever = "chw_supply_temp_c"
device = "plnat"
cell = "a"
low = 3.0
[[levers]]
lever = "chw_supply_temp_setpoint_c"
device = "plant"
cell = "b"
low = 18.0
high = 8.0
tolerence = 0.1
[[sensors]]
signal = "dew_point_c"
device = "plant"
cell = "b"
unit = "F"
scale = 0
[[sensors]]
signal = "chw_supply_temp_setpoint_c"
device = "plant"
cell = "c"
low = 20.0
high = 10.0
age_max_s = 0.0
[[handshakes]]
device = "plant"
[[handshakes]]
device = "plant"
enable = { cell = "d" }
""",
        tmp_path,
    )

    assert points.points() == []
    assert [problem.partition(" is not allowed: ")[0] for problem in problems] == [
        "protocol = 'modbus'",
        "devices[1].name = 'plant'",
        "levers[0].lever = 'chw_supply_temp_c'",
        "levers[0].device = 'plnat'",
        "levers[0].low = 3 °C is outside 10 to 35 °C",
        "levers[0].high is missing: a number from 10 to 35 °C is needed",
        "levers[1].low = 18 must be below high = 8",
        "unknown key 'levers[1].tolerence'",
        "sensors[0].device has b twice: as b already",
        "sensors[0].unit = 'F'",
        "sensors[0].scale = 0",
        "sensors[1].signal = 'chw_supply_temp_setpoint_c' is read from its lever: "
        "remove this sensor",
        "sensors[1].low = 20 must be below high = 10",
        "sensors[1].age_max_s = 0 s is outside 0.1 to 3600 s",
        "[handshakes[0].enable] is missing",
        "handshakes[0].enable.cell is missing: a text is needed",
        "handshakes[1].device = 'plant'",
        "unknown key 'flavour'",
    ]


def test_map_without_points_is_a_mistake(tmp_path: Path) -> None:
    _, problems = read(HEAD, tmp_path)

    assert problems == ["[[sensors]] or [[levers]] is missing: at least one is needed"]


def test_missing_file_and_broken_toml_are_mistakes_of_the_option(tmp_path: Path) -> None:
    options = Table({"points": "absent.toml"}, path="driver.memory", problems=[])
    take_points(options, MemoryDialect(), folder=tmp_path)
    _, broken = read("protocol = ", tmp_path)

    assert "absent.toml: cannot be read" in options.problems[0]
    assert broken[0].startswith("is not valid TOML")


def test_what_the_protocol_finds_wrong_is_reported_too(tmp_path: Path) -> None:
    text = HEAD + '[[sensors]]\nsignal = "dew_point_c"\ndevice = "plant"\ncell = "beyond"\n'

    _, problems = read(text, tmp_path)

    assert problems == ["plant beyond is out of bounds"]


@pytest.mark.parametrize(
    ("signal", "unit", "raw", "value"),
    [
        ("dew_point_c", "°F", 50.0, 10.0),
        ("dew_point_c", "K", 283.15, 10.0),
        ("chiller_power_w", "kW", 1.5, 1500.0),
        ("facility_energy_kwh", "MWh", 2.0, 2000.0),
        ("facility_energy_kwh", "GJ", 3.6, 1000.0),
        ("makeup_water_l", "m³", 2.0, 2000.0),
        ("makeup_water_l", "gal", 10.0, 37.85411784),
        ("cdu_flow_ratio", "%", 65.0, 0.65),
        ("price_usd_per_kwh", "USD/MWh", 85.0, 0.085),
    ],
)
def test_unit_of_a_device_becomes_the_units_of_the_house(
    signal: str, unit: str, raw: float, value: float, tmp_path: Path
) -> None:
    text = f'[[sensors]]\nsignal = "{signal}"\ndevice = "plant"\ncell = "a"\nunit = "{unit}"\n'
    points, problems = read(HEAD + text, tmp_path)

    assert problems == []
    assert points.sensors[0].point.value_of(raw) == pytest.approx(value)


def test_scale_and_offset_come_before_the_unit(tmp_path: Path) -> None:
    """Raw 500 is 50 °F is 10 °C, and 10 °C is written as 500."""
    text = """
[[levers]]
lever = "chw_supply_temp_setpoint_c"
device = "plant"
cell = "a"
unit = "°F"
scale = 0.1
offset = 0.0
low = 8.0
high = 18.0
"""
    points, _ = read(HEAD + text, tmp_path)

    point = points.levers[0].point
    assert point.value_of(500.0) == pytest.approx(10.0)
    assert point.raw_of(10.0) == pytest.approx(500.0)


def test_every_unit_of_the_signal_table_can_be_converted() -> None:
    assert {signal.unit for signal in PLANT_SIGNALS} <= set(UNITS)


def test_one_lever_may_have_points_on_several_devices(tmp_path: Path) -> None:
    lever = """
[[levers]]
lever = "cdu_supply_temp_setpoint_c"
device = "{}"
cell = "a"
low = 20.0
high = 40.0
"""
    text = HEAD + '[[devices]]\nname = "other"\n' + lever.format("plant") + lever.format("other")

    points, problems = read(text, tmp_path)

    assert problems == []
    assert [str(lever.point) for lever in points.levers] == ["plant a", "other a"]
