"""What the configs of all daemons share. Reading them connects to nothing.

::

    [server]
    listen = "127.0.0.1:7501"
    certificate_file = "node-01.crt"    # PEM; relative paths start at the config's folder
    key_file = "node-01.key"
    ca_file = "ca.crt"

    [lease]
    ttl_default_s = 30.0
    ttl_max_s = 90.0

    [clock]
    simulated = "hall.bin"              # only where hardware is simulated

    [log]
    level = "info"
    format = "plain"

    [metrics]
    listen = "127.0.0.1:9464"           # OpenMetrics over HTTP; without the table there are none
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from coolcap_agent.clock import Clock, RealClock
from coolcap_agent.logging import LogConfig, read_log_config
from coolcap_agent.metrics.config import read_metrics_config
from coolcap_agent.rpc.address import Address, parse_address
from coolcap_agent.rpc.identity import Usage
from coolcap_agent.rpc.tls import Tls, TlsFiles, load_tls
from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where to listen and as whom."""

    listen: Address
    tls: TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseConfig:
    """How long leases last: the time granted when none is asked for, and the longest."""

    ttl_default_s: float
    ttl_max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What the node agent's and the plant agent's configs have in common.

    Attributes:
        path: The config file.
        agent_id: Node or plant id; the certificate is for it.
        state_dir: Folder of journal and epoch; survives restarts, for this agent alone.
        sample_period_s: Time between readings, on the site's clock.
        device_deadline_s: Longest wait for one device, on the host's clock.
        read_only: Never write to a device, whoever asks.
        server: Where to listen and as whom.
        lease: How long leases last.
        simulated_clock: File that carries simulated site time; None: the host's clock.
        log: How to log.
        metrics: Where scrapers find OpenMetrics; None: nowhere.
    """

    path: Path
    agent_id: str
    state_dir: Path
    sample_period_s: float
    device_deadline_s: float
    read_only: bool
    server: ServerConfig
    lease: LeaseConfig
    simulated_clock: Path | None
    log: LogConfig
    metrics: Address | None

    def clock(self) -> Clock:
        """Return the clock that paces sampling."""
        if self.simulated_clock is None:
            return RealClock()
        from coolcap_agent.simulated_clock import SimulatedClock

        return SimulatedClock(self.simulated_clock)

    def load_tls(self) -> Tls:
        """Read and check the agent's identity.

        Raises:
            ConfigError: With everything that is wrong with the files.
        """
        return load_tls(
            self.server.tls, usages=(Usage.SERVER,), name=self.agent_id, origin=str(self.path)
        )


def take_path(table: Table, key: str, *, folder: Path) -> Path:
    """Take a path; a relative one starts at ``folder``."""
    return folder / table.take_str(key)


def read_server_config(table: Table, *, folder: Path) -> ServerConfig:
    """Read ``[server]``; problems are collected in ``table.problems``."""
    listen = table.take_str("listen", default="127.0.0.1:0")
    address = Address(host="127.0.0.1", port=0)
    try:
        address = parse_address(listen)
    except ValueError as error:
        table.complain("listen", f"= {listen!r} is not allowed: {error}")
    tls = TlsFiles(
        certificate=take_path(table, "certificate_file", folder=folder),
        key=take_path(table, "key_file", folder=folder),
        ca=take_path(table, "ca_file", folder=folder),
    )
    table.finish()
    return ServerConfig(listen=address, tls=tls)


def read_lease_config(table: Table) -> LeaseConfig:
    """Read ``[lease]``; problems are collected in ``table.problems``."""
    config = LeaseConfig(
        ttl_default_s=table.take_float("ttl_default_s", low=0.1, high=3600.0, unit="s", default=30),
        ttl_max_s=table.take_float("ttl_max_s", low=0.1, high=3600.0, unit="s", default=90),
    )
    if config.ttl_default_s > config.ttl_max_s:
        table.complain("ttl_default_s", f"must not be above ttl_max_s = {config.ttl_max_s:g} s")
    table.finish()
    return config


def read_clock_config(table: Table, *, folder: Path) -> Path | None:
    """Read ``[clock]``; None means the host's clock."""
    path = take_path(table, "simulated", folder=folder) if table.has("simulated") else None
    table.finish()
    return path


def read_agent_config(
    root: Table, *, path: Path, id_key: str, device_deadline_s: float
) -> AgentConfig:
    """Take what both agents share from the root table, which is not finished here.

    Args:
        root: The root table.
        path: The config file.
        id_key: Key of the agent's name.
        device_deadline_s: Deadline of device calls if the file gives none.
    """
    folder = path.parent
    agent_id = _take_id(root, id_key)
    if len(agent_id.encode()) > 256:
        root.complain(id_key, "is longer than 256 bytes")
    return AgentConfig(
        path=path,
        agent_id=agent_id,
        state_dir=take_path(root, "state_dir", folder=folder),
        sample_period_s=root.take_float(
            "sample_period_s", low=0.1, high=3600.0, unit="s", default=1.0
        ),
        device_deadline_s=root.take_float(
            "device_deadline_s", low=0.05, high=60.0, unit="s", default=device_deadline_s
        ),
        read_only=root.take_bool("read_only", default=False),
        server=read_server_config(root.take_table("server"), folder=folder),
        lease=read_lease_config(root.take_table("lease", needed=False)),
        simulated_clock=read_clock_config(root.take_table("clock", needed=False), folder=folder),
        log=read_log_config(root.take_table("log", needed=False)),
        metrics=read_metrics_config(root),
    )


def _take_id(root: Table, key: str) -> str:
    """Take an agent's name; ``env:NAME`` is the value of an environment variable."""
    text = root.take_str(key)
    if not text.startswith("env:"):
        return text
    value = os.environ.get(text.removeprefix("env:"), "")
    if not value:
        root.complain(key, f"= {text!r}: the environment has no such variable, or it is empty")
    return value


def read_config(path: Path, read: Callable[[Table], C]) -> C:
    """Read a TOML file with ``read``, which takes what it knows from the root table.

    Raises:
        ConfigError: With every problem of the file at once, unknown keys included.
    """
    root = Table(read_toml(path), path="", problems=[])
    config = read(root)
    root.finish()
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return config


def read_limits_table(root: Table, *, path: Path) -> tuple[Table, str]:
    """Return the agent's own limits, ``[limits]`` or the file ``limits_file``, and their origin.

    In a file of its own the limits can belong to somebody else than the config.

    Raises:
        ConfigError: If that file cannot be read.
    """
    if not root.has("limits_file"):
        return root.take_table("limits", needed=False), str(path)
    if root.has("limits"):
        root.complain("limits_file", "and [limits] are both given: keep one of them")
        root.take_table("limits")
    file = take_path(root, "limits_file", folder=path.parent)
    return Table(read_toml(file), path=file.name, problems=root.problems), str(file)
