"""A PLC on Modbus/TCP that follows our setpoints only while enabled, alive and not overridden.

Served by a small server of our own: pymodbus's answers with crossed transactions when requests
overlap. Registers (holding, one unit), floats are two registers, high word first:

=================  ==========================================================================
register           meaning
=================  ==========================================================================
``100 n``          identity, 0xC001, at the start of every page
``2``              float 123.456, to check the word order
``10, 11, 12``     enable, heartbeat, override (the panel's switch; read-only)
``20 + 2 k``       setpoint k, virtual: held here, followed only under the handshake
``60 + 2 k``       what the equipment follows for setpoint k (read-only)
``102 + 2 j`` …    sensors, 49 to a page (read-only)
=================  ==========================================================================

A write is refused as a whole if it touches a read-only register, half a float, or puts a value
outside its range or not finite. After ``heartbeat_timeout_s`` without a new heartbeat enable drops.
"""

import asyncio
import math
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, Hall, SimulatedLever
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_agent.plant_simulators.virtual_setpoints import VirtualSetpoints

IDENTITY: Final = 0xC001
CHECK_VALUE: Final = 123.456
UNIT_ID: Final = 1
ENABLE, HEARTBEAT, OVERRIDE = 10, 11, 12
SETPOINTS, FOLLOWED, SENSORS = 20, 60, 100
PAGE: Final = 100
SENSORS_PER_PAGE: Final = 49
SCAN_S: Final = 0.02

READ_HOLDING, WRITE_ONE, WRITE_MANY = 3, 6, 16
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, TARGET_FAILED = 1, 2, 3, 11
"""Function and exception codes of the MODBUS Application Protocol Specification V1.1b3."""


