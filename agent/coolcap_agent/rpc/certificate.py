"""Reading X.509 certificates and saying in plain words what is wrong with one."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from coolcap_agent.rpc.identity import Names as Names
from coolcap_agent.rpc.identity import Usage as Usage

OIDS: Final[Mapping[Usage, x509.ObjectIdentifier]] = {
    Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}
"""How a certificate says what it is for."""


def utc_text(time: datetime) -> str:
    """Return a time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M UTC")


def read_chain(pem: bytes) -> Sequence[x509.Certificate]:
    """Return the certificates of a PEM file, the owner's own first.

    Raises:
        ValueError: If there is none or one is malformed.
    """
    return x509.load_pem_x509_certificates(pem)


def names_of(certificate: x509.Certificate) -> Names:
    """Return the names of a certificate; empty ones if it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names(dns=(), uris=())
    return Names(
        dns=tuple(names.get_values_for_type(x509.DNSName)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def time_problem(certificate: x509.Certificate, path: Path, *, now: datetime) -> str | None:
    """Say why a certificate is not valid at ``now``, or return None if it is."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    span = f"valid from {utc_text(start)} to {utc_text(end)}, now is {utc_text(now)}"
    if now > end:
        return f"certificate {path} has expired ({span}); renew it, for example by `coolcap certs`"
    if now < start:
        return f"certificate {path} is not valid yet ({span}); check this machine's clock"
    return None


def name_problem(certificate: x509.Certificate, path: Path, *, name: str) -> str | None:
    """Say why a certificate is not for ``name``, or return None if it is or none is wanted."""
    dns = names_of(certificate).dns
    if not name or name in dns:
        return None
    return (
        f"certificate {path} is for {', '.join(dns) or 'no name at all'} (DNS names in its subject "
        f"alternative name), not for {name!r}; make one for that name, or correct the id"
    )


def usage_problem(certificate: x509.Certificate, path: Path, *, usage: Usage) -> str | None:
    """Say why a certificate may not be used as ``usage``, or return None if it may."""
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if OIDS[usage] in allowed:
        return None
    return (
        f"certificate {path} is not made for a {usage.name.lower()} (its extended key usage lacks "
        f"{usage.name.lower()} authentication); use another one"
    )


def key_problem(
    certificate: x509.Certificate, path: Path, *, key_pem: bytes, key_path: Path
) -> str | None:
    """Say why a private key does not belong to a certificate, or return None if it does."""
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        return f"key {key_path} is not an unencrypted private key in PEM form"
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) == certificate.public_key().public_bytes(*spki):
        return None
    return f"key {key_path} does not belong to certificate {path}; they must be made together"


def issuer_problem(
    chain: Sequence[x509.Certificate],
    path: Path,
    *,
    authorities: Sequence[x509.Certificate],
    authorities_path: Path,
) -> str | None:
    """Say why a chain does not lead to one of ``authorities``, or return None if it does."""
    for certificate, issuer in itertools.pairwise(chain):
        if not _issued(certificate, by=issuer):
            return f"certificate {path} holds a chain whose links do not follow from each other"
    if any(_issued(chain[-1], by=authority) for authority in authorities):
        return None
    return (
        f"certificate {path} is not issued by a certificate authority in {authorities_path}; "
        "use the ca.crt of the same set"
    )


def _issued(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
