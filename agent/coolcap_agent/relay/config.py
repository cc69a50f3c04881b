"""Config of the relay; documented in docs/reference/config-relay.md."""

from dataclasses import dataclass
from pathlib import Path

from coolcap_agent.config import ServerConfig, read_config, read_server_config
from coolcap_agent.logging import LogConfig, read_log_config
from coolcap_agent.rpc.address import Address, parse_address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.tls import Tls, load_tls
from coolcap_envs.contract.config import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Everything a relay is told.

    Attributes:
        path: The config file.
        relay_id: Its id; its certificate is for it.
        nodes: Where each node agent listens, by id.
        server: Where controllers reach it, and its identity towards them and the nodes.
        log: How to log.
    """

    path: Path
    relay_id: str
    nodes: dict[str, Address]
    server: ServerConfig
    log: LogConfig

    def load_tls(self) -> Tls:
        """Read and check its identity, towards controllers and nodes.

        Raises:
            ConfigError: With everything that is wrong with the files.
        """
        return load_tls(
            self.server.tls,
            usages=(Usage.SERVER, Usage.CLIENT),
            name=self.relay_id,
            origin=str(self.path),
        )


def read_relay_config(path: Path) -> RelayConfig:
    """Read a relay's config; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """

    def read(root: Table) -> RelayConfig:
        return RelayConfig(
            path=path,
            relay_id=root.take_str("relay_id"),
            nodes=_read_nodes(root.take_tables("nodes")),
            server=read_server_config(root.take_table("server"), folder=path.parent),
            log=read_log_config(root.take_table("log", needed=False)),
        )

    return read_config(path, read)


def check_relay_config(path: Path) -> RelayConfig:
    """Read a config and its TLS files as the daemon would; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """
    config = read_relay_config(path)
    config.load_tls()
    return config


def _read_nodes(tables: list[Table]) -> dict[str, Address]:
    nodes: dict[str, Address] = {}
    for table in tables:
        name, text = table.take_str("name"), table.take_str("address")
        table.finish()
        if name in nodes:
            table.complain("name", f"= {name!r} stands in two tables: each node has one")
        try:
            nodes[name] = parse_address(text)
        except ValueError as error:
            table.complain("address", f"is not allowed: {error}")
    return nodes
