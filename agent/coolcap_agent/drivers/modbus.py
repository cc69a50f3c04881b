"""Modbus/TCP: one request in flight, identity checked in every block, nothing taken on trust.

In the point map, with the keys of ``points.py``::

    [[devices]]
    name = "plc"
    host = "10.20.0.12"
    port = 502
    unit_id = 1
    timeout_s = 1.0
    word_order = "big"                          # of values of two or four registers
    identity = 0xC001                           # what each block's identity register holds
    blocks = [{ first = 0, count = 100 }]       # read at once; identity_register = first
    check = { register = 2, value = 123.456 }   # a known number, to prove the word order

    [[sensors]]
    signal = "chw_supply_temp_c"
    device = "plc"
    register = 102                              # counted from 0, as on the wire
    table = "holding"                           # or "input"
    type = "float32"                            # int16 … uint64, float32, float64

Modbus has no priorities: whoever writes last wins. A lever should have ``feedback`` and the device
a ``[[handshakes]]``, so that the equipment returns to its own program when this agent is gone.
"""

import asyncio
import logging
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from coolcap_agent.drivers.base import (
    CoolingDriver,
    DeviceLost,
    DriverError,
    NotPermitted,
    ValueRefused,
)
from coolcap_agent.drivers.equipment import Command, DeviceRange, Sample
from coolcap_agent.drivers.modbus_registers import (
    WORD_ORDERS,
    Block,
    Check,
    Register,
    take_block,
    take_register,
)
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.point_driver import PointDriver
from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.drivers.points import PointMap
from coolcap_envs.contract.config import Table

EXCEPTIONS: Final[Mapping[int, tuple[type[DriverError], str]]] = {
    1: (NotPermitted, "the device does not know this function"),
    2: (NotPermitted, "the register does not exist or cannot be written"),
    3: (ValueRefused, "the device does not accept the value"),
    4: (DeviceLost, "the device has failed"),
    6: (DeviceLost, "the device is busy"),
    10: (DeviceLost, "the gateway has no path to the device"),
    11: (DeviceLost, "the device behind the gateway does not answer"),
}
"""Exception codes of the MODBUS Application Protocol Specification V1.1b3, section 7."""

CHECK_RATIO: Final = 1e-6
"""How close a check value must be: the resolution of a 32-bit float is 6e-8."""

# Every lost request is reported by the driver, once; the library would log each at ERROR.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDevice:
    """How to reach a device and how to know it; ``identity`` is -1 where it has none."""

    name: str
    host: str
    port: int
    unit_id: int
    timeout_s: float
    word_order: str
    identity: int
    blocks: tuple[Block, ...]
    check: Check | None


class ModbusDialect:
    """The part of a point map that is Modbus's own."""

    protocol = "modbus"

    def take_device(self, table: Table, *, name: str, folder: Path) -> ModbusDevice:
        """Take a device's keys."""
        del folder  # no files
        identity = -1
        if table.has("identity"):
            identity = table.take_int("identity", low=1, high=65535)
        blocks = tuple(
            take_block(block, has_identity=identity >= 0) for block in table.take_tables("blocks")
        )
        check = None
        if table.has("check"):
            part = table.take_table("check")
            register = take_register(part)
            value = part.take_float("value", low=-1e30, high=1e30, unit="(known number)")
            part.finish()
            check = Check(register=register, value=value)
            if not any(block.holds(register) for block in blocks):
                table.complain("check", f"lies at {register}, outside all blocks of {name!r}")
        return ModbusDevice(
            name=name,
            host=table.take_str("host"),
            port=table.take_int("port", low=1, high=65535, default=502),
            unit_id=table.take_int("unit_id", low=0, high=255, default=1),
            timeout_s=table.take_float("timeout_s", low=0.05, high=30.0, unit="s", default=1.0),
            word_order=table.take_str("word_order", allowed=WORD_ORDERS, default="big"),
            identity=identity,
            blocks=blocks,
            check=check,
        )

    def take_address(self, table: Table, *, written: bool) -> Register:
        """Take a register; only holding registers can be written."""
        register = take_register(table)
        if written and register.table != "holding":
            table.complain("table", f"= {register.table!r} is not allowed: it is read-only")
        return register

    def problems_of(self, points: PointMap[ModbusDevice, Register]) -> list[str]:
        """Return points outside the blocks, and devices whose word order is not proven."""
        problems = []
        for point in points.points():
            (device,) = (d for d in points.devices if d.name == point.device)
            if not any(block.holds(point.address) for block in device.blocks):
                spans = ", ".join(str(block) for block in device.blocks)
                problems.append(f"{point} lies outside the blocks of {device.name}: {spans}")
        for device in points.devices:
            long = any(p.device == device.name and p.address.count > 1 for p in points.points())
            if long and device.check is None:
                problems.append(
                    f"device {device.name!r} has values of several registers and no check: name a "
                    "register that holds a known number, check = { register = …, value = … }"
                )
        return problems


