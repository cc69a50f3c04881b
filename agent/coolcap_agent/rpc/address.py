"""Addresses of the form ``host:port``, and whether a server can have one."""

import ipaddress
import socket
from dataclasses import dataclass

from coolcap_envs.contract.errors import CoolcapError


class BindError(CoolcapError):
    """A server cannot have the address it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Read ``host:port``; an IPv6 host stands in brackets, port 0 means "any free one".

    Raises:
        ValueError: If it is not of that form; the message says what is.
    """
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    if not plain or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(
            f"address {text!r} is not host:port with a port from 0 to 65535, for example "
            "127.0.0.1:7501 or [::1]:7501"
        )
    if ":" in plain and not bracketed:
        raise ValueError(f"address {text!r}: write an IPv6 host in brackets, [{host}]:{port}")
    return Address(host=plain, port=int(port))


def check_free(address: Address) -> None:
    """Raise BindError with the reason if ``address`` cannot be bound now.

    gRPC reports a failed bind without its reason, hence the try beforehand.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise BindError(
            f"cannot listen on {address}: {error.strerror}; each daemon needs an address of this "
            "machine that no other process uses (another copy of it running?)"
        ) from error
