"""The one place that knows asyncua: one session with one OPC UA server.

A lost session is replaced by a new client object, not revived: node indices and data types are read
again, and clients of asyncua 1.x could hang when connected twice.
"""
# asyncua is typed, but re-exports its names without saying so.
# pyright: reportPrivateImportUsage=false

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.crypto import security_policies
from cryptography import x509

from coolcap_agent.drivers.base import DeviceLost, DriverError, NotPermitted, ValueRefused
from coolcap_agent.drivers.opcua_nodes import Node

T = TypeVar("T")

PUBLISHING_MS: Final = 500.0
"""How often a server gathers changes for us."""

POLICIES: Final[Mapping[str, Any]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}

_NOT_PERMITTED: Final = {
    ua.StatusCodes.BadNotWritable,
    ua.StatusCodes.BadUserAccessDenied,
    ua.StatusCodes.BadNotReadable,
    ua.StatusCodes.BadIdentityTokenRejected,
    ua.StatusCodes.BadIdentityTokenInvalid,
}
_REFUSED: Final = {
    ua.StatusCodes.BadOutOfRange,
    ua.StatusCodes.BadTypeMismatch,
    ua.StatusCodes.BadWriteNotSupported,
    ua.StatusCodes.BadInvalidArgument,
}
_WRONG: Final = {
    ua.StatusCodes.BadNodeIdUnknown,
    ua.StatusCodes.BadNodeIdInvalid,
    ua.StatusCodes.BadAttributeIdInvalid,
}
"""Status codes by what the caller does; all others mean that the server is lost for now."""

# What is lost is reported by the driver, once; the library logs each failed step of a disconnect.
logging.getLogger("asyncua").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How to reach a server; ``policy`` is empty for no security."""

    url: str
    timeout_s: float
    policy: str
    certificate_file: Path | None
    private_key_file: Path | None
    server_certificate_file: Path | None
    username: str
    password_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a node holds; ``quality`` is empty when it is good.

    Times are None where the server does not give them.
    """

    number: float
    quality: str
    source_time: datetime | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """What a server says about a node that shall be written."""

    type: ua.VariantType
    writable: bool
    low: float | None
    high: float | None


class _Told:
    """Takes what a subscription tells; the library calls it in the client's loop."""

    def __init__(
        self, nodes: Mapping[ua.NodeId, Node], told: Callable[[Node, Value], None]
    ) -> None:
        self._nodes, self._told = nodes, told

    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:  # noqa: ANN401
        """Pass a value on with its quality and times."""
        del val
        known = self._nodes.get(node.nodeid)
        if known is not None:
            self._told(known, _value(data.monitored_item.Value))


