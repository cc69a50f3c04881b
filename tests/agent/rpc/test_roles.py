"""The table of roles covers the whole API and denies what it does not know."""

from collections.abc import Iterable, Mapping
from typing import NoReturn

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from coolcap_agent.rpc.roles import METHOD_ROLES, Caller, Role, caller_of, refusal, role_uri
from coolcap_proto.v1 import (
    controller_pb2,
    node_agent_pb2,
    node_relay_pb2,
    plant_agent_pb2,
)

SERVED = (
    controller_pb2,
    node_agent_pb2,
    node_relay_pb2,
    plant_agent_pb2,
    health_pb2,
    reflection_pb2,
)


class Call:
    """A call whose TLS handshake proved ``proved``."""

    def __init__(self, proved: Mapping[str, Iterable[bytes]]) -> None:
        self._proved = proved

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        raise AssertionError(f"nothing here ends a call: {code} {details}")

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return self._proved

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


def test_every_method_of_every_service_has_a_role_and_no_other_has() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in SERVED
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }

    # Newer versions of the standard health service have one method more.
    assert methods - {"/grpc.health.v1.Health/List"} == set(METHOD_ROLES) - {
        "/grpc.health.v1.Health/List"
    }


def test_whatever_changes_something_needs_control() -> None:
    reading = {m.rpartition("/")[2] for m, role in METHOD_ROLES.items() if role is Role.READ}

    assert {
        "Check",
        "GetCapabilities",
        "GetDecision",
        "GetStatus",
        "GetTelemetry",
        "List",
        "ServerReflectionInfo",
        "Watch",
    } == reading


def test_caller_is_named_by_dns_and_roles_come_from_uris_only() -> None:
    """
    A DNS name that looks like a role grants nothing, nor does a URI with something behind it.
    """
    proved = {
        "peer_dns": [b"coolcap://role/control", b"probe"],
        "peer_uri": [b"coolcap://role/read", b"coolcap://role/control/x", b"spiffe://site/probe"],
        "x509_common_name": [b"coolcap://role/control"],
    }

    caller = caller_of(Call(proved))

    assert frozenset({Role.READ}) == caller.roles
    assert caller.name == "coolcap://role/control"


def test_caller_without_names_has_no_role() -> None:
    assert Caller(name="", roles=frozenset()) == caller_of(Call({}))


@pytest.mark.parametrize(
    ("role", "method", "allowed"),
    [
        (Role.READ, "/coolcap.v1.NodeAgent/GetTelemetry", True),
        (Role.READ, "/coolcap.v1.NodeAgent/RenewLease", False),
        (Role.CONTROL, "/coolcap.v1.NodeAgent/GetTelemetry", True),
        (Role.CONTROL, "/coolcap.v1.Controller/SetMode", True),
        (Role.CONTROL, "/coolcap.v1.NodeAgent/NotInTheTable", False),
    ],
)
def test_role_decides(role: Role, method: str, allowed: bool) -> None:
    caller = Caller(name="someone", roles=frozenset({role}))

    assert allowed == (refusal(method, caller) is None)


def test_refusal_of_a_caller_without_role_says_what_to_do() -> None:
    caller = Caller(name="laptop", roles=frozenset())

    assert (
        "/coolcap.v1.Controller/GetStatus needs role read, and client certificate 'laptop' has "
        "none (URI coolcap://role/… in its subject alternative name); call with a certificate "
        f"that has {role_uri(Role.READ)}"
    ) == refusal("/coolcap.v1.Controller/GetStatus", caller)
