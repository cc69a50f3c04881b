"""The controller's stream: newest telemetry and every answer up, commands and renewals down.

Telemetry is a mailbox (a slow reader misses readings), answers are a queue that never loses one:
when it is full, no more requests are read, and gRPC's flow control holds the client back.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, Generic, TypeVar

from coolcap_agent.daemon.latest import Latest
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2

Request = TypeVar("Request")
Command = TypeVar("Command")
Answer = TypeVar("Answer")

ANSWERS_MAX: Final = 64
"""Answers that may wait for a slow reader."""


class SessionPort(ABC, Generic[Request, Command, Answer]):
    """What one agent puts behind its session."""

    @abstractmethod
    def command_of(self, request: Request) -> Command | None:
        """Return the command in ``request``, None if it holds something else."""

    @abstractmethod
    def sequence_of(self, command: Command) -> int:
        """Return the sequence of a command."""

    @abstractmethod
    def renewal_of(self, request: Request) -> common_pb2.RenewLeaseRequest | None:
        """Return the renewal in ``request``, None if it holds something else."""

    @abstractmethod
    def renew(self, renewal: common_pb2.RenewLeaseRequest) -> Answer:
        """Renew the lease. Raises RefusedError."""

    @abstractmethod
    async def carry_out(self, command: Command) -> Answer:
        """Carry out a command. Raises RefusedError."""

    @abstractmethod
    def refusal(self, refused: RefusedError, *, sequence: int) -> Answer:
        """Return a refusal as an answer."""


class Session(Generic[Request, Command, Answer]):
    """One open session."""

    def __init__(
        self, port: SessionPort[Request, Command, Answer], telemetry: Latest[Answer]
    ) -> None:
        self._port = port
        self._telemetry = telemetry
        self._answers: deque[Answer] = deque()
        self._waiting: Command | None = None
        self._wake = asyncio.Event()
        self._work = asyncio.Event()
        self._room = asyncio.Event()

    async def stream(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Answer, None]:
        """Serve the client until it goes away."""
        tasks = [asyncio.create_task(self._read(requests)), asyncio.create_task(self._run())]
        self._telemetry.listen(self._wake)
        shown = 0
        try:
            while True:
                self._wake.clear()
                for task in tasks:
                    if task.done() and (error := task.exception()) is not None:
                        raise error
                while self._answers:
                    yield self._answers.popleft()
                    self._room.set()
                value = self._telemetry.value
                if value is not None and self._telemetry.version != shown:
                    shown = self._telemetry.version
                    yield value
                    continue
                await self._wake.wait()
        finally:
            self._telemetry.ignore(self._wake)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, requests: AsyncIterator[Request]) -> None:
        """Take requests in; renewals are answered at once, of waiting commands the newest stays."""
        try:
            async for request in requests:
                await self._take(request)
        finally:
            self._wake.set()

    async def _take(self, request: Request) -> None:
        while len(self._answers) >= ANSWERS_MAX:
            self._room.clear()
            await self._room.wait()
        command = self._port.command_of(request)
        if command is not None:
            older, self._waiting = self._waiting, command
            self._work.set()
            if older is not None:
                self._refuse(_superseded(), sequence=self._port.sequence_of(older))
            return
        renewal = self._port.renewal_of(request)
        if renewal is None:
            self._refuse(_empty(), sequence=0)
            return
        try:
            self._answer(self._port.renew(renewal))
        except RefusedError as refused:
            self._refuse(refused, sequence=0)

    async def _run(self) -> None:
        """Carry out the waiting command, one at a time."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                command, self._waiting = self._waiting, None
                if command is None:
                    continue
                try:
                    self._answer(await self._port.carry_out(command))
                except RefusedError as refused:
                    self._refuse(refused, sequence=self._port.sequence_of(command))
        finally:
            self._wake.set()

    def _refuse(self, refused: RefusedError, *, sequence: int) -> None:
        self._answer(self._port.refusal(refused, sequence=sequence))

    def _answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake.set()


def _superseded() -> RefusedError:
    return RefusedError(
        common_pb2.REFUSAL_REASON_STALE_SEQUENCE,
        "a newer command came before this one was begun; only the newest is carried out",
    )


def _empty() -> RefusedError:
    return RefusedError(
        common_pb2.REFUSAL_REASON_INVALID,
        "the message holds no request this agent knows; its versions of the API may differ",
    )