class OpcuaClient:
    """One session."""

    def __init__(self, server: Server, *, of: str) -> None:
        """Open nothing yet; ``of`` names the device in messages."""
        self._server = server
        self._of = of
        self._client = Client(server.url, timeout=server.timeout_s)
        self._ids: dict[Node, ua.NodeId] = {}
        self._types: dict[Node, ua.VariantType] = {}
        self._subscribed = False

    @property
    def connected(self) -> bool:
        """Return whether the session stands."""
        return self._client.state is UaClientState.CONNECTED

    async def open(self, nodes: Sequence[Node]) -> str:
        """Open the session, find the nodes' namespaces and return the server's application URI.

        Raises:
            DriverError: If a namespace does not exist, or a file cannot be read.
        """
        try:
            await self._set_credentials()
        except (OSError, ValueError) as error:
            raise DriverError(f"{self._of}: certificates or password: {error}") from error
        await self._ask(self._client.connect(), "connecting")
        namespaces = await self._ask(self._client.get_namespace_array(), "reading namespaces")
        for node in nodes:
            if node.namespace not in namespaces:
                raise DriverError(
                    f"{self._of} has no namespace {node.namespace!r} for {node}; it has: "
                    f"{', '.join(namespaces)}"
                )
            index = namespaces.index(node.namespace)
            self._ids[node] = ua.NodeId.from_string(f"ns={index};{node.identifier}")
        (uris,) = await self._ask(
            self._client.uaclient.read_attributes(
                [ua.NodeId.from_string(f"i={ua.ObjectIds.Server_ServerArray}")],
                ua.AttributeIds.Value,
            ),
            "reading the application URI",
        )
        known = uris.Value.Value if uris.Value is not None else None
        return str(known[0]) if known else ""

    async def close(self) -> None:
        """End the session, with or without the server's help."""
        with suppress(Exception):  # whatever fails, the socket is closed after it
            async with asyncio.timeout(self._server.timeout_s):
                await self._client.disconnect()
        self._client.disconnect_socket()

    async def read(self, nodes: Sequence[Node]) -> dict[Node, Value]:
        """Read many values in one request."""
        request = self._client.uaclient.read_attributes(
            [self._ids[node] for node in nodes], ua.AttributeIds.Value
        )
        return dict(zip(nodes, map(_value, await self._ask(request, "reading")), strict=True))

    async def subscribe(self, nodes: Sequence[Node], told: Callable[[Node, Value], None]) -> None:
        """Have changes told, in one subscription that lives as long as the session."""
        if self._subscribed:
            return
        handler = _Told({self._ids[node]: node for node in nodes}, told)
        subscription = await self._ask(
            self._client.create_subscription(PUBLISHING_MS, handler), "subscribing"
        )
        await self._ask(
            subscription.subscribe_data_change(
                [self._client.get_node(self._ids[node]) for node in nodes]
            ),
            "subscribing to values",
        )
        self._subscribed = True

    async def look_at(self, node: Node) -> NodeInfo:
        """Return type, access and, where there is one, the engineering range of a node."""
        found = self._client.get_node(self._ids[node])
        kind = await self._ask(found.read_data_type_as_variant_type(), f"reading type of {node}")
        access = await self._ask(found.get_user_access_level(), f"reading access of {node}")
        self._types[node] = kind
        low = high = None
        with suppress(NotPermitted, ValueRefused, DriverError):
            path = ua.QualifiedName("EURange", 0)
            span_node = await self._ask(found.get_child(path), f"looking for the range of {node}")
            span = await self._ask(span_node.read_value(), f"reading the range of {node}")
            low, high = float(span.Low), float(span.High)
        return NodeInfo(
            type=kind, writable=ua.AccessLevel.CurrentWrite in access, low=low, high=high
        )

    async def write(self, node: Node, number: float) -> None:
        """Write a number in the node's own type, without time stamps."""
        kind = self._types.get(node)
        if kind is None:
            kind = (await self.look_at(node)).type
        value: float | int | bool = number
        if kind is ua.VariantType.Boolean:
            value = bool(number)
        elif kind not in (ua.VariantType.Double, ua.VariantType.Float):
            value = round(number)
        of = f"writing {number:g} to {node}"
        (status,) = await self._ask(
            self._client.uaclient.write_attributes(
                [self._ids[node]], [ua.DataValue(ua.Variant(value, kind))], ua.AttributeIds.Value
            ),
            of,
        )
        if not status.is_good():
            raise self._error(status.value, status.name, of)

    async def _set_credentials(self) -> None:
        server, client = self._server, self._client
        if server.policy and server.certificate_file and server.private_key_file:
            client.application_uri = _application_uri(server.certificate_file)
            await client.set_security(
                POLICIES[server.policy],
                server.certificate_file,
                server.private_key_file,
                server_certificate=str(server.server_certificate_file),
                mode=ua.MessageSecurityMode.SignAndEncrypt,
            )
        if server.password_file is not None:
            client.set_user(server.username)
            client.set_password(server.password_file.read_text(encoding="utf-8").strip())

    async def _ask(self, request: Awaitable[T], of: str) -> T:
        try:
            return await request
        except ua.UaStatusCodeError as error:
            raise self._error(error.code, str(error), of) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise DeviceLost(f"{self._of}: session ended during {of}") from None
        except (OSError, ua.UaError) as error:  # TimeoutError is an OSError
            said = str(error) or type(error).__name__
            raise DeviceLost(f"{self._of}: no answer to {of}: {said}") from error

    def _error(self, code: int, name: str, of: str) -> DriverError:
        text = f"{self._of} refuses {of}: {name}"
        if code in _NOT_PERMITTED:
            return NotPermitted(text)
        if code in _REFUSED:
            return ValueRefused(text)
        return DriverError(text) if code in _WRONG else DeviceLost(text)


def _value(data: ua.DataValue) -> Value:
    status = data.StatusCode
    quality = "" if status is None or status.is_good() else status.name
    raw = data.Value.Value if data.Value is not None else None
    number = float("nan")
    if isinstance(raw, bool | int | float):
        number = float(raw)
    elif not quality:
        quality = f"holds {type(raw).__name__}, not a number"
    return Value(
        number=number,
        quality=quality,
        source_time=_aware(data.SourceTimestamp),
        server_time=_aware(data.ServerTimestamp),
    )


def _aware(time: datetime | None) -> datetime | None:
    if time is None or time.tzinfo is not None:
        return time
    return time.replace(tzinfo=UTC)


def _application_uri(certificate_file: Path) -> str:
    """Return the URI a certificate is for; a server refuses a client that says another."""
    data = certificate_file.read_bytes()
    pem = data.startswith(b"-----")
    certificate = (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(data)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris: Sequence[str] = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise ValueError(f"{certificate_file} names no application URI")
    return uris[0]
