"""``[election]`` of the controller's config: several controllers of one hall."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from coolcap_agent.config import take_path
from coolcap_agent.rpc.address import Address, parse_address
from coolcap_envs.contract.config import Table

POD_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes puts a pod's token and certificate authority."""


class ElectorKind(StrEnum):
    """What decides which controller may try to lead."""

    LEASES = "leases"
    ETCD = "etcd"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Another controller of the hall: its name, which its certificate proves, and its address."""

    name: str
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectorConfig:
    """How to reach an elector.

    Attributes:
        url: Its HTTP API.
        office: What is held: a key of etcd, or NAMESPACE/NAME of a Kubernetes Lease.
        ca_file: Authority of its certificate; None: those of the system.
        token_file: Bearer token; None: none.
        certificate_file: Client certificate with its key in ``key_file``; None: none.
        key_file: See ``certificate_file``.
    """

    url: str
    office: str
    ca_file: Path | None
    token_file: Path | None
    certificate_file: Path | None
    key_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionConfig:
    """Several controllers of one hall.

    Attributes:
        elector: What decides who may try.
        service: How to reach it; None for leases alone.
        peers: The other controllers.
    """

    elector: ElectorKind
    service: ElectorConfig | None
    peers: tuple[PeerConfig, ...]


def read_election_config(root: Table, *, name: str, folder: Path) -> ElectionConfig | None:
    """Read ``[election]``; None without one: the controller is alone."""
    if not root.has("election"):
        return None
    table = root.take_table("election")
    kind = table.take_str("elector", allowed=tuple(ElectorKind), default=ElectorKind.LEASES)
    elector = ElectorKind(kind) if kind else ElectorKind.LEASES
    service = None
    if elector is not ElectorKind.LEASES:
        service = _read_service(table, elector, folder=folder)
    peers: list[PeerConfig] = []
    for peer in table.take_tables("peers", needed=False):
        peer_name, text = peer.take_str("name"), peer.take_str("address")
        peer.finish()
        if peer_name == name:
            peer.complain("name", f"= {name!r} is this controller itself; name the others")
        try:
            peers.append(PeerConfig(name=peer_name, address=parse_address(text)))
        except ValueError as error:
            peer.complain("address", f"is not allowed: {error}")
    table.finish()
    return ElectionConfig(elector=elector, service=service, peers=tuple(peers))


def _read_service(table: Table, kind: ElectorKind, *, folder: Path) -> ElectorConfig:
    in_pod = kind is ElectorKind.KUBERNETES
    part = table.take_table(kind.value, needed=True)

    def file(key: str, default: Path | None = None) -> Path | None:
        return take_path(part, key, folder=folder) if part.has(key) else default

    pod = Path(POD_FOLDER)
    config = ElectorConfig(
        url=part.take_str("url", default="https://kubernetes.default.svc" if in_pod else None),
        office=part.take_str("lease" if in_pod else "key"),
        ca_file=file("ca_file", pod / "ca.crt" if in_pod else None),
        token_file=file("token_file", pod / "token" if in_pod else None),
        certificate_file=file("certificate_file"),
        key_file=file("key_file"),
    )
    if config.url and not config.url.startswith(("http://", "https://")):
        part.complain("url", f"= {config.url!r} must start with http:// or https://")
    if in_pod and config.office.count("/") != 1:
        part.complain("lease", f"= {config.office!r} must be NAMESPACE/NAME")
    if (config.certificate_file is None) != (config.key_file is None):
        part.complain("certificate_file", "and key_file go together: give both or none")
    part.finish()
    return config
