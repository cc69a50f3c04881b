"""The controller's connection with a relay, and the nodes behind it as if each were connected.

``RelayedNode`` has the calls of a node agent's stub that a session uses, so that a session does not
see the difference: what it sends waits for the next batch, what comes is handed out by node.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Final

import grpc
import grpc.aio

from coolcap_agent.controller.agent_address import AgentConfig
from coolcap_agent.controller.call_errors import in_words
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.refusals import STATUS_OF
from coolcap_agent.rpc.tls import Tls
from coolcap_proto.v1 import (
    common_pb2,
    node_agent_pb2,
    node_relay_pb2,
    node_relay_pb2_grpc,
)

log = logging.getLogger(__name__)

BACK_OFF_FIRST_S: Final = 0.2
BACK_OFF_MAX_S: Final = 5.0
BATCH_MAX: Final = 1024

Down = node_relay_pb2.RelayedRequest
Up = node_relay_pb2.RelayedResponse


class RelayLink:
    """One relay. ``run`` lasts until cancelled.

    Args:
        config: The relay, with the nodes it may speak for.
        tls: The controller's identity.
        faults: Logs what begins and ends to be wrong.
    """

    def __init__(self, config: AgentConfig, *, tls: Tls, faults: FaultLog) -> None:
        self.config = config
        self.nodes = {name: RelayedNode(name, self) for name in config.nodes}
        self._tls = tls
        self._faults = faults
        self._waiting: list[Down] = []
        self._wake = asyncio.Event()
        self._closed = False

    def send(self, request: Down) -> None:
        """Send with the next batch."""
        self._waiting.append(request)
        self._wake.set()

    async def run(self) -> None:
        """Connect, and again after each failure, until cancelled."""
        key = f"{self.config.name} connection"
        pause_s = BACK_OFF_FIRST_S
        while True:
            try:
                async for batch in self._session():
                    if pause_s > BACK_OFF_FIRST_S or self._faults.message(key):
                        self._faults.end(key, f"relay {self.config.name} is connected")
                        pause_s = BACK_OFF_FIRST_S
                    for response in batch.responses:
                        self._hand_out(response)
                why = "it ended the session"
            except grpc.aio.AioRpcError as error:
                why = in_words(error)
            finally:
                for node in self.nodes.values():
                    node.lose(f"relay {self.config.name} is not connected")
            where = f"relay {self.config.name} at {self.config.address}"
            self._faults.begin(key, f"{where}: {why}")
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2.0 * pause_s, BACK_OFF_MAX_S)

    async def _session(self) -> AsyncIterator[node_relay_pb2.NodeRelaySessionResponse]:
        assert self.config.address is not None
        channel = open_channel(self.config.address, server_name=self.config.name, tls=self._tls)
        self._waiting.clear()
        try:
            stub = node_relay_pb2_grpc.NodeRelayStub(channel)
            async for batch in stub.Session(self._batches()):
                yield batch
        finally:
            await channel.close()

    async def _batches(self) -> AsyncIterator[node_relay_pb2.NodeRelaySessionRequest]:
        while True:
            await self._wake.wait()
            requests, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._wake.clear()
            yield node_relay_pb2.NodeRelaySessionRequest(requests=requests)

    def _hand_out(self, response: Up) -> None:
        node = self.nodes.get(response.node_id)
        if node is None:
            key = f"{self.config.name} nodes"
            text = f"relay {self.config.name} speaks for {response.node_id!r}, which it may not"
            self._faults.begin(key, f"{text}; add it to its nodes, or correct the relay's config")
            return
        node.take(response)


class RelayedNode:
    """One node behind a relay; offers what ``NodeSession`` uses of a node agent's stub."""

    def __init__(self, name: str, link: RelayLink) -> None:
        self._name = name
        self._link = link
        self._connected = asyncio.Event()
        self._has: node_agent_pb2.NodeCapabilities | None = None
        self._why = f"relay {link.config.name} is not connected"
        self._line: asyncio.Queue[node_agent_pb2.NodeAgentSessionResponse | None] | None = None
        self._call: asyncio.Future[Up] | None = None

    # What the relay's link tells

    def take(self, response: Up) -> None:
        """Take in what came from the node."""
        kind = response.WhichOneof("response")
        if kind == "session":
            if self._line is not None:
                self._line.put_nowait(response.session)
        elif kind == "connected":
            self.lose("the node has come back")
            self._has = response.connected
            self._connected.set()
        elif kind == "disconnected":
            self.lose(response.disconnected)
        elif self._call is not None and not self._call.done():
            self._call.set_result(response)

    def lose(self, why: str) -> None:
        """Note that the node is not connected."""
        self._why = why
        self._has = None
        self._connected.clear()
        if self._line is not None:
            self._line.put_nowait(None)
        if self._call is not None and not self._call.done():
            self._call.set_exception(_unavailable(why))

    # What a session calls

    async def GetCapabilities(  # noqa: N802 - the API's name
        self, request: common_pb2.GetCapabilitiesRequest, *, timeout: float
    ) -> node_agent_pb2.NodeCapabilities:
        """Return what the node has, as soon as the relay has it."""
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError as error:
            raise _unavailable(self._why) from error
        assert self._has is not None
        return self._has

    async def AcquireLease(  # noqa: N802
        self, request: common_pb2.AcquireLeaseRequest, *, timeout: float
    ) -> common_pb2.Lease:
        """Ask for the lease."""
        asked = Down(node_id=self._name, acquire_lease=request)
        return (await self._ask(asked, timeout)).lease

    async def ReleaseLease(  # noqa: N802
        self, request: common_pb2.ReleaseLeaseRequest, *, timeout: float
    ) -> common_pb2.ReleaseLeaseResponse:
        """Give the lease back."""
        asked = Down(node_id=self._name, release_lease=request)
        return (await self._ask(asked, timeout)).released

    async def Session(  # noqa: N802
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        """Open the node's session; it ends when the node or the relay is lost."""
        if not self._connected.is_set():
            raise _unavailable(self._why)
        line: asyncio.Queue[node_agent_pb2.NodeAgentSessionResponse | None] = asyncio.Queue()
        self._line = line
        sending = asyncio.create_task(self._send_all(requests))
        try:
            while (response := await line.get()) is not None:
                yield response
        finally:
            sending.cancel()
            if self._line is line:
                self._line = None
        raise _unavailable(self._why)

    async def _send_all(
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> None:
        async for request in requests:
            self._link.send(Down(node_id=self._name, session=request))

    async def _ask(self, request: Down, timeout_s: float) -> Up:
        if not self._connected.is_set():
            raise _unavailable(self._why)
        call: asyncio.Future[Up] = asyncio.get_running_loop().create_future()
        self._call = call
        self._link.send(request)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await call
        except TimeoutError as error:
            raise _failed(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time") from error
        finally:
            self._call = None
        if answer.HasField("refusal"):
            refusal = answer.refusal
            code = STATUS_OF.get(refusal.reason, grpc.StatusCode.FAILED_PRECONDITION)
            raise _failed(code, refusal.message)
        return answer


def _unavailable(why: str) -> grpc.aio.AioRpcError:
    return _failed(grpc.StatusCode.UNAVAILABLE, why)


def _failed(code: grpc.StatusCode, why: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=why)
