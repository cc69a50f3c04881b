"""Config of the node agent; documented in docs/reference/config-node.md."""

from dataclasses import dataclass
from pathlib import Path

from coolcap_agent.config import AgentConfig, read_agent_config, read_config, read_limits_table
from coolcap_agent.drivers.base import GpuDriver
from coolcap_agent.drivers.registry import read_gpu_driver
from coolcap_agent.node.limits import CapLimits, read_cap_limits
from coolcap_agent.node.work_signal import WorkSource, read_work_sources
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything a node agent is told. The driver is made but not connected."""

    agent: AgentConfig
    driver_name: str
    driver: GpuDriver
    limits: CapLimits
    work: tuple[WorkSource, ...] = ()
    record_writes: bool = True


def read_node_config(path: Path) -> NodeConfig:
    """Read a node agent's config; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """

    def read(root: Table) -> NodeConfig:
        agent = read_agent_config(root, path=path, id_key="node_id", device_deadline_s=1.0)
        limits_table, origin = read_limits_table(root, path=path)
        limits = read_cap_limits(limits_table, origin=origin)
        name, driver = read_gpu_driver(
            root.take_table("driver"), node_id=agent.agent_id, folder=path.parent
        )
        work = read_work_sources(root, folder=path.parent)
        record_writes = root.take_bool("record_writes", default=True)
        root.finish()
        if root.problems or driver is None:
            raise ConfigError(str(path), root.problems)
        return NodeConfig(
            agent=agent,
            driver_name=name,
            driver=driver,
            limits=limits,
            work=work,
            record_writes=record_writes,
        )

    return read_config(path, read)


def check_node_config(path: Path) -> NodeConfig:
    """Read a config and its TLS files as the daemon would; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """
    config = read_node_config(path)
    config.agent.load_tls()
    return config
