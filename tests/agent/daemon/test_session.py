"""A session shows the newest telemetry, loses no answer, and carries out the newest command."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.session import ANSWERS_MAX, Session, SessionPort
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2

Request = int | common_pb2.RenewLeaseRequest | None
"""A command with its sequence, a renewal, or a message with nothing in it."""


class Port(SessionPort[Request, int, str]):
    """Commands wait for ``gate``; negative sequences are refused."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun: list[int] = []

    def command_of(self, request: Request) -> int | None:
        return request if isinstance(request, int) else None

    def sequence_of(self, command: int) -> int:
        return command

    def renewal_of(self, request: Request) -> common_pb2.RenewLeaseRequest | None:
        return request if isinstance(request, common_pb2.RenewLeaseRequest) else None

    def renew(self, renewal: common_pb2.RenewLeaseRequest) -> str:
        return f"renewed {renewal.epoch}"

    async def carry_out(self, command: int) -> str:
        self.begun.append(command)
        await self.gate.wait()
        if command < 0:
            raise RefusedError(common_pb2.REFUSAL_REASON_NO_LEASE, "no lease")
        return f"done {command}"

    def refusal(self, refused: RefusedError, *, sequence: int) -> str:
        return f"refused {sequence} {refused.reason}"


class Client:
    """Sends requests and keeps what comes back."""

    def __init__(self) -> None:
        self.port = Port()
        self.telemetry: Latest[str] = Latest()
        self.requests: asyncio.Queue[Request] = asyncio.Queue()

    async def _requests(self) -> AsyncIterator[Request]:
        while True:
            yield await self.requests.get()

    def stream(self) -> AbstractAsyncContextManager[AsyncGenerator[str, None]]:
        return aclosing(Session(self.port, self.telemetry).stream(self._requests()))


async def one(answers: AsyncGenerator[str, None]) -> str:
    return await anext(answers)


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_telemetry_comes_at_once_and_a_slow_reader_gets_the_newest() -> None:
    async def play() -> list[str]:
        client = Client()
        client.telemetry.put("t1")
        async with client.stream() as answers:
            got = [await anext(answers)]
            for number in range(2, 100):
                client.telemetry.put(f"t{number}")
            got.append(await anext(answers))
        return got

    assert asyncio.run(play()) == ["t1", "t99"]


def test_of_waiting_commands_only_the_newest_is_carried_out() -> None:
    async def play() -> tuple[list[int], list[str]]:
        client = Client()
        client.port.gate.clear()
        async with client.stream() as answers:
            first = asyncio.create_task(one(answers))
            for sequence in (1, 2, 3, 4):
                client.requests.put_nowait(sequence)
                await settle()
            client.port.gate.set()
            got = [await first] + [await anext(answers) for _ in range(3)]
        return client.port.begun, got

    begun, got = asyncio.run(play())

    stale = common_pb2.REFUSAL_REASON_STALE_SEQUENCE
    assert begun == [1, 4]
    assert got == [f"refused 2 {stale}", f"refused 3 {stale}", "done 1", "done 4"]


def test_renewal_does_not_wait_behind_a_command_that_hangs() -> None:
    async def play() -> str:
        client = Client()
        client.port.gate.clear()
        async with client.stream() as answers:
            client.requests.put_nowait(1)
            client.requests.put_nowait(common_pb2.RenewLeaseRequest(epoch=5))
            return str(await asyncio.wait_for(anext(answers), 5.0))

    assert asyncio.run(play()) == "renewed 5"


def test_refusal_and_unknown_message_do_not_end_the_session() -> None:
    async def play() -> list[str]:
        client = Client()
        async with client.stream() as answers:
            got = []
            for request in (-1, None, 7):
                client.requests.put_nowait(request)
                got.append(await asyncio.wait_for(anext(answers), 5.0))
        return got

    assert asyncio.run(play()) == [
        f"refused -1 {common_pb2.REFUSAL_REASON_NO_LEASE}",
        f"refused 0 {common_pb2.REFUSAL_REASON_INVALID}",
        "done 7",
    ]


def test_client_that_reads_nothing_is_not_read_from_for_ever() -> None:
    """
    Answers are never dropped, so their number must be bounded by not taking more requests.
    """

    async def play() -> tuple[int, int]:
        client = Client()
        for _ in range(4 * ANSWERS_MAX):
            client.requests.put_nowait(common_pb2.RenewLeaseRequest(epoch=1))
        client.telemetry.put("t1")
        async with client.stream() as answers:
            assert await anext(answers)
            for _ in range(8 * ANSWERS_MAX):
                await asyncio.sleep(0)
            left = client.requests.qsize()
            count = 1
            while count < 4 * ANSWERS_MAX:
                count += str(await anext(answers)).startswith("renewed")
        return left, count

    left, count = asyncio.run(play())

    assert left >= 2 * ANSWERS_MAX
    assert count == 4 * ANSWERS_MAX
