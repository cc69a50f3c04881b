"""A small certificate authority, for development and for sites that have none."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from coolcap_agent.rpc.certificate import OIDS, Usage, read_chain

AUTHORITY_LIFE: Final = timedelta(days=730)
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates begin this much in the past, for machines whose clock is a little behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate that may issue others, with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, *, now: datetime) -> "Authority":
        """Return a new authority, valid for ``AUTHORITY_LIFE`` from ``now``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _begin("coolcap development CA", key, start=now, end=now + AUTHORITY_LIFE)
        certificate = (
            builder.issuer_name(_name("coolcap development CA"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate=certificate, key=key)

    @classmethod
    def load(cls, *, certificate_pem: bytes, key_pem: bytes) -> "Authority":
        """Return a stored authority.

        Raises:
            ValueError: If the two are not the certificate and key of one authority.
        """
        certificate = read_chain(certificate_pem)[0]
        key = load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key is not an elliptic-curve key")
        if key.public_key() != certificate.public_key():
            raise ValueError("certificate and key do not belong together")
        return cls(certificate=certificate, key=key)

    def issue(
        self,
        name: str,
        *,
        hosts: Iterable[str],
        uris: Iterable[str],
        usages: Iterable[Usage],
        start: datetime,
        end: datetime,
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return a certificate and its new key; it never outlives the authority.

        Args:
            name: Id of the owner; the first DNS name.
            hosts: Further DNS names and IP addresses.
            uris: URIs, for example of roles.
            usages: Which ends of a connection it is for.
            start: Begin of validity; ``CLOCK_SKEW`` is taken off.
            end: End of validity.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(end, self.certificate.not_valid_after_utc)
        names = [_host(name), *map(_host, hosts), *map(x509.UniformResourceIdentifier, uris)]
        issuer_key = self.key.public_key()
        certificate = (
            _begin(name, key, start=start, end=end)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([OIDS[usage] for usage in usages]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return certificate, key


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates in PEM form, in order."""
    return b"".join(c.public_bytes(Encoding.PEM) for c in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM form, unencrypted: daemons start without a person."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _begin(
    name: str, key: ec.EllipticCurvePrivateKey, *, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
