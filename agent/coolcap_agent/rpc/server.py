"""Server side: binds one address alone, checks roles, tells its health, ends in order."""

from collections.abc import Callable
from typing import Final, TypeVar

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coolcap_agent.rpc.address import Address, BindError, check_free
from coolcap_agent.rpc.channel import KEEPALIVE_OPTIONS, KEEPALIVE_TIME_S, MESSAGE_BYTES_MAX
from coolcap_agent.rpc.interceptor import RoleInterceptor
from coolcap_agent.rpc.tls import Tls

Servicer = TypeVar("Servicer")

SERVER_OPTIONS: Final = (
    *KEEPALIVE_OPTIONS,
    # By default a second process binds the same port in silence and gets half of the callers.
    ("grpc.so_reuseport", 0),
    # Clients ask for signs of life; a default server would call that abuse and hang up.
    ("grpc.http2.min_ping_interval_without_data_ms", int(KEEPALIVE_TIME_S * 1000) // 2),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


class RpcServer:
    """A gRPC server over mutual TLS with roles, health and reflection.

    Make it inside a running event loop. ``add`` the services, ``start``, ``set_serving`` as they
    become ready or fail, ``stop``.
    """

    def __init__(self, *, tls: Tls) -> None:
        self._tls = tls
        self._server = grpc.aio.server(interceptors=[RoleInterceptor()], options=SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._names: list[str] = []

    def add(
        self,
        register: Callable[[Servicer, grpc.aio.Server], None],
        servicer: Servicer,
        service: ServiceDescriptor,
    ) -> None:
        """Offer a service.

        Args:
            register: Generated function, for example ``add_NodeAgentServicer_to_server``.
            servicer: Answers the calls.
            service: Describes it, for example
                ``node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"]``.
        """
        register(servicer, self._server)
        self._names.append(service.full_name)

    async def start(self, address: Address) -> int:
        """Listen on ``address`` and return the port; services are not ready until told.

        Raises:
            BindError: If the address cannot be had; the message says why.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        check_free(address)
        try:
            port = self._server.add_secure_port(str(address), self._tls.server_credentials())
        except RuntimeError as error:
            raise BindError(f"cannot listen on {address}: {error}") from error
        await self._server.start()
        return port

    async def set_serving(self, serving: bool, *, service: str = "") -> None:
        """Tell the health of one service, or without a name of all and of the server itself."""
        state = health_pb2.HealthCheckResponse
        for name in [service] if service else ["", *self._names]:
            await self._health.set(name, state.SERVING if serving else state.NOT_SERVING)

    async def stop(self, *, grace_s: float) -> None:
        """Refuse new calls, give running ones ``grace_s`` to end, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
