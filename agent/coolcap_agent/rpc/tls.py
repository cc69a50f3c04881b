"""Loading certificate, key and authority for both ends; all that is wrong is said at once."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509

from coolcap_agent.rpc.certificate import (
    Names,
    Usage,
    issuer_problem,
    key_problem,
    name_problem,
    names_of,
    read_chain,
    time_problem,
    usage_problem,
)
from coolcap_envs.contract.errors import ConfigError

KEY_MODE_REFUSED = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""A key may be read by its owner and, for a service account, its group; by nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where a process finds its identity and the authority it trusts (all PEM)."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A checked identity, ready for gRPC."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
    names: Names
    end_time: datetime

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials of a server that demands a client certificate."""
        return grpc.ssl_server_credentials(
            [(self.key_pem, self.certificate_pem)], self.ca_pem, require_client_auth=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return credentials of a client that shows its certificate."""
        return grpc.ssl_channel_credentials(self.ca_pem, self.key_pem, self.certificate_pem)


def load_tls(
    files: TlsFiles,
    *,
    usages: tuple[Usage, ...],
    name: str = "",
    origin: str = "TLS files",
    now: datetime | None = None,
) -> Tls:
    """Read and check an identity.

    Args:
        files: Where it is.
        usages: What it will be used for; the controller is server and client.
        name: Node, plant or controller id the certificate must be for; empty: any.
        origin: What to call the source of the paths in messages, for example the config file.
        now: Time to check validity at, timezone-aware; default: the host's.

    Raises:
        ConfigError: If anything is wrong; the message lists every problem with its file.
    """
    problems: list[str] = []
    certificate_pem = _read(files.certificate, "certificate", problems)
    key_pem = _read(files.key, "key", problems)
    ca_pem = _read(files.ca, "certificate authority", problems)
    chain = _parse(certificate_pem, files.certificate, problems)
    authorities = _parse(ca_pem, files.ca, problems)

    at = now or datetime.now(UTC)
    found = [_mode_problem(files.key)]
    found += [time_problem(authority, files.ca, now=at) for authority in authorities]
    if chain:
        own = chain[0]
        found.append(time_problem(own, files.certificate, now=at))
        found.append(name_problem(own, files.certificate, name=name))
        found += [usage_problem(own, files.certificate, usage=usage) for usage in usages]
    if chain and key_pem:
        found.append(key_problem(chain[0], files.certificate, key_pem=key_pem, key_path=files.key))
    if chain and authorities:
        found.append(
            issuer_problem(
                chain, files.certificate, authorities=authorities, authorities_path=files.ca
            )
        )
    problems += [problem for problem in found if problem]
    if problems:
        raise ConfigError(origin, problems)
    return Tls(
        certificate_pem=certificate_pem,
        key_pem=key_pem,
        ca_pem=ca_pem,
        names=names_of(chain[0]),
        end_time=chain[0].not_valid_after_utc,
    )


def _read(path: Path, what: str, problems: list[str]) -> bytes:
    """Return a file's content, or nothing after a problem."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.append(f"{what} {path} cannot be read: {error.strerror}")
        return b""
    if not content.strip():
        problems.append(f"{what} {path} is empty")
        return b""
    return content


def _parse(pem: bytes, path: Path, problems: list[str]) -> Sequence[x509.Certificate]:
    """Return the certificates of a PEM file, or none after a problem."""
    if not pem:
        return ()
    try:
        return read_chain(pem)
    except ValueError:
        problems.append(f"{path} holds no certificate in PEM form")
        return ()


def _mode_problem(path: Path) -> str | None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None  # reading it has said so already
    if mode & KEY_MODE_REFUSED == 0:
        return None
    return (
        f"key {path} can be used by others (mode {mode:03o}; allowed are 600, 400, 640 and 440): "
        f"run `chmod 600 {path}`, and replace the key if others may have read it"
    )
