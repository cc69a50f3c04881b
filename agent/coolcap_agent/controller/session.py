"""One agent as the controller's partner: connects, stays connected, holds its lease, commands.

Everything runs in one event loop. Commands and renewals wait in a mailbox of one place each, the
newest wins, so that a slow agent never builds a queue.
"""

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from coolcap_agent.controller.agent_address import AgentConfig
from coolcap_agent.controller.call_errors import in_words, needs_a_person
from coolcap_agent.controller.lease_client import HeldLease, LeaseClient
from coolcap_agent.controller.mailbox import Mailbox
from coolcap_agent.daemon.wire import duration, span_of, timestamp
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import Tls
from coolcap_envs.contract.errors import CoolcapError
from coolcap_proto.v1 import common_pb2

log = logging.getLogger(__name__)

CALL_DEADLINE_S: Final = 5.0
STALE_AFTER_S: Final = 5.0
"""Silence of an agent, host time, after which its readings are no longer shown."""
BACK_OFF_FIRST_S: Final = 0.2
BACK_OFF_MAX_S: Final = 5.0

Request = TypeVar("Request")
Response = TypeVar("Response")


class Connection(StrEnum):
    """Whether telemetry of an agent arrives; the API's ``ConnectionState``."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    REFUSED = "refused"


class IdentityError(CoolcapError):
    """The agent is not the one it should be, or has not what the site file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this controller is towards agents."""

    holder: str
    instance_id: str
    lease_ttl_s: float
    tls: Tls


class NotReleasedError(CoolcapError):
    """An agent could not be told that its lease is given back; it ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command.

    Attributes:
        read_back: Value in force per device, where it could be read.
        refusals: One sentence per device that did not take it, beginning with the device.
    """

    read_back: Mapping[str, float]
    refusals: tuple[str, ...] = ()


class Pending:
    """A command on its way.

    Attributes:
        future: Becomes the answer.
        answer_mono_s: When it did.
    """

    def __init__(self, give_up: Callable[[], object], mono_s: Callable[[], float]) -> None:
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.answer_mono_s = float("nan")
        self.give_up = give_up
        self._mono_s = mono_s

    def resolve(self, answer: Answer) -> None:
        """Note the answer; another one later is ignored."""
        if not self.future.done():
            self.answer_mono_s = self._mono_s()
            self.future.set_result(answer)


class AgentSession(ABC, Generic[Request, Response]):
    """One agent. ``run`` lasts until cancelled.

    Args:
        config: Which agent.
        identity: Who this controller is.
        faults: Logs what begins and ends to be wrong.
        on_telemetry: Called with the agent's name after each telemetry and change of connection.
        mono_s: The host's monotonic clock.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        identity: Identity,
        faults: FaultLog,
        on_telemetry: Callable[[str], None],
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.lease = LeaseClient(mono_s)
        self.connected = False
        self.refused = False
        self.measure_time_s = float("-inf")
        self.lease_seen = common_pb2.LeaseStatus()
        self._identity = identity
        self._faults = faults
        self._on_telemetry = on_telemetry
        self._mono_s = mono_s
        self._arrival_mono_s = float("-inf")
        self._sequence_seen = ("", 0)
        self._move = asyncio.Event()
        self._box: Mailbox[Request] = Mailbox()
        self._waiting: dict[int, Pending] = {}
        self._lease_task: asyncio.Task[object] | None = None
        self._ask_again_mono_s = 0.0

    # What a node or a plant has of its own

    @abstractmethod
    def _attach(self, channel: grpc.aio.Channel) -> None:
        """Make the stub of a new channel."""

    @abstractmethod
    async def _introduce(self) -> None:
        """Read the capabilities. Raises IdentityError if they are not what they should be."""

    @abstractmethod
    def _open(self, requests: AsyncIterator[Request]) -> AsyncIterator[Response]:
        """Open the session stream."""

    @abstractmethod
    async def _acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease: ...

    @abstractmethod
    async def _release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse: ...

    @abstractmethod
    def _renewal(self, request: common_pb2.RenewLeaseRequest) -> Request: ...

    @abstractmethod
    def _command_message(
        self,
        values: Mapping[str, float],
        *,
        lease: HeldLease,
        sequence: int,
        answers_time: Timestamp | None,
    ) -> Request: ...

    @abstractmethod
    def _take(self, response: Response) -> None:
        """Take in one message of the session."""

    @abstractmethod
    def forget(self) -> None:
        """Forget the readings: they are too old to be shown."""

    # State for others

    @property
    def name(self) -> str:
        """Return the agent's id."""
        return self.config.name

    @property
    def connection(self) -> Connection:
        """Return whether telemetry arrives."""
        if self.refused:
            return Connection.REFUSED
        if self._mono_s() - self._arrival_mono_s <= STALE_AFTER_S:
            return Connection.LIVE
        return Connection.STALE if self.connected else Connection.CONNECTING

    @property
    def leased_elsewhere(self) -> bool:
        """Return whether, by the agent's last word, a lease that is not ours lives.

        Before its first word it counts as leased.
        """
        seen = self.lease_seen
        if seen.state == common_pb2.LEASE_STATE_UNSPECIFIED:
            return True
        if seen.state != common_pb2.LEASE_STATE_HELD or self.lease.live is not None:
            return False
        return self._mono_s() < self._arrival_mono_s + span_of(seen.remaining)

    @property
    def problem(self) -> str:
        """Return what is wrong and what to do; empty when all is well."""
        # While it is not connected, nothing else that is known of it is of use.
        unconnected = self._faults.message(f"{self.name} connection")
        return unconnected or self._faults.about(self.name)

    # Commands

    def ask(self, values: Mapping[str, float], *, answers_time_s: float | None) -> Pending | Answer:
        """Send values by device; return what will become the answer, or the answer if it is known.

        ``answers_time_s`` is the measure time of the telemetry it answers, None if none.
        """
        lease = self.lease.live
        if lease is None or not self.connected:
            why = self.problem or ("no lease yet" if self.connected else "not connected")
            return Answer(read_back={}, refusals=(f"{self.name}: {why}",))
        sequence = self.lease.next_sequence()
        request = self._command_message(
            values,
            lease=lease,
            sequence=sequence,
            answers_time=None if answers_time_s is None else timestamp(answers_time_s),
        )
        if self._box.command is not None:
            self._resolve(self._box.command[0], _refused(self.name, "a newer command came first"))
        self._box.command = (sequence, request)
        pending = Pending(lambda: self._waiting.pop(sequence, None), self._mono_s)
        self._waiting[sequence] = pending
        self._box.wake.set()
        return pending

    def keep_lease(self, *, wanted: bool) -> None:
        """Acquire, renew or release the lease as wanted; returns at once."""
        if not self.connected or (self._lease_task and not self._lease_task.done()):
            return
        if not wanted:
            if self.lease.live is not None:
                self._lease_task = asyncio.create_task(self._release_quietly())
        elif self.lease.live is not None:
            if self.lease.renewal_due:
                self._box.renew_due = True
                self._box.wake.set()
        elif self._mono_s() >= self._ask_again_mono_s:
            self._lease_task = asyncio.create_task(self._acquire_lease())

    async def release(self) -> Sequence[common_pb2.RestoreResult]:
        """Give the lease back; return what the agent restored. Raises NotReleasedError."""
        lease, remaining_s = self.lease.live, self.lease.remaining_s
        self.lease.lost()
        if lease is None:
            return []
        by_itself = f"its lease ends by itself in {remaining_s:.1f} s"
        if not self.connected:
            raise NotReleasedError(f"not connected; {by_itself}")
        request = common_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch)
        try:
            return (await self._release(request)).results
        except grpc.aio.AioRpcError as error:
            raise NotReleasedError(f"{in_words(error)}; {by_itself}") from error

    async def settle(self) -> None:
        """Wait until no lease is on its way to or from here."""
        if self._lease_task is not None:
            await asyncio.wait([self._lease_task])

    async def _release_quietly(self) -> None:
        try:
            await self.release()
        except NotReleasedError as error:
            log.warning("%s: %s", self.name, error)

    async def _acquire_lease(self) -> None:
        asked_mono_s = self._mono_s()
        request = common_pb2.AcquireLeaseRequest(
            holder=self._identity.holder,
            instance_id=self._identity.instance_id,
            ttl=duration(self._identity.lease_ttl_s),
        )
        try:
            lease = await self._acquire(request)
        except grpc.aio.AioRpcError as error:
            # Somebody else's lease ends within its time to live, which is about ours.
            pause_s = self._identity.lease_ttl_s * random.uniform(0.1, 0.25)
            self._ask_again_mono_s = self._mono_s() + pause_s
            self._faults.begin(f"{self.name} lease", f"{self.name}: no lease: {in_words(error)}")
            return
        self.lease.granted(
            lease_id=lease.lease_id,
            epoch=lease.epoch,
            ttl_s=span_of(lease.ttl),
            asked_mono_s=asked_mono_s,
        )
        self._faults.end(f"{self.name} lease", f"{self.name}: lease granted, epoch {lease.epoch}")
        self._on_telemetry(self.name)

    # Staying connected

    async def run(self, *, start_after_s: float = 0.0) -> None:
        """Connect, and again after each failure, until cancelled."""
        await asyncio.sleep(start_after_s)
        pause_s = BACK_OFF_FIRST_S
        while True:
            if not self._reachable:
                self._fault("nobody says where it is; see [discovery]")
                await self._moved()
                continue
            before_mono_s = self._arrival_mono_s
            try:
                if await self._serve_until_moved():
                    continue
                self._fault("the agent ended the session")
            except grpc.aio.AioRpcError as error:
                self.refused = needs_a_person(error)
                self._fault(in_words(error))
            except IdentityError as error:
                self.refused = True
                self._fault(str(error))
            except Exception as error:  # noqa: BLE001 - one odd message must not end this for good
                self._fault(f"what it sent could not be understood: {error!r}")
            if self._arrival_mono_s > before_mono_s:
                pause_s = BACK_OFF_FIRST_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2.0 * pause_s, BACK_OFF_MAX_S)

    def move(self, address: Address | None) -> None:
        """Go on at another address, or at none until one is known. No lease is lost by it."""
        if address != self.config.address:
            self.config = dataclasses.replace(self.config, address=address)
            self._move.set()

    async def _moved(self) -> None:
        await self._move.wait()
        self._move.clear()

    @property
    def _reachable(self) -> bool:
        """Return whether it is known where the agent is."""
        return self.config.address is not None

    async def _serve_until_moved(self) -> bool:
        """Serve where the agent is; return whether it is elsewhere now."""
        moved = asyncio.create_task(self._moved())
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.wait((moved, serving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            return moved.done()
        finally:
            for task in (moved, serving):
                task.cancel()
            await asyncio.wait((moved, serving))

    def _fault(self, what: str) -> None:
        at = "" if self.config.address is None else f" at {self.config.address}"
        where = f"{self.config.kind} agent {self.name}{at}"
        self._faults.begin(f"{self.name} connection", f"{where}: {what}")

    @contextlib.asynccontextmanager
    async def _connect(self, address: Address | None) -> AsyncIterator[None]:
        """Make the stub, over a channel of its own."""
        assert address is not None
        channel = open_channel(address, server_name=self.name, tls=self._identity.tls)
        try:
            self._attach(channel)
            yield
        finally:
            await channel.close()

    async def _serve(self) -> None:
        async with self._connect(self.config.address):
            await self._talk()

    async def _talk(self) -> None:
        box: Mailbox[Request] = Mailbox()
        self._box = box
        try:
            await self._introduce()
            async for response in self._open(self._requests(box)):
                if not self.connected:
                    self.connected, self.refused = True, False
                    self._faults.end(f"{self.name} connection", f"{self.name} is connected")
                self._take(response)
        finally:
            self.connected = False
            box.close()
            for sequence in list(self._waiting):
                self._resolve(sequence, _refused(self.name, "the connection ended"))
            self._on_telemetry(self.name)

    async def _requests(self, box: Mailbox[Request]) -> AsyncIterator[Request]:
        """Yield what waits in the mailbox, renewals first: they are what must not be late."""
        while True:
            await box.wake.wait()
            box.wake.clear()
            if box.closed:
                return
            lease = self.lease.live
            if box.renew_due and lease is not None:
                self.lease.renewal_sent()
                yield self._renewal(
                    common_pb2.RenewLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch)
                )
            box.renew_due = False
            if box.command is not None:
                _, request = box.command
                box.command = None
                yield request

    # What subclasses report

    def _arrived(self, *, boot_id: str, sequence: int, measure_time_s: float) -> bool:
        """Note telemetry; return whether it is newer than all before."""
        self._arrival_mono_s = self._mono_s()
        if self._sequence_seen[0] not in ("", boot_id):
            self.lease.lost()  # the agent started anew and knows of no lease
        if self._sequence_seen[0] == boot_id and sequence <= self._sequence_seen[1]:
            return False
        self._sequence_seen = (boot_id, sequence)
        self.measure_time_s = measure_time_s
        return True

    def _resolve(self, sequence: int, answer: Answer) -> None:
        pending = self._waiting.pop(sequence, None)
        if pending is not None:
            pending.resolve(answer)

    def _take_lease(self, lease: common_pb2.Lease) -> None:
        self.lease.renewed(lease_id=lease.lease_id, epoch=lease.epoch, ttl_s=span_of(lease.ttl))

    def _take_refusal(self, refusal: common_pb2.Refusal) -> None:
        if refusal.reason in (
            common_pb2.REFUSAL_REASON_NO_LEASE,
            common_pb2.REFUSAL_REASON_STALE_EPOCH,
        ):
            self.lease.lost()
            self._faults.begin(f"{self.name} lease", refusal.message)
        self._resolve(refusal.sequence, _refused(self.name, refusal.message))


def _refused(name: str, why: str) -> Answer:
    return Answer(read_back={}, refusals=(f"{name}: {why}",))


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
