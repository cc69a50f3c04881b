"""The operator API over HTTP: JSON in and out, by the very servicer that answers gRPC.

Whoever changes something here is checked against the same table of roles, refused in the same words
and written to the same audit log.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from coolcap_agent.rpc.roles import Caller, refusal, role_uri
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc

SERVICE: Final = controller_pb2.DESCRIPTOR.services_by_name["Controller"]
HTTP_STATUS: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class CallRefusedError(Exception):
    """The servicer ended the call with an error."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details

    @property
    def http_status(self) -> int:
        """Return the status of the HTTP answer."""
        return HTTP_STATUS.get(self.code, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """What a servicer sees of a call that came by HTTP. Implements ``CallContext``."""

    caller: Caller
    address: str

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with an error."""
        raise CallRefusedError(code, details)

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return who calls in the form of a certificate."""
        return {
            "peer_dns": [self.caller.name.encode()],
            "peer_uri": [role_uri(role).encode() for role in self.caller.roles],
        }

    def peer(self) -> str:
        """Return the browser's address."""
        return self.address


async def call(
    service: controller_pb2_grpc.ControllerServicer,
    method: str,
    body: Mapping[str, Any],
    *,
    caller: Caller,
    address: str,
) -> dict[str, Any]:
    """Make one call of the operator API.

    Args:
        service: What answers.
        method: Name of the method, for example ``SetMode``.
        body: The request by the API's field names.
        caller: Who calls.
        address: From where.

    Raises:
        CallRefusedError: If it is refused; with the words a gRPC client would get.
    """
    known = SERVICE.methods_by_name.get(method)
    if known is None or known.client_streaming or known.server_streaming:
        names = ", ".join(m.name for m in SERVICE.methods)
        raise CallRefusedError(grpc.StatusCode.NOT_FOUND, f"no call {method!r}, only {names}")
    why = refusal(f"/{SERVICE.full_name}/{method}", caller)
    if why is not None:
        raise CallRefusedError(grpc.StatusCode.PERMISSION_DENIED, why)
    request: Message = GetMessageClass(known.input_type)()
    try:
        ParseDict(dict(body), request)
    except ParseError as error:
        raise CallRefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
    answers = cast("Callable[[Message, HttpCall], Awaitable[Message]]", getattr(service, method))
    return as_json(await answers(request, HttpCall(caller=caller, address=address)))


def as_json(message: Message) -> dict[str, Any]:
    """Return an answer by the API's field names."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
