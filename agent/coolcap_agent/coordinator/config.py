"""The coordinator's config file; docs/reference/config-coordinate.md describes every key."""

from dataclasses import dataclass
from pathlib import Path

from coolcap_agent.config import read_config, take_path
from coolcap_agent.controller.election_config import PeerConfig
from coolcap_agent.logging import LogConfig, read_log_config
from coolcap_agent.rpc.address import parse_address
from coolcap_agent.rpc.identity import Tls, TlsFiles, Usage
from coolcap_agent.rpc.tls import load_tls
from coolcap_envs.contract.config import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class HallConfig:
    """One hall.

    Attributes:
        name: For people.
        budget: Name of the hall's own budget that is set.
        floor_w: Never less than this.
        ceiling_w: What the hall's site file allows; counted while its controllers are silent.
        priority: Higher gets what it wants first.
        controllers: Its controllers; the one that leads is asked.
    """

    name: str
    budget: str
    floor_w: float
    ceiling_w: float
    priority: int
    controllers: tuple[PeerConfig, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorConfig:
    """Everything the coordinator is told.

    Attributes:
        path: The config file.
        budget_w: IT power of all halls together.
        period_s: Time between two divisions.
        tls: Its identity, role control.
        halls: The halls.
        log: How to log.
    """

    path: Path
    budget_w: float
    period_s: float
    tls: TlsFiles
    halls: tuple[HallConfig, ...]
    log: LogConfig

    def load_tls(self) -> Tls:
        """Read and check the coordinator's identity. Raises ConfigError."""
        return load_tls(self.tls, usages=(Usage.CLIENT,), origin=str(self.path))


def read_coordinator_config(path: Path) -> CoordinatorConfig:
    """Read the config. Raises ConfigError with every problem at once."""

    def read(root: Table) -> CoordinatorConfig:
        folder = path.parent
        budget_w = root.take_float("budget_w", low=1.0, high=1e10, unit="W")
        halls = tuple(_hall(table) for table in root.take_tables("halls"))
        if len({hall.name for hall in halls}) < len(halls):
            root.complain("halls", "has two of one name")
        floors_w = sum(hall.floor_w for hall in halls)
        if floors_w > budget_w:
            root.complain(
                "budget_w", f"= {budget_w:g} W is below the sum of all floors, {floors_w:g} W"
            )
        identity = root.take_table("identity")
        tls = TlsFiles(
            certificate=take_path(identity, "certificate_file", folder=folder),
            key=take_path(identity, "key_file", folder=folder),
            ca=take_path(identity, "ca_file", folder=folder),
        )
        identity.finish()
        return CoordinatorConfig(
            path=path,
            budget_w=budget_w,
            period_s=root.take_float("period_s", low=1.0, high=3600.0, unit="s", default=10.0),
            tls=tls,
            halls=halls,
            log=read_log_config(root.take_table("log", needed=False)),
        )

    return read_config(path, read)


def check_coordinator_config(path: Path) -> CoordinatorConfig:
    """Read a config and its TLS files as the daemon would; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """
    config = read_coordinator_config(path)
    config.load_tls()
    return config


def _hall(table: Table) -> HallConfig:
    controllers = []
    for one in table.take_tables("controllers"):
        name, text = one.take_str("name"), one.take_str("address")
        one.finish()
        try:
            controllers.append(PeerConfig(name=name, address=parse_address(text)))
        except ValueError as error:
            one.complain("address", f"is not allowed: {error}")
    hall = HallConfig(
        name=table.take_str("name"),
        budget=table.take_str("budget", default="site"),
        floor_w=table.take_float("floor_w", low=0.0, high=1e10, unit="W"),
        ceiling_w=table.take_float("ceiling_w", low=1.0, high=1e10, unit="W"),
        priority=table.take_int("priority", low=0, high=9, default=1),
        controllers=tuple(controllers),
    )
    if hall.ceiling_w < hall.floor_w:
        table.complain("ceiling_w", f"= {hall.ceiling_w:g} W is below floor_w {hall.floor_w:g} W")
    table.finish()
    return hall
