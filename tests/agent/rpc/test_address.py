"""Addresses are read strictly; a taken one is said to be taken."""

import socket

import pytest

from coolcap_agent.rpc.address import Address, BindError, check_free, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7501", "127.0.0.1", 7501),
        ("localhost:0", "localhost", 0),
        ("node-3.example:65535", "node-3.example", 65535),
        ("[::1]:7501", "::1", 7501),
    ],
)
def test_address_is_read_and_written_back(text: str, host: str, port: int) -> None:
    assert Address(host=host, port=port) == parse_address(text)
    assert text == str(parse_address(text))


@pytest.mark.parametrize(
    "text", ["", "7501", ":7501", "host", "host:", "host:-1", "host:65536", "host:7x", "[]:1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port with a port from 0 to 65535"):
        parse_address(text)


def test_bare_ipv6_address_is_refused_with_the_right_form() -> None:
    with pytest.raises(ValueError, match=r"write an IPv6 host in brackets, \[::1\]:7501"):
        parse_address("::1:7501")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("node-3", False),
    ],
)
def test_only_loopback_is_loopback(host: str, loopback: bool) -> None:
    assert loopback == Address(host=host, port=1).loopback


def test_free_port_is_free_and_a_taken_one_is_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = Address(host="127.0.0.1", port=taken.getsockname()[1])
        taken.listen()

        with pytest.raises(BindError, match=f"cannot listen on {address}: Address already in use"):
            check_free(address)

    check_free(address)


def test_address_of_another_machine_cannot_be_had() -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:7501: Cannot assign"):
        check_free(Address(host="192.0.2.1", port=7501))
