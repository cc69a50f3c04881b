"""``[discovery]`` of the controller's config: where node agents are found.

::

    [discovery]
    period_s = 10.0              # how often is looked

    [discovery.file]             # a file of [[agents]] tables; taken in anew when it changes
    path = "fleet.toml"

    [discovery.dns]              # addresses of a name; who is there, its certificate says
    host = "coolcap-nodes.example.net"
    port = 7501

    [discovery.kubernetes]       # EndpointSlices of a headless service; nodes by their node's name
    namespace = "coolcap"
    service = "coolcap-node"
    port = 7501

One of the three. Agents named by ``[[agents]]`` stay where they are said to be.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_agent.config import take_path
from coolcap_agent.controller.election_config import POD_FOLDER
from coolcap_envs.contract.config import Table

KINDS: Final = ("file", "dns", "kubernetes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A file of ``[[agents]]`` tables."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSource:
    """All addresses of ``host``; every agent listens on ``port``."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSource:
    """Endpoints of a service.

    Attributes:
        namespace: Its namespace.
        service: Its name.
        port: Port of the agents.
        url: The cluster's API.
        token_file: Token of the service account; read anew each time, because it changes.
        ca_file: Authority of the API's certificate.
    """

    namespace: str
    service: str
    port: int
    url: str
    token_file: Path | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """Where agents are found, and how often is looked."""

    source: FileSource | DnsSource | KubernetesSource
    period_s: float


def read_discovery_config(root: Table, *, folder: Path) -> DiscoveryConfig | None:
    """Read ``[discovery]``; None without one. Problems are collected in ``root.problems``."""
    if not root.has("discovery"):
        return None
    table = root.take_table("discovery")
    period_s = table.take_float("period_s", low=1.0, high=3600.0, unit="s", default=10.0)
    given = [kind for kind in KINDS if table.has(kind)]
    sources = [_read(table.take_table(kind), kind, folder=folder) for kind in given]
    table.finish()
    if len(sources) != 1:
        said = " and ".join(given) or "none"
        root.complain("discovery", f"has {said}: one of {', '.join(KINDS)} is needed")
        return None
    return DiscoveryConfig(source=sources[0], period_s=period_s)


def _read(table: Table, kind: str, *, folder: Path) -> FileSource | DnsSource | KubernetesSource:
    source: FileSource | DnsSource | KubernetesSource
    if kind == "file":
        source = FileSource(path=take_path(table, "path", folder=folder))
    elif kind == "dns":
        source = DnsSource(host=table.take_str("host"), port=_port(table))
    else:
        pod = Path(POD_FOLDER)
        source = KubernetesSource(
            namespace=table.take_str("namespace"),
            service=table.take_str("service"),
            port=_port(table),
            url=table.take_str("url", default="https://kubernetes.default.svc"),
            token_file=_file(table, "token_file", pod / "token", folder),
            ca_file=_file(table, "ca_file", pod / "ca.crt", folder),
        )
        if source.url and not source.url.startswith(("http://", "https://")):
            table.complain("url", f"= {source.url!r} must start with http:// or https://")
    table.finish()
    return source


def _port(table: Table) -> int:
    return table.take_int("port", low=1, high=65535, default=7501)


def _file(table: Table, key: str, default: Path, folder: Path) -> Path:
    return take_path(table, key, folder=folder) if table.has(key) else default
