"""Config of the plant agent; documented in docs/reference/config-plant.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_agent.config import AgentConfig, read_agent_config, read_config, read_limits_table
from coolcap_agent.drivers.base import CoolingDriver
from coolcap_agent.drivers.registry import read_cooling_driver
from coolcap_agent.plant.limits import SetpointLimits, read_setpoint_limits
from coolcap_agent.plant.time_sync import read_time_sync
from coolcap_agent.plant.trust_config import TrustConfig, read_trust
from coolcap_agent.plant.watch import FallbackConfig, read_fallback
from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError

RELOADED: Final = frozenset(
    {
        "signal_age_max_s",
        "ramp_back",
        "hand_back_max_s",
        "limits",
        "limits_file",
        "trust",
        "fallback",
        "time_sync",
    }
)
"""Keys that SIGHUP reads again; all others need a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantConfig:
    """Everything a plant agent is told. The driver is made but not connected.

    Attributes:
        agent: What both agents share.
        driver_name: Name of the driver.
        driver: The driver.
        limits: The agent's own limits.
        signal_age_max_s: Readings older than this are stale.
        ramp_back: Whether setpoints go back within their slew; never when the agent stops.
        hand_back_max_s: Longest time for that; then the rest goes in one step.
        trust: What readings must satisfy.
        fallback: When control may go on after it could not.
        clock_offset_max_s: Above it the host's clock raises an alarm.
        fixed: The keys that need a restart, as they stand in the file.
    """

    agent: AgentConfig
    driver_name: str
    driver: CoolingDriver
    limits: SetpointLimits
    signal_age_max_s: float
    ramp_back: bool
    hand_back_max_s: float
    trust: TrustConfig
    fallback: FallbackConfig
    clock_offset_max_s: float
    fixed: Mapping[str, object]


def read_plant_config(path: Path) -> PlantConfig:
    """Read a plant agent's config; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """

    def read(root: Table) -> PlantConfig:
        agent = read_agent_config(root, path=path, id_key="plant_id", device_deadline_s=5.0)
        age_max_s = root.take_float(
            "signal_age_max_s", low=0.1, high=86400.0, unit="s", default=90.0
        )
        ramp_back = root.take_bool("ramp_back", default=True)
        hand_back_max_s = root.take_float(
            "hand_back_max_s", low=0.0, high=86400.0, unit="s", default=1800.0
        )
        trust = read_trust(root.take_table("trust", needed=False))
        fallback = read_fallback(root.take_table("fallback", needed=False))
        clock_offset_max_s = read_time_sync(root.take_table("time_sync", needed=False))
        limits_table, origin = read_limits_table(root, path=path)
        limits = read_setpoint_limits(limits_table, origin=origin)
        name, driver = read_cooling_driver(
            root.take_table("driver"), plant_id=agent.agent_id, folder=path.parent
        )
        root.finish()
        if root.problems or driver is None:
            raise ConfigError(str(path), root.problems)
        return PlantConfig(
            agent=agent,
            driver_name=name,
            driver=driver,
            limits=limits,
            signal_age_max_s=age_max_s,
            ramp_back=ramp_back,
            hand_back_max_s=hand_back_max_s,
            trust=trust,
            fallback=fallback,
            clock_offset_max_s=clock_offset_max_s,
            fixed={k: v for k, v in read_toml(path).items() if k not in RELOADED},
        )

    return read_config(path, read)


def check_plant_config(path: Path) -> PlantConfig:
    """Read a config and its TLS files as the daemon would; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """
    config = read_plant_config(path)
    config.agent.load_tls()
    return config