class ModbusEquipment:
    """One connection to one unit."""

    def __init__(self, device: ModbusDevice) -> None:
        """Connect to nothing yet."""
        self._device = device
        self._one_request = asyncio.Lock()
        self._client: AsyncModbusTcpClient | None = None

    @property
    def name(self) -> str:
        """Return the device's name in the point map."""
        return self._device.name

    @property
    def connected(self) -> bool:
        """Return whether the socket is open."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open the socket; check identity and word order."""
        await self.disconnect()
        device = self._device
        client = AsyncModbusTcpClient(
            device.host,
            port=device.port,
            timeout=device.timeout_s,
            retries=0,
            reconnect_delay=0,
        )
        if not await client.connect():
            raise DeviceLost(f"{self._text()} does not accept a connection")
        self._client = client
        _forget_on_close(client)
        check = device.check
        block = device.blocks[0]
        if check is not None:
            block = next(b for b in device.blocks if b.holds(check.register))
        words = await self._read_words(block)
        if stranger := self._stranger(block, words):
            raise DriverError(f"{self._text()} is another device: {stranger}")
        if check is None:
            return
        value = self._decode(block, words, check.register)
        if not math.isclose(value, check.value, rel_tol=CHECK_RATIO):
            raise DriverError(
                f"{self._text()} holds {value:g} at {check.register}, not the known "
                f"{check.value:g}: look at the word order and the register number"
            )

    async def disconnect(self) -> None:
        """Close the socket; what is still on its way is never taken for a later answer."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def read(self, addresses: Sequence[Register]) -> Mapping[Register, Sample]:
        """Read the blocks that hold ``addresses``."""
        samples: dict[Register, Sample] = {}
        for block in self._device.blocks:
            here = [address for address in addresses if block.holds(address)]
            if not here:
                continue
            try:
                words = await self._read_block(block)
            except (NotPermitted, ValueRefused) as error:
                samples.update({a: Sample(raw=math.nan, problem=str(error)) for a in here})
                continue
            for address in here:
                raw = self._decode(block, words, address)
                samples[address] = Sample(raw=raw, problem="is NaN" if math.isnan(raw) else "")
        return samples

    async def range_of(self, address: Register) -> DeviceRange:
        """Return what the register's type can hold."""
        low, high = address.range()
        return DeviceRange(low=low, high=high)

    async def command_at(self, address: Register) -> Command:
        """Return what the register holds; nobody is stronger than whoever wrote last."""
        block = next(b for b in self._device.blocks if b.holds(address))
        raw = self._decode(block, await self._read_block(block), address)
        return Command(in_force=raw, ours=raw)

    async def write(self, address: Register, raw: float) -> None:
        """Write the register or, in one request, all registers of the value."""
        try:
            words = address.encode(raw, word_order=self._device.word_order)
        except ValueError as error:
            raise ValueRefused(f"{raw:g} was not written to {self.name}: {error}") from error
        unit = self._device.unit_id
        of = f"writing {raw:g} to {address}"
        if len(words) == 1:
            await self._request(
                lambda c: c.write_register(address.register, words[0], device_id=unit), of
            )
        else:
            await self._request(
                lambda c: c.write_registers(address.register, words, device_id=unit), of
            )

    async def give_back(self, address: Register, *, before: float) -> None:
        """Write what stood there before."""
        if not math.isnan(before):
            await self.write(address, before)

    def _decode(self, block: Block, words: Sequence[int], register: Register) -> float:
        start = register.register - block.first
        return register.decode(
            words[start : start + register.count], word_order=self._device.word_order
        )

    async def _read_block(self, block: Block) -> Sequence[int]:
        """Read one block and check that it is this device's."""
        words = await self._read_words(block)
        if stranger := self._stranger(block, words):
            await self.disconnect()
            raise DeviceLost(
                f"{self._text()}: {stranger}: another device, or the answer to another request"
            )
        return words

    def _stranger(self, block: Block, words: Sequence[int]) -> str:
        """Return how ``words`` show that another device answered, empty if they do not."""
        if block.identity_register < 0:
            return ""
        found = words[block.identity_register - block.first]
        if found == self._device.identity:
            return ""
        return (
            f"identity register {block.identity_register} holds {found:#06x}, "
            f"not {self._device.identity:#06x}"
        )

    async def _read_words(self, block: Block) -> Sequence[int]:
        unit = self._device.unit_id

        def ask(client: AsyncModbusTcpClient) -> Awaitable[ModbusPDU]:
            if block.table == "input":
                return client.read_input_registers(block.first, count=block.count, device_id=unit)
            return client.read_holding_registers(block.first, count=block.count, device_id=unit)

        words = (await self._request(ask, f"reading {block}")).registers
        if len(words) != block.count:
            await self.disconnect()
            raise DeviceLost(f"{self._text()} answered {len(words)} registers to reading {block}")
        return words

    async def _request(
        self, ask: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]], of: str
    ) -> ModbusPDU:
        """Make one request; close the socket unless it was answered."""
        async with self._one_request:
            if self._client is None:
                raise DeviceLost(f"{self._text()} is not connected")
            try:
                answer = await ask(self._client)
            except (ModbusException, OSError) as error:
                await self.disconnect()
                raise DeviceLost(f"{self._text()} did not answer to {of}: {error}") from error
            except asyncio.CancelledError:
                await self.disconnect()
                raise
        if not answer.isError():
            return answer
        code = answer.exception_code if isinstance(answer, ExceptionResponse) else 0
        kind, meaning = EXCEPTIONS.get(code, (DriverError, "not in the specification"))
        raise kind(f"{self._text()} refuses {of}: {meaning} (exception {code})")

    def _text(self) -> str:
        device = self._device
        return f"{device.name} ({device.host}:{device.port}, unit {device.unit_id})"


def _forget_on_close(client: AsyncModbusTcpClient) -> None:
    """Let closing the socket drop what was not sent: an old write must not arrive after a new one.

    With a linger time of 0 the connection is reset (``SO_LINGER`` of socket(7)).
    """
    transport = client.ctx.transport
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def make_cooling_driver(options: Table, *, plant_id: str, folder: Path) -> CoolingDriver:
    """Return a Modbus driver that is not connected yet; arguments as in ``registry.py``."""
    del plant_id
    patience = Patience.take(options)
    points = take_points(options, ModbusDialect(), folder=folder)
    return PointDriver(points, _equipment, name="modbus", patience=patience)


def _equipment(devices: Sequence[ModbusDevice]) -> list[ModbusEquipment]:
    return [ModbusEquipment(device) for device in devices]
