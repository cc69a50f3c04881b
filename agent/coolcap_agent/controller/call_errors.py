"""What a failed call to an agent means, in words, and whether it mends itself."""

from typing import Final

import grpc
import grpc.aio

_FOR_PEOPLE: Final = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
_TLS_MARKS: Final = ("SSL", "ssl", "certificate", "erification check", "handshake")
"""gRPC reports a failed handshake as UNAVAILABLE; only its text tells."""


def needs_a_person(error: grpc.aio.AioRpcError) -> bool:
    """Return whether trying again will not help: wrong identity, role or certificate."""
    return error.code() in _FOR_PEOPLE or _is_tls(error)


def in_words(error: grpc.aio.AioRpcError) -> str:
    """Say what a failed call means and what to do."""
    details = (error.details() or "").strip()
    if _is_tls(error):
        return (
            f"TLS failed ({details}); the agent's certificate must be for its name in [[agents]] "
            "and both sides must trust one authority"
        )
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"not reachable ({details}); is the agent running there?"
    return f"{error.code().name}: {details}"


def _is_tls(error: grpc.aio.AioRpcError) -> bool:
    details = error.details() or ""
    return error.code() is grpc.StatusCode.UNAVAILABLE and any(m in details for m in _TLS_MARKS)
