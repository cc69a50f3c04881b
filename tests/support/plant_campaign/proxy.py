"""A bad network between agent and device: loses, duplicates and reorders what devices answer.

On UDP datagrams are lost both ways, answers doubled and swapped. On TCP a lost segment comes later,
after a retransmission timeout that doubles (RFC 6298: not below 1 s in the standard, 0.2 s in
Linux); whole answers of the protocol are doubled and swapped.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from coolcap_agent.drivers.loop_thread import LoopThread

RETRANSMISSION_S = 0.2


class Proxy:
    """Stands at ``port`` for a device at ``device_port``; attributes are switched at will."""

    def __init__(self, protocol: str, device_port: int) -> None:
        self.loss_ratio = 0.0
        self.duplicate_ratio = 0.0
        self.reorder_ratio = 0.0
        self.lost_count = self.duplicated_count = self.reordered_count = 0
        self._protocol, self._device_port = protocol, device_port
        self._random = random.Random(1)
        self._thread = LoopThread("proxy")
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], object]] = []
        start = self._start_udp() if protocol == "bacnet" else self._start_tcp()
        self.port = self._thread.call(start, deadline_s=10.0, of="starting the proxy")

    def close(self) -> None:
        """End all connections."""

        async def end() -> None:
            for close in self._closers:
                close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._thread.call(end(), deadline_s=10.0, of="ending the proxy")
        self._thread.close()

    def chance(self, ratio: float) -> bool:
        """Throw a die."""
        return self._random.random() < ratio

    async def _start_udp(self) -> int:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _UdpSide(self, ("127.0.0.1", self._device_port)), sock=bound
        )
        self._closers.append(transport.close)
        return int(bound.getsockname()[1])

    async def _start_tcp(self) -> int:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._closers.append(server.close)
        address: tuple[str, int] = server.sockets[0].getsockname()
        return address[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._device_port)
        except OSError:
            writer.close()
            return
        ways = (
            self._carry(reader, there[1], answers=False),
            self._carry(there[0], writer, answers=True),
        )
        for way in ways:
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        rest, held = b"", b""
        try:
            while data := await reader.read(65536):
                timeout_s = RETRANSMISSION_S
                while self.chance(self.loss_ratio):
                    self.lost_count += 1
                    await asyncio.sleep(timeout_s)
                    timeout_s *= 2.0
                if reader.exception() is not None:
                    return  # reset meanwhile: a kernel sends nothing again after that
                rest += data
                frames, rest = split(self._protocol, rest)
                for frame in frames:
                    if answers and not held and self.chance(self.reorder_ratio):
                        self.reordered_count += 1
                        held = frame
                        continue
                    writer.write(frame)
                    if answers and self.chance(self.duplicate_ratio):
                        self.duplicated_count += 1
                        writer.write(frame)
                    if held:
                        writer.write(held)
                        held = b""
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


class _UdpSide(asyncio.DatagramProtocol):
    """Passes datagrams between one client and the device."""

    def __init__(self, proxy: Proxy, device: tuple[str, int]) -> None:
        self._proxy, self._device = proxy, device
        self._client: tuple[str, int] | None = None
        self._held: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport is not an instance of DatagramTransport.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        proxy = self._proxy
        if proxy.chance(proxy.loss_ratio):
            proxy.lost_count += 1
            return
        if addr != self._device:
            self._client = addr
            self._transport.sendto(data, self._device)
            return
        if self._client is None:
            return
        if self._held is None and proxy.chance(proxy.reorder_ratio):
            proxy.reordered_count += 1
            self._held = data
            return
        self._transport.sendto(data, self._client)
        if proxy.chance(proxy.duplicate_ratio):
            proxy.duplicated_count += 1
            self._transport.sendto(data, self._client)
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.sendto(held, self._client)


def split(protocol: str, data: bytes) -> tuple[list[bytes], bytes]:
    """Return whole messages of a protocol and what is left of the next one."""
    frames: list[bytes] = []
    while True:
        length = _length(protocol, data)
        if length == 0 or len(data) < length:
            return frames, data
        frames.append(data[:length])
        data = data[length:]


def _length(protocol: str, data: bytes) -> int:
    """Return how long the first message is, 0 if that cannot be told yet."""
    if protocol == "modbus":  # MBAP header: transaction, protocol, length of what follows
        return 6 + struct.unpack(">H", data[4:6])[0] if len(data) >= 6 else 0
    if protocol == "opcua":  # OPC 10000-6, 7.1.2: type, chunk, size of the whole message
        return struct.unpack("<I", data[4:8])[0] if len(data) >= 8 else 0
    return len(data)


def free_udp_port() -> int:
    """Return a UDP port nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
