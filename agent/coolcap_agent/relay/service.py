"""Servicer of ``coolcap.v1.NodeRelay``: lines to all nodes, and one batched stream to a controller.

Telemetry waits in one place per node, the newest wins; answers wait in a queue. Nothing is decided
here: what a node refuses is handed on, and a node that cannot be reached is said to be.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc.aio

from coolcap_agent.relay.node_line import NodeLine, NodeRoute
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import STATUS_OF, RefusedError
from coolcap_proto.v1 import (
    common_pb2,
    node_agent_pb2,
    node_relay_pb2,
    node_relay_pb2_grpc,
)

Request = node_relay_pb2.RelayedRequest
Response = node_relay_pb2.RelayedResponse
Batch = node_relay_pb2.NodeRelaySessionResponse

TELEMETRY_WAIT_S: Final = 0.05
"""Longest time telemetry waits for that of other nodes; answers do not wait."""
BATCH_MAX: Final = 1024
BACK_OFF_FIRST_S: Final = 0.2
BACK_OFF_MAX_S: Final = 5.0
_REASON_OF: Final = {status: reason for reason, status in STATUS_OF.items()}


class RelayService(node_relay_pb2_grpc.NodeRelayServicer):
    """Answers controllers.

    Args:
        routes: Where the nodes are.
    """

    def __init__(self, routes: Sequence[NodeRoute]) -> None:
        self._routes = routes

    async def Session(  # noqa: N802 - the API's name
        self,
        request_iterator: AsyncIterator[node_relay_pb2.NodeRelaySessionRequest],
        context: CallContext,
    ) -> AsyncIterator[Batch]:
        """Serve a controller until it goes away."""
        outbox = _Outbox()
        nodes = {route.name: _Node(route, outbox) for route in self._routes}
        tasks = [asyncio.create_task(node.run()) for node in nodes.values()]
        tasks.append(asyncio.create_task(_hand_out(request_iterator, nodes, outbox)))
        try:
            while True:
                yield await outbox.next_batch()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Outbox:
    """What waits for the controller."""

    def __init__(self) -> None:
        self._answers: deque[Response] = deque()
        self._telemetry: dict[str, Response] = {}
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()

    def put(self, response: Response) -> None:
        """Add an answer; none is lost."""
        self._answers.append(response)
        self._urgent.set()
        self._filled.set()

    def put_telemetry(self, response: Response) -> None:
        """Replace a node's reading."""
        self._telemetry[response.node_id] = response
        self._filled.set()

    async def next_batch(self) -> Batch:
        """Return what has come together."""
        await self._filled.wait()
        if not self._urgent.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), TELEMETRY_WAIT_S)
        batch = Batch()
        while self._answers and len(batch.responses) < BATCH_MAX:
            batch.responses.append(self._answers.popleft())
        while self._telemetry and len(batch.responses) < BATCH_MAX:
            batch.responses.append(self._telemetry.pop(next(iter(self._telemetry))))
        if not self._answers:
            self._urgent.clear()
            if not self._telemetry:
                self._filled.clear()
        return batch


class _Node:
    """One node for one controller: connects, stays connected, passes on."""

    def __init__(self, route: NodeRoute, outbox: _Outbox) -> None:
        self._route = route
        self._outbox = outbox
        self._inbox: asyncio.Queue[Request] = asyncio.Queue(maxsize=BATCH_MAX)
        self._calls: set[asyncio.Task[None]] = set()
        self._line: NodeLine | None = None

    def take(self, request: Request) -> None:
        """Take in what the controller sends; without a connection it is refused at once."""
        if self._line is None:
            self._refuse(request, common_pb2.REFUSAL_REASON_NOT_READY, "not connected to the node")
        elif request.HasField("session"):
            try:
                self._inbox.put_nowait(request)
            except asyncio.QueueFull:
                reason = common_pb2.REFUSAL_REASON_NOT_READY
                self._refuse(request, reason, "the node does not take what waits for it")
        else:
            call = asyncio.create_task(self._call(self._line, request))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def run(self) -> None:
        """Connect, and again after each failure, until cancelled."""
        pause_s = BACK_OFF_FIRST_S
        try:
            while True:
                why = "the node ended the session"
                try:
                    async with self._route.open() as line:
                        await self._pass_on(line)
                    pause_s = BACK_OFF_FIRST_S
                except grpc.aio.AioRpcError as error:
                    why = error.details() or error.code().name
                finally:
                    self._line = None
                self._outbox.put(Response(node_id=self._route.name, disconnected=why))
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2.0 * pause_s, BACK_OFF_MAX_S)
        finally:
            for call in self._calls:
                call.cancel()

    async def _pass_on(self, line: NodeLine) -> None:
        name = self._route.name
        has = await line.capabilities()
        self._outbox.put(Response(node_id=name, connected=has))
        self._inbox = asyncio.Queue(maxsize=BATCH_MAX)
        self._line = line
        async for response in line.session(self._requests()):
            passed = Response(node_id=name, session=response)
            if response.HasField("telemetry"):
                self._outbox.put_telemetry(passed)
            else:
                self._outbox.put(passed)

    async def _requests(self) -> AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]:
        inbox = self._inbox
        while True:
            yield (await inbox.get()).session

    async def _call(self, line: NodeLine, request: Request) -> None:
        answer = Response(node_id=self._route.name)
        try:
            if request.HasField("acquire_lease"):
                answer.lease.CopyFrom(await line.acquire(request.acquire_lease))
            else:
                answer.released.CopyFrom(await line.release(request.release_lease))
        except RefusedError as refused:
            self._refuse(request, refused.reason, str(refused))
            return
        except grpc.aio.AioRpcError as error:
            reason = _REASON_OF.get(error.code(), common_pb2.REFUSAL_REASON_NOT_READY)
            self._refuse(request, reason, error.details() or error.code().name)
            return
        self._outbox.put(answer)

    def _refuse(
        self, request: Request, reason: common_pb2.RefusalReason.ValueType, why: str
    ) -> None:
        answer = Response(node_id=self._route.name)
        message = f"{self._route.name}: {why}"
        if request.HasField("session"):
            sequence = request.session.set_power_caps.sequence
            answer.session.refusal.CopyFrom(
                common_pb2.Refusal(reason=reason, sequence=sequence, message=message)
            )
        else:
            answer.refusal.CopyFrom(common_pb2.Refusal(reason=reason, message=message))
        self._outbox.put(answer)


async def _hand_out(
    batches: AsyncIterator[node_relay_pb2.NodeRelaySessionRequest],
    nodes: dict[str, _Node],
    outbox: _Outbox,
) -> None:
    async for batch in batches:
        for request in batch.requests:
            node = nodes.get(request.node_id)
            if node is not None:
                node.take(request)
            else:
                text = "this relay speaks for no such node; correct its config or the controller's"
                outbox.put(Response(node_id=request.node_id, disconnected=text))
