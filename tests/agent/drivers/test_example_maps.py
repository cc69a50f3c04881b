"""The point maps that ship are good ones, and the plant agent takes them."""

import tomllib
from pathlib import Path

import pytest

from coolcap_agent.drivers.registry import read_cooling_driver
from coolcap_envs.contract.config import Table

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
PROTOCOLS = ("bacnet", "modbus", "opcua", "redfish")


def driver_table(path: Path) -> str:
    """Return the tables of plant.toml that the head of an example shows."""
    head = path.read_text(encoding="utf-8").partition("\nprotocol")[0]
    lines = [line.removeprefix("#   ") for line in head.splitlines()]
    return "\n".join(lines[lines.index("[driver]") :])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_example_map_and_the_tables_it_shows_are_good(protocol: str) -> None:
    root = Table(
        tomllib.loads(driver_table(EXAMPLES / f"points-{protocol}.toml")), path="", problems=[]
    )

    name, driver = read_cooling_driver(root.take_table("driver"), plant_id="plant", folder=EXAMPLES)

    assert root.problems == []
    assert name == protocol
    assert driver is not None
    assert driver.levers()
