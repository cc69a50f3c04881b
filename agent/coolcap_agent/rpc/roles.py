"""Who may call what: the client certificate's role against one table, denied by default.

A role is a URI in the certificate's subject alternative name, ``coolcap://role/read`` or
``coolcap://role/control``. Whoever may control may also read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_agent.rpc.context import CallContext


class Role(StrEnum):
    """What a client may do."""

    READ = "read"
    CONTROL = "control"


ROLE_URI_PREFIX: Final = "coolcap://role/"

METHOD_ROLES: Final[Mapping[str, Role]] = {
    "/coolcap.v1.NodeAgent/GetCapabilities": Role.READ,
    "/coolcap.v1.NodeAgent/GetTelemetry": Role.READ,
    "/coolcap.v1.NodeAgent/AcquireLease": Role.CONTROL,
    "/coolcap.v1.NodeAgent/RenewLease": Role.CONTROL,
    "/coolcap.v1.NodeAgent/ReleaseLease": Role.CONTROL,
    "/coolcap.v1.NodeAgent/SetPowerCaps": Role.CONTROL,
    "/coolcap.v1.NodeAgent/Session": Role.CONTROL,
    "/coolcap.v1.NodeRelay/Session": Role.CONTROL,
    "/coolcap.v1.PlantAgent/GetCapabilities": Role.READ,
    "/coolcap.v1.PlantAgent/GetTelemetry": Role.READ,
    "/coolcap.v1.PlantAgent/AcquireLease": Role.CONTROL,
    "/coolcap.v1.PlantAgent/RenewLease": Role.CONTROL,
    "/coolcap.v1.PlantAgent/ReleaseLease": Role.CONTROL,
    "/coolcap.v1.PlantAgent/SetSetpoints": Role.CONTROL,
    "/coolcap.v1.PlantAgent/Session": Role.CONTROL,
    "/coolcap.v1.Controller/GetStatus": Role.READ,
    "/coolcap.v1.Controller/GetDecision": Role.READ,
    "/coolcap.v1.Controller/SetMode": Role.CONTROL,
    "/coolcap.v1.Controller/SetBudget": Role.CONTROL,
    "/coolcap.v1.Controller/SetOverride": Role.CONTROL,
    "/coolcap.v1.Controller/SetSwitchback": Role.CONTROL,
    "/coolcap.v1.Controller/ReleaseControl": Role.CONTROL,
    "/grpc.health.v1.Health/Check": Role.READ,
    "/grpc.health.v1.Health/List": Role.READ,
    "/grpc.health.v1.Health/Watch": Role.READ,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READ,
}
"""The role each method needs. A method that is not here is denied to everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as its certificate proves."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Return whether the caller has ``role`` or a stronger one."""
        return role in self.roles or Role.CONTROL in self.roles


def role_uri(role: Role) -> str:
    """Return the URI that grants ``role`` in a certificate."""
    return ROLE_URI_PREFIX + role.value


def roles_in(uris: Iterable[str]) -> frozenset[Role]:
    """Return the roles among the URIs of a certificate; unknown ones grant nothing."""
    known = {role_uri(role): role for role in Role}
    return frozenset(known[uri] for uri in uris if uri in known)


def caller_of(context: CallContext) -> Caller:
    """Return who calls; without a client certificate a caller with no name and no role."""
    proved = context.auth_context()

    def texts(key: str) -> list[str]:
        return [value.decode("utf-8", "replace") for value in proved.get(key, ())]

    uris = texts("peer_uri")
    other = [uri for uri in uris if not uri.startswith(ROLE_URI_PREFIX)]
    names = [*texts("peer_dns"), *other, *texts("x509_common_name")]
    return Caller(name=names[0] if names else "", roles=roles_in(uris))


def refusal(method: str, caller: Caller) -> str | None:
    """Say why ``caller`` may not call ``method``, or return None if it may."""
    who = f"client certificate {caller.name!r}"
    needed = METHOD_ROLES.get(method)
    if needed is None:
        return f"{method} is open to no role; known methods are in the API of coolcap.v1"
    if caller.may(needed):
        return None
    has = ", ".join(sorted(caller.roles)) or "none"
    return (
        f"{method} needs role {needed}, and {who} has {has} (URI {ROLE_URI_PREFIX}… in its subject "
        f"alternative name); call with a certificate that has {role_uri(needed)}"
    )
