"""The examples that ship are good configs."""

from pathlib import Path

from coolcap_agent.node.config import read_node_config
from coolcap_agent.plant.config import read_plant_config

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


def test_example_of_the_node_agent_is_good() -> None:
    config = read_node_config(EXAMPLES / "node.toml")

    assert config.driver_name == "nvml"
    assert config.agent.server.listen.loopback


def test_example_of_the_plant_agent_is_good() -> None:
    config = read_plant_config(EXAMPLES / "plant.toml")

    assert config.driver_name == "simulated"
    assert config.agent.server.listen.loopback
