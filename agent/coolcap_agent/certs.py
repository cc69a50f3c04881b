"""Development PKI for ``coolcap certs``: an authority, and a certificate per process and person.

Files of a set: ``ca.crt`` (everybody needs it), ``ca.key`` (keep it away from the machines that
run daemons), and for each name ``NAME.crt`` and ``NAME.key``. Keys have mode 600.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from coolcap_agent.rpc.authority import Authority, certificate_pem, key_pem
from coolcap_agent.rpc.certificate import Usage, names_of, read_chain, time_problem
from coolcap_agent.rpc.roles import Role, role_uri, roles_in
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_envs.contract.errors import ConfigError

DAYS_DEFAULT: Final = 90
DAYS_MAX: Final = 365
"""Renewing is practised at least once a year."""
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
AUTHORITY_NAME: Final = "ca"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Whom a certificate is for: what it may be used as, and the role it has as a client."""

    usages: tuple[Usage, ...]
    role: Role | None


AGENT: Final = Kind(usages=(Usage.SERVER,), role=None)
CONTROLLER: Final = Kind(usages=(Usage.SERVER, Usage.CLIENT), role=Role.CONTROL)
OPERATOR: Final = Kind(usages=(Usage.CLIENT,), role=Role.CONTROL)
VIEWER: Final = Kind(usages=(Usage.CLIENT,), role=Role.READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """A set of certificates on disk."""

    directory: Path
    names: tuple[str, ...]

    def files(self, name: str) -> TlsFiles:
        """Return the files of ``name``."""
        return TlsFiles(
            certificate=self.directory / f"{name}.crt",
            key=self.directory / f"{name}.key",
            ca=self.directory / f"{AUTHORITY_NAME}.crt",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReport:
    """What a certificate is, and all that is wrong with it (empty: nothing)."""

    path: Path
    dns: tuple[str, ...]
    roles: tuple[Role, ...]
    start_time: datetime | None
    end_time: datetime | None
    problems: tuple[str, ...]


def make_pki(
    directory: Path,
    *,
    agents: Sequence[str],
    controllers: Sequence[str] = ("control",),
    operators: Sequence[str] = ("operator",),
    viewers: Sequence[str] = ("viewer",),
    hosts: Mapping[str, Sequence[str]] | None = None,
    days: int = DAYS_DEFAULT,
    overwrite: bool = False,
    now: datetime | None = None,
) -> Pki:
    """Write an authority, unless ``directory`` has one, and a certificate for every name.

    Nothing is written if anything is wrong. An authority is never replaced: for a new one use an
    empty directory.

    Args:
        directory: Where to; made with mode 700 if missing.
        agents: Node ids and plant ids: servers.
        controllers: Servers for operators and clients of the agents, role control.
        operators: People with role control.
        viewers: People and dashboards with role read.
        hosts: Further host names and addresses of servers, by name; this machine's loopback
            names are always in.
        days: Life of the certificates, 1 to ``DAYS_MAX``; at most that of the authority.
        overwrite: Whether certificates and keys that exist may be replaced.
        now: Begin of validity, timezone-aware; default: the host's time.

    Raises:
        ConfigError: If a name or ``days`` is not allowed, files exist, or the directory cannot be
            used; the message lists every problem.
    """
    kinds = [
        *((name, AGENT) for name in agents),
        *((name, CONTROLLER) for name in controllers),
        *((name, OPERATOR) for name in operators),
        *((name, VIEWER) for name in viewers),
    ]
    start = now or datetime.now(UTC)
    pki = Pki(directory=directory, names=tuple(name for name, _ in kinds))
    problems = _request_problems(pki.names, hosts=hosts or {}, days=days)
    if not overwrite:
        problems += _existing(pki)
    if problems:
        raise ConfigError(str(directory), problems)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _authority(directory, now=start)
        for name, kind in kinds:
            serves = Usage.SERVER in kind.usages
            certificate, key = authority.issue(
                name,
                hosts=(*LOCAL_HOSTS, *(hosts or {}).get(name, ())) if serves else (),
                uris=(role_uri(kind.role),) if kind.role else (),
                usages=kind.usages,
                start=start,
                end=start + timedelta(days=days),
            )
            files = pki.files(name)
            _write(files.key, key_pem(key), mode=0o600)
            _write(files.certificate, certificate_pem(certificate), mode=0o644)
    except OSError as error:
        raise ConfigError(str(error.filename or directory), [f"{error.strerror}"]) from error
    return pki


def check(path: Path, *, now: datetime | None = None) -> tuple[CertificateReport, ...]:
    """Report on one certificate, or on each certificate of a directory.

    A certificate is checked together with the key and the ``ca.crt`` that lie beside it.

    Raises:
        ConfigError: If there is no certificate at ``path``.
    """
    at = now or datetime.now(UTC)
    paths = sorted(path.glob("*.crt")) if path.is_dir() else [path]
    if not paths:
        raise ConfigError(str(path), ["holds no certificate (*.crt); make some by `coolcap certs`"])
    return tuple(_report(one, now=at) for one in paths)


def _report(path: Path, *, now: datetime) -> CertificateReport:
    problems: Sequence[str] = ()
    own: x509.Certificate | None = None
    try:
        own = read_chain(path.read_bytes())[0]
    except OSError as error:
        problems = [f"certificate {path} cannot be read: {error.strerror}"]
    except ValueError:
        problems = [f"{path} holds no certificate in PEM form"]
    if own is not None and path.stem == AUTHORITY_NAME:
        problems = [p for p in [time_problem(own, path, now=now)] if p]
    elif own is not None:
        files = TlsFiles(
            certificate=path,
            key=path.with_suffix(".key"),
            ca=path.with_name(f"{AUTHORITY_NAME}.crt"),
        )
        try:
            load_tls(files, usages=(), now=now)
        except ConfigError as error:
            problems = error.problems
    return CertificateReport(
        path=path,
        dns=names_of(own).dns if own else (),
        roles=tuple(sorted(roles_in(names_of(own).uris))) if own else (),
        start_time=own.not_valid_before_utc if own else None,
        end_time=own.not_valid_after_utc if own else None,
        problems=tuple(problems),
    )


def _request_problems(
    names: Sequence[str], *, hosts: Mapping[str, Sequence[str]], days: int
) -> list[str]:
    problems = [
        f"name {name!r} is not allowed: lower-case letters, digits, '.' and '-', at most 63, "
        f"and not {AUTHORITY_NAME!r} (it becomes a DNS name and a file name)"
        for name in dict.fromkeys(names)
        if name == AUTHORITY_NAME or not _NAME.fullmatch(name)
    ]
    problems += [
        f"name {name!r} is asked for twice; each process and person needs its own"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += [
        f"hosts are given for {name!r}, which is no name" for name in set(hosts) - {*names}
    ]
    if not names:
        problems.append("no name is asked for")
    if not 1 <= days <= DAYS_MAX:
        problems.append(f"days = {days} is outside 1 to {DAYS_MAX} days")
    return problems


def _existing(pki: Pki) -> list[str]:
    paths = [p for n in pki.names for p in (pki.files(n).certificate, pki.files(n).key)]
    return [
        f"{path.name} exists; allow overwriting, or use another directory"
        for path in dict.fromkeys(paths)
        if path.exists()
    ]


def _authority(directory: Path, *, now: datetime) -> Authority:
    """Return the directory's authority; a new one only where there is none."""
    certificate_path = directory / f"{AUTHORITY_NAME}.crt"
    key_path = directory / f"{AUTHORITY_NAME}.key"
    if not certificate_path.exists() and not key_path.exists():
        authority = Authority.create(now=now)
        _write(key_path, key_pem(authority.key), mode=0o600)
        _write(certificate_path, certificate_pem(authority.certificate), mode=0o644)
        return authority
    try:
        authority = Authority.load(
            certificate_pem=certificate_path.read_bytes(), key_pem=key_path.read_bytes()
        )
    except ValueError as error:
        advice = "use an empty directory for a new set"
        raise ConfigError(str(directory), [f"ca.crt and ca.key: {error}; {advice}"]) from error
    outdated = time_problem(authority.certificate, certificate_path, now=now)
    if outdated:
        raise ConfigError(str(directory), [outdated])
    return authority


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file whole or not at all; nobody but its owner can read a key at any moment."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
    new.replace(path)
