"""Signs of life: the options reach gRPC, agree with each other, and find a frozen peer."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path

import grpc
import grpc.aio
import pytest

from coolcap_agent import certs
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.channel import (
    CHANNEL_OPTIONS,
    KEEPALIVE_OPTIONS,
    KEEPALIVE_TIME_S,
    KEEPALIVE_TIMEOUT_S,
)
from coolcap_agent.rpc.server import SERVER_OPTIONS, RpcServer
from coolcap_proto.v1 import node_agent_pb2, node_agent_pb2_grpc

Serve = Callable[..., AbstractAsyncContextManager[tuple[RpcServer, Address]]]
Connect = Callable[..., grpc.aio.Channel]
Options = Sequence[tuple[str, int]]
FASTER = 5
"""Idle time in a test is real time, made shorter by this; gRPC pings once a second at most."""

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
    server: tuple[int, Address], connect: Connect
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


def faster(options: Options) -> list[tuple[str, int]]:
    return [(name, v // FASTER if name.endswith("_ms") else v) for name, v in options]


def test_every_option_is_one_that_grpc_knows() -> None:
    """
    gRPC ignores a misspelt option in silence; the names stand as text in its library.
    """
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).read_bytes()
    names = {name for name, _ in (*CHANNEL_OPTIONS, *SERVER_OPTIONS)}

    assert {name for name in names if name.encode() + b"\0" not in library} == set()


def test_both_ends_ask_for_signs_of_life() -> None:
    assert dict(KEEPALIVE_OPTIONS).items() <= dict(SERVER_OPTIONS).items()
    assert dict(KEEPALIVE_OPTIONS).items() <= dict(CHANNEL_OPTIONS).items()


@pytest.mark.slow
def test_idle_session_is_not_hung_up_for_asking_too_often(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A server that allows fewer pings than its clients send ends their sessions at the fourth.
    """
    silent = [option for option in SERVER_OPTIONS if option[0] != "grpc.keepalive_time_ms"]
    monkeypatch.setattr("coolcap_agent.rpc.server.SERVER_OPTIONS", faster(silent))
    monkeypatch.setattr("coolcap_agent.rpc.channel.CHANNEL_OPTIONS", faster(CHANNEL_OPTIONS))
    request = node_agent_pb2.NodeAgentSessionRequest()

    async def play() -> None:
        async with serve() as (_, address), connect(address) as channel:
            call = node_agent_pb2_grpc.NodeAgentStub(channel).Session()
            for idle_s in (0.0, 5.5 * KEEPALIVE_TIME_S / FASTER):
                await asyncio.sleep(idle_s)
                await call.write(request)
                assert isinstance(await call.read(), node_agent_pb2.NodeAgentSessionResponse)

    asyncio.run(play())
