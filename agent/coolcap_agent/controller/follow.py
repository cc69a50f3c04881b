"""Keeping controllers of one hall of one mind: those that do not lead take over what people asked.

What people ask of the one that leads (mode, budgets, overrides, canary, switchback) must hold after
a take-over too, and a hall that a person switched off must not be taken over at all. So a standby
asks its peers once a second, and again before it tries to lead.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import grpc.aio

from coolcap_agent.controller.election_config import PeerConfig
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import Tls
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc

log = logging.getLogger(__name__)

POLL_PERIOD_S: Final = 1.0
CALL_DEADLINE_S: Final = 0.5

Status = controller_pb2.GetStatusResponse


class Follower:
    """Asks the peers and passes on the status that is to be followed.

    Args:
        peers: The other controllers.
        tls: This controller's identity.
        leads: Whether this controller leads: then it follows nobody.
        changed_s: When people last changed something here, host time; 0: never.
        adopt: Takes a peer's status over.
    """

    def __init__(
        self,
        peers: tuple[PeerConfig, ...],
        *,
        tls: Tls,
        leads: Callable[[], bool],
        changed_s: Callable[[], float],
        adopt: Callable[[Status], Awaitable[None]],
    ) -> None:
        self._peers = peers
        self._tls = tls
        self._leads = leads
        self._changed_s = changed_s
        self._adopt = adopt
        self._faults = FaultLog(log)
        self._stubs: dict[str, controller_pb2_grpc.ControllerStub] = {}
        self._channels: list[grpc.aio.Channel] = []

    async def run(self) -> None:
        """Ask once a second until cancelled."""
        try:
            while True:
                if not self._leads():
                    await self.poll()
                await asyncio.sleep(POLL_PERIOD_S)
        finally:
            for channel in self._channels:
                await channel.close()

    async def poll(self) -> None:
        """Ask all peers at once and follow one, if one is to be followed."""
        answers = await asyncio.gather(*(self._ask(peer) for peer in self._peers))
        found = [answer for answer in answers if answer is not None]
        if not self._leads() and (status := to_follow(found, changed_s=self._changed_s())):
            await self._adopt(status)

    async def _ask(self, peer: PeerConfig) -> Status | None:
        if peer.name not in self._stubs:
            channel = open_channel(peer.address, server_name=peer.name, tls=self._tls)
            self._channels.append(channel)
            self._stubs[peer.name] = controller_pb2_grpc.ControllerStub(channel)
        try:
            status = await self._stubs[peer.name].GetStatus(
                controller_pb2.GetStatusRequest(), timeout=CALL_DEADLINE_S
            )
        except grpc.aio.AioRpcError as error:
            text = f"controller {peer.name} at {peer.address}: {error.code().name}"
            self._faults.begin(peer.name, f"{text}: {error.details()}")
            return None
        self._faults.end(peer.name, f"controller {peer.name} answers")
        return status


def to_follow(answers: list[Status], *, changed_s: float) -> Status | None:
    """Return the status to follow: of the peer that leads, else of the one people changed last.

    Args:
        answers: What the peers said.
        changed_s: When people last changed something here, host time.
    """
    leading = controller_pb2.LEADERSHIP_STATE_LEADING
    for status in answers:
        if status.leadership.state == leading:
            return status

    def changed(status: Status) -> float:
        return status.change_time.ToNanoseconds() * 1e-9 if status.HasField("change_time") else 0.0

    newest = max(answers, key=changed, default=None)
    return newest if newest is not None and changed(newest) > changed_s else None
