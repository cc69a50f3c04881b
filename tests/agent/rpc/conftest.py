"""A development PKI and a small node agent over it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from coolcap_agent import certs
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.roles import caller_of
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import load_tls
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

NODE_AGENT = node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"]

Serve = Callable[..., AbstractAsyncContextManager[tuple[RpcServer, Address]]]
Connect = Callable[..., grpc.aio.Channel]


class Node(node_agent_pb2_grpc.NodeAgentServicer):
    """Answers telemetry with the caller's name; a session echoes sequences until it ends."""

    async def GetCapabilities(  # noqa: N802 - name of the API
        self, request: common_pb2.GetCapabilitiesRequest, context: CallContext
    ) -> node_agent_pb2.NodeCapabilities:
        return node_agent_pb2.NodeCapabilities(node_id="node-01")

    async def AcquireLease(  # noqa: N802 - name of the API
        self, request: common_pb2.AcquireLeaseRequest, context: CallContext
    ) -> common_pb2.Lease:
        return common_pb2.Lease(lease_id="a", epoch=1, holder=request.holder)

    async def RenewLease(  # noqa: N802 - name of the API
        self, request: common_pb2.RenewLeaseRequest, context: CallContext
    ) -> common_pb2.Lease:
        return common_pb2.Lease(lease_id=request.lease_id, epoch=request.epoch)

    async def ReleaseLease(  # noqa: N802 - name of the API
        self, request: common_pb2.ReleaseLeaseRequest, context: CallContext
    ) -> common_pb2.ReleaseLeaseResponse:
        return common_pb2.ReleaseLeaseResponse()

    async def GetTelemetry(  # noqa: N802 - name of the API
        self, request: common_pb2.GetTelemetryRequest, context: CallContext
    ) -> node_agent_pb2.NodeTelemetry:
        return node_agent_pb2.NodeTelemetry(node_id="node-01", boot_id=caller_of(context).name)

    async def SetPowerCaps(  # noqa: N802 - name of the API
        self, request: node_agent_pb2.SetPowerCapsRequest, context: CallContext
    ) -> node_agent_pb2.SetPowerCapsResponse:
        return node_agent_pb2.SetPowerCapsResponse(sequence=request.sequence)

    async def Session(  # noqa: N802 - name of the API
        self,
        request_iterator: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest],
        context: CallContext,
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        async for request in request_iterator:
            yield node_agent_pb2.NodeAgentSessionResponse(
                set_power_caps=node_agent_pb2.SetPowerCapsResponse(
                    sequence=request.set_power_caps.sequence
                )
            )


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(tmp_path_factory.mktemp("pki"), agents=["node-01", "node-02"])


@pytest.fixture
def serve(pki: certs.Pki) -> Serve:
    """Start a node agent named ``name`` with a certificate ``of`` a set; the context ends it."""

    @asynccontextmanager
    async def start(
        name: str = "node-01", *, port: int = 0, of: certs.Pki = pki
    ) -> AsyncIterator[tuple[RpcServer, Address]]:
        server = RpcServer(tls=load_tls(of.files(name), usages=(Usage.SERVER,), name=name))
        server.add(node_agent_pb2_grpc.add_NodeAgentServicer_to_server, Node(), NODE_AGENT)
        got = await server.start(Address(host="127.0.0.1", port=port))
        await server.set_serving(True)
        try:
            yield server, Address(host="127.0.0.1", port=got)
        finally:
            await server.stop(grace_s=0)

    return start


@pytest.fixture
def connect(pki: certs.Pki) -> Connect:
    """Open a channel as ``client`` to the server named ``server_name``."""

    def to(
        address: Address, *, client: str = "control", server_name: str = "node-01"
    ) -> grpc.aio.Channel:
        tls = load_tls(pki.files(client), usages=(Usage.CLIENT,))
        return open_channel(address, server_name=server_name, tls=tls)

    return to


@pytest.fixture
def other_pki(tmp_path: Path) -> certs.Pki:
    """A set of another authority, with the same names."""
    return certs.make_pki(tmp_path / "other", agents=["node-01"])
