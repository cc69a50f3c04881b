"""Addresses of BACnet devices and of our own interface, as people write them."""

import ipaddress
import re
from typing import Final

BROADCAST_NETWORK: Final = 65535
"""Network number of all networks: ASHRAE 135-2020, clause 6.2.2.1."""

_STATION: Final = re.compile(r"[0-9]{1,3}|0x([0-9A-Fa-f]{2})+")
"""A station behind a router: its MS/TP number, or its bytes."""


def is_device_address(text: str) -> bool:
    """Return whether ``text`` is one device's: 10.20.0.11, or 2001:12 behind a router."""
    network, _, station = text.partition(":")
    if network.isdigit() and 0 < int(network) < BROADCAST_NETWORK:
        return _STATION.fullmatch(station) is not None or _is_host(station)
    return _is_host(text)


def is_interface(text: str) -> bool:
    """Return whether ``text`` is address/prefix[:port]."""
    address, _, port = text.partition(":")
    try:
        ipaddress.IPv4Interface(address)
    except ValueError:
        return False
    return _is_port(port)


def _is_host(text: str) -> bool:
    address, _, port = text.partition(":")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return _is_port(port)


def _is_port(text: str) -> bool:
    return text == "" or (text.isdigit() and int(text) <= 65535)