class RefusedError(Exception):
    """The PLC answers with an exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}")


class ModbusPlc(Simulator):
    """The PLC; attributes below are switches for faults.

    Attributes:
        identity: What the identity registers say.
        words_swapped: Floats are given low word first.
        virtual: The program that follows the setpoints, with the panel's switch.
        mute: Requests are carried out and not answered.
        delay_s: Answers come this much later.
        stale_transactions: Answers carry the number of the request before.
    """

    protocol = "modbus"

    def __init__(
        self,
        hall: Hall,
        *,
        levers: Sequence[SimulatedLever] = LEVERS,
        signals: Sequence[str] = SIGNALS,
        host: str = "127.0.0.1",
        port: int = 0,
        heartbeat_timeout_s: float = 60.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the PLC.

        Args:
            hall: What stands behind it.
            levers: Setpoints it offers, at most 20.
            signals: What it measures.
            host: Address to serve.
            port: Port to serve; 0 picks a free one.
            heartbeat_timeout_s: Longest time without a new heartbeat.
            now_s: Clock of the heartbeat.
        """
        super().__init__(hall, levers=levers, signals=signals, host=host, port=port)
        self.identity = IDENTITY
        self.words_swapped = False
        self.mute = False
        self.delay_s = 0.0
        self.stale_transactions = False
        self.virtual = VirtualSetpoints(
            hall, self.levers, heartbeat_timeout_s=heartbeat_timeout_s, now_s=now_s
        )
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._scan: asyncio.Task[None] | None = None

    def put(self, lever: str, value: float) -> None:
        """Change a virtual setpoint as another client would."""
        self.virtual.setpoints[lever] = value
        self.virtual.cycle()

    async def _serve(self) -> None:
        self.virtual.reset()
        self._server = await asyncio.start_server(self._talk, self.host, self.port)
        self._scan = asyncio.create_task(self._cycle_on())

    async def _end(self) -> None:
        if self._scan is not None:
            self._scan.cancel()
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _cycle_on(self) -> None:
        while True:
            self.virtual.cycle()
            await asyncio.sleep(SCAN_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        previous = 0
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, protocol, length, unit = struct.unpack(">HHHB", head)
                body = await reader.readexactly(length - 1)
                if protocol != 0:
                    return
                answer = self._answer(unit, body)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.mute:
                    continue
                number = previous if self.stale_transactions else transaction
                previous = transaction
                writer.write(struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, unit: int, body: bytes) -> bytes:
        function = body[0]
        try:
            if unit != UNIT_ID:
                raise RefusedError(TARGET_FAILED)
            if function == READ_HOLDING:
                first, count = struct.unpack(">HH", body[1:5])
                if not 1 <= count <= 125:
                    raise RefusedError(ILLEGAL_VALUE)
                words = [self._word(register) for register in range(first, first + count)]
                return struct.pack(f">BB{count}H", function, 2 * count, *words)
            if function == WRITE_ONE:
                register, word = struct.unpack(">HH", body[1:5])
                self._write(register, [word])
                return body
            if function == WRITE_MANY:
                register, count, size = struct.unpack(">HHB", body[1:6])
                if size != 2 * count or len(body) != 6 + size or not 1 <= count <= 123:
                    raise RefusedError(ILLEGAL_VALUE)
                self._write(register, list(struct.unpack(f">{count}H", body[6:])))
                return body[:5]
            raise RefusedError(ILLEGAL_FUNCTION)
        except RefusedError as refusal:
            return bytes([function | 0x80, refusal.code])

    def _word(self, register: int) -> int:
        if register >= PAGE * (1 + math.ceil(len(self.signals) / SENSORS_PER_PAGE)):
            raise RefusedError(ILLEGAL_ADDRESS)
        if register % PAGE == 0:
            return self.identity
        if register in (ENABLE, HEARTBEAT, OVERRIDE):
            virtual = self.virtual
            flags = (virtual.enable, virtual.heartbeat, int(virtual.overridden))
            return flags[register - ENABLE]
        for first, value in self._floats_near(register):
            if first <= register < first + 2:
                words = struct.unpack(">HH", struct.pack(">f", value))
                return int(words[(register - first) ^ self.words_swapped])
        return 0

    def _floats_near(self, register: int) -> list[tuple[int, float]]:
        """Return first register and value of the float a register can belong to."""
        if register < SENSORS:
            floats = [(2, CHECK_VALUE)]
            for k, lever in enumerate(self.levers):
                floats.append((SETPOINTS + 2 * k, self.virtual.setpoints[lever.lever]))
                floats.append((FOLLOWED + 2 * k, self.virtual.followed[lever.lever]))
            return floats
        page, place = divmod(register, PAGE)
        index = (page - 1) * SENSORS_PER_PAGE + (place - 2) // 2
        if place < 2 or index >= len(self.signals):
            return []
        return [(register - place % 2, self.hall.read(self.signals[index]))]

    def _write(self, register: int, words: list[int]) -> None:
        """Check the whole write, then carry it out."""
        changes: list[Callable[[], None]] = []
        while words:
            lever_index, odd = divmod(register - SETPOINTS, 2)
            if register in (ENABLE, HEARTBEAT):
                changes.append(self._flag_change(register, words[0]))
                used = 1
            elif 0 <= lever_index < len(self.levers):
                if odd or len(words) < 2:
                    raise RefusedError(ILLEGAL_VALUE)
                changes.append(self._setpoint_change(self.levers[lever_index], words[:2]))
                used = 2
            else:
                raise RefusedError(ILLEGAL_ADDRESS)
            register, words = register + used, words[used:]
        for change in changes:
            change()
        self.virtual.cycle()

    def _flag_change(self, register: int, word: int) -> Callable[[], None]:
        if register == ENABLE and word not in (0, 1):
            raise RefusedError(ILLEGAL_VALUE)

        def change() -> None:
            if register == ENABLE:
                self.virtual.enable = word
            else:
                self.virtual.beat(word)

        return change

    def _setpoint_change(self, lever: SimulatedLever, words: list[int]) -> Callable[[], None]:
        if self.words_swapped:
            words = words[::-1]
        (value,) = struct.unpack(">f", struct.pack(">HH", *words))
        if not (math.isfinite(value) and lever.low - 1e-6 <= value <= lever.high + 1e-6):
            raise RefusedError(ILLEGAL_VALUE)

        def change() -> None:
            self.virtual.setpoints[lever.lever] = value

        return change

    def point_map(self) -> str:
        """Return the point map that fits this PLC, as TOML."""
        pages = range(1 + math.ceil(len(self.signals) / SENSORS_PER_PAGE))
        lines = [
            'protocol = "modbus"\n',
            "[[devices]]",
            'name = "plc"',
            f'host = "{self.host}"',
            f"port = {self.port}",
            f"unit_id = {UNIT_ID}",
            f"identity = {IDENTITY}",
            f"check = {{ register = 2, value = {CHECK_VALUE} }}",
            "blocks = [",
            *(f"  {{ first = {PAGE * page}, count = {PAGE} }}," for page in pages),
            "]\n",
            "[[handshakes]]",
            'device = "plc"',
            f'enable = {{ register = {ENABLE}, type = "uint16" }}',
            f'heartbeat = {{ register = {HEARTBEAT}, type = "uint16" }}',
            f'override = {{ register = {OVERRIDE}, type = "uint16" }}\n',
        ]
        for k, lever in enumerate(self.levers):
            lines += [
                "[[levers]]",
                f'lever = "{lever.lever}"',
                'device = "plc"',
                f"register = {SETPOINTS + 2 * k}",
                f"feedback = {{ register = {FOLLOWED + 2 * k} }}",
                f"low = {lever.low}",
                f"high = {lever.high}\n",
            ]
        for j, signal in enumerate(self.signals):
            page, place = divmod(j, SENSORS_PER_PAGE)
            lines += [
                "[[sensors]]",
                f'signal = "{signal}"',
                'device = "plc"',
                f"register = {PAGE * (page + 1) + 2 + 2 * place}\n",
            ]
        return "\n".join(lines)
