"""Client side: one channel per server, which notices a dead peer in seconds."""

from typing import Final

import grpc
import grpc.aio

from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.tls import Tls

KEEPALIVE_TIME_S: Final = 5.0
"""A silent connection is asked for a sign of life after this time."""
KEEPALIVE_TIMEOUT_S: Final = 3.0
"""Without a sign of life within this time the connection counts as dead."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Room for the status of 10,000 GPUs (about 4 MB)."""

KEEPALIVE_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", int(KEEPALIVE_TIME_S * 1000)),
    ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),
    # Without this the sign of life is waited for a minute, whatever the line above says.
    ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

CHANNEL_OPTIONS: Final = (
    *KEEPALIVE_OPTIONS,
    # A connection of its own: one that hangs must not take others to the same address with it.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC adds jitter to these, so that a fleet does not come back in one instant.
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 5000),
    # An http_proxy variable meant for downloads must not carry control traffic away.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


def open_channel(address: Address, *, server_name: str, tls: Tls) -> grpc.aio.Channel:
    """Return a channel to ``address``; it connects with its first call.

    Args:
        address: Where the server listens.
        server_name: Node, plant or controller id the server's certificate must be for, wherever
            it listens; a server with another one is not talked to.
        tls: The client's identity.
    """
    return grpc.aio.secure_channel(
        str(address),
        tls.channel_credentials(),
        options=[*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", server_name)],
    )


def describe(error: grpc.aio.AioRpcError, *, address: Address, server_name: str) -> str:
    """Return in plain words why a call failed and what to do.

    gRPC says "failed to connect" for a dead server and for a refused certificate alike.

    Args:
        error: As the call raised it.
        address: Where the call went.
        server_name: Who was expected there.
    """
    details = error.details() or ""
    where = f"{server_name} at {address}"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{where} did not answer in time; whether the call took effect is unknown"
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return f"{where} refused: {details} ({error.code().name})"
    if "Hostname Verification" in details:
        return (
            f"the server at {address} is not {server_name}: its certificate is for another name; "
            "correct the address or the id"
        )
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return (
            f"the certificate of {where} is expired or not from the authority trusted here; "
            "check both ends by `coolcap certs`"
        )
    if "Connection refused" in details:
        return f"nothing listens for {where}; is it running?"
    if "Socket closed" in details or "handshake" in details.lower():
        return (
            f"{where} closed the connection while it was set up; most likely it does not accept "
            "this client's certificate (expired, or of another authority)"
        )
    return f"{where} cannot be reached: {details}"
