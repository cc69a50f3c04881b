"""A peer that is frozen, not closed, is noticed in seconds."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import grpc
import grpc.aio
import pytest

from coolcap_agent import certs
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.channel import KEEPALIVE_TIME_S, KEEPALIVE_TIMEOUT_S
from coolcap_proto.v1 import node_agent_pb2, node_agent_pb2_grpc

SERVER = """
import asyncio, sys
from pathlib import Path
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_proto.v1 import node_agent_pb2, node_agent_pb2_grpc

class Node(node_agent_pb2_grpc.NodeAgentServicer):
    async def Session(self, request_iterator, context):
        yield node_agent_pb2.NodeAgentSessionResponse()
        await asyncio.Event().wait()

async def main():
    certificate, key, ca = map(Path, sys.argv[1:])
    files = TlsFiles(certificate=certificate, key=key, ca=ca)
    server = RpcServer(tls=load_tls(files, usages=()))
    server.add(node_agent_pb2_grpc.add_NodeAgentServicer_to_server, Node(),
               node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"])
    print(await server.start(Address(host="127.0.0.1", port=0)), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def server(pki: certs.Pki) -> Iterator[tuple[int, Address]]:
    """A node agent in a process of its own: its process id and address."""
    files = pki.files("node-01")
    paths = [str(path) for path in (files.certificate, files.key, files.ca)]
    command = [sys.executable, "-c", SERVER, *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, Address(host="127.0.0.1", port=int(process.stdout.readline()))
        process.kill()


@pytest.mark.slow
def test_frozen_server_is_noticed_within_keepalive_time_and_timeout(
    server: tuple[int, Address], connect: Callable[..., grpc.aio.Channel]
) -> None:
    """
    The session carries nothing, so only the signs of life can tell; gRPC alone waits a minute.
    """
    process_id, address = server

    async def play() -> tuple[grpc.StatusCode, float]:
        async with connect(address) as channel:
            call = node_agent_pb2_grpc.NodeAgentStub(channel).Session()
            assert isinstance(await call.read(), node_agent_pb2.NodeAgentSessionResponse)
            os.kill(process_id, signal.SIGSTOP)
            start_mono_s = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(call.read(), timeout=30.0)
            return caught.value.code(), time.monotonic() - start_mono_s

    code, noticed_s = asyncio.run(play())

    assert grpc.StatusCode.UNAVAILABLE is code
    assert noticed_s < KEEPALIVE_TIME_S + KEEPALIVE_TIMEOUT_S + 2.0
