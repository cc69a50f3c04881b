"""One node as a relay reaches it: over the network, or in the same process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import Tls
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

CALL_DEADLINE_S = 5.0


class NodeLine(Protocol):
    """What a relay asks of a node. Failures are ``grpc.aio.AioRpcError`` or ``RefusedError``."""

    async def capabilities(self) -> node_agent_pb2.NodeCapabilities:
        """Return what the node has and allows."""
        ...

    async def acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        """Ask for the lease."""
        ...

    async def release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse:
        """Give the lease back."""
        ...

    def session(
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        """Open the node's session."""
        ...


class NodeRoute(Protocol):
    """Where a node is; each controller's session opens a line of its own."""

    @property
    def name(self) -> str:
        """Return the id of the node."""
        ...

    def open(self) -> AbstractAsyncContextManager[NodeLine]:
        """Open a line; its end closes it."""
        ...


class RemoteRoute:
    """A node agent on the network; its certificate must be for ``name``."""

    def __init__(self, name: str, address: Address, *, tls: Tls) -> None:
        self.name = name
        self._address = address
        self._tls = tls

    @asynccontextmanager
    async def open(self) -> AsyncIterator["RemoteLine"]:
        """Open a connection."""
        channel = open_channel(self._address, server_name=self.name, tls=self._tls)
        try:
            yield RemoteLine(node_agent_pb2_grpc.NodeAgentStub(channel))
        finally:
            await channel.close()


class RemoteLine:
    """A connection with a node agent."""

    def __init__(self, stub: "node_agent_pb2_grpc.NodeAgentStub") -> None:
        self._stub = stub

    async def capabilities(self) -> node_agent_pb2.NodeCapabilities:
        """Return what the node has and allows."""
        request = common_pb2.GetCapabilitiesRequest()
        return await self._stub.GetCapabilities(request, timeout=CALL_DEADLINE_S)

    async def acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        """Ask for the lease."""
        return await self._stub.AcquireLease(request, timeout=CALL_DEADLINE_S)

    async def release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse:
        """Give the lease back."""
        return await self._stub.ReleaseLease(request, timeout=CALL_DEADLINE_S)

    def session(
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        """Open the node's session."""
        return aiter(self._stub.Session(requests))
