"""Reading an identity and everything that can be wrong with it."""

import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from coolcap_agent.rpc.certificate import (
    issuer_problem,
    key_problem,
    name_problem,
    names_of,
    read_chain,
    time_problem,
    usage_problem,
)
from coolcap_agent.rpc.identity import Tls, TlsFiles, Usage
from coolcap_agent.rpc.tls import KEY_MODE_REFUSED
from coolcap_envs.contract.errors import ConfigError


def read_identity(
    files: TlsFiles,
    *,
    usages: tuple[Usage, ...],
    name: str,
    origin: str,
    now: datetime | None,
) -> Tls:
    """Read and check an identity; arguments and errors as of ``load_tls``."""
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
