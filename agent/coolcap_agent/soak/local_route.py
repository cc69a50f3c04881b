"""Simulated nodes in the relay's own process: what is measured then is the controller's side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coolcap_agent.daemon.session import Session
from coolcap_agent.soak.light_node import LightNode
from coolcap_proto.v1 import common_pb2, node_agent_pb2


class LocalRoute:
    """A simulated node without a network between it and its relay."""

    def __init__(self, node: LightNode) -> None:
        self.name = node.name
        self._node = node

    @asynccontextmanager
    async def open(self) -> AsyncIterator["LocalRoute"]:
        """Open nothing: it is here."""
        yield self

    async def capabilities(self) -> node_agent_pb2.NodeCapabilities:
        """Return what the node has and allows."""
        return self._node.capabilities()

    async def acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        """Ask for the lease. Raises RefusedError."""
        return self._node.acquire(request)

    async def release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse:
        """Give the lease back. Raises RefusedError."""
        return self._node.release(request)

    def session(
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        """Open the node's session."""
        return Session(self._node, self._node.telemetry).stream(requests)
