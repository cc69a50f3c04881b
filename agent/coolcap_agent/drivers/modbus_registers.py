"""Where values stand in a Modbus device's registers and how they are laid out."""

import math
import struct
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import Table

TABLES: Final = ("holding", "input")
WORD_ORDERS: Final = ("big", "little")
FORMATS: Final[Mapping[str, str]] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
REGISTER_MAX: Final = 65535
BLOCK_MAX: Final = 125
"""Registers one read may ask for: MODBUS Application Protocol Specification V1.1b3, 6.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value; ``word_order`` empty means the device's."""

    table: str
    register: int
    type: str
    word_order: str = ""

    def __str__(self) -> str:
        """Return table, register and type."""
        return f"{self.table} {self.register} {self.type}"

    @property
    def count(self) -> int:
        """Return how many registers it takes."""
        return struct.calcsize(FORMATS[self.type]) // 2

    @property
    def step(self) -> float:
        """Return 1 for whole numbers, 0 for floating-point ones."""
        return 0.0 if self.type.startswith("float") else 1.0

    def cells(self) -> frozenset[Hashable]:
        """Return the registers it takes."""
        return frozenset((self.table, self.register + i) for i in range(self.count))

    def decode(self, words: Sequence[int], *, word_order: str) -> float:
        """Return the number in ``words``; ``word_order`` is the device's."""
        ordered = words if (self.word_order or word_order) == "big" else words[::-1]
        (value,) = struct.unpack(FORMATS[self.type], struct.pack(f">{self.count}H", *ordered))
        return float(value)

    def encode(self, raw: float, *, word_order: str) -> list[int]:
        """Return the words for a number.

        Raises:
            ValueError: If the type cannot hold it.
        """
        low, high = self.range()
        if not (math.isfinite(raw) and low <= raw <= high):
            raise ValueError(f"{raw:g} does not fit {self.type} ({low:g} to {high:g})")
        number = raw if self.type.startswith("float") else round(raw)
        packed = struct.pack(FORMATS[self.type], number)
        words = list(struct.unpack(f">{self.count}H", packed))
        return words if (self.word_order or word_order) == "big" else words[::-1]

    def range(self) -> tuple[float, float]:
        """Return the lowest and the highest number of the type."""
        if self.type == "float32":
            return -3.4028234663852886e38, 3.4028234663852886e38
        if self.type == "float64":
            return -math.inf, math.inf
        bits = 16 * self.count
        if self.type.startswith("u"):
            return 0.0, float(2**bits - 1)
        return -float(2 ** (bits - 1)), float(2 ** (bits - 1) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Registers read at once; ``identity_register`` is -1 where the device has none."""

    table: str
    first: int
    count: int
    identity_register: int

    def __str__(self) -> str:
        """Return table and span."""
        return f"{self.table} {self.first} to {self.first + self.count - 1}"

    def holds(self, register: Register) -> bool:
        """Return whether all of ``register`` lies in it."""
        end = register.register + register.count
        inside = self.first <= register.register and end <= self.first + self.count
        return register.table == self.table and inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A register that holds a known number, to prove the word order."""

    register: Register
    value: float


def take_register(table: Table) -> Register:
    """Take ``register``, ``table``, ``type`` and ``word_order``."""
    kind = table.take_str("table", allowed=TABLES, default="holding")
    number = table.take_int("register", low=0, high=REGISTER_MAX)
    type_ = table.take_str("type", allowed=tuple(FORMATS), default="float32")
    order = ""
    if table.has("word_order"):
        order = table.take_str("word_order", allowed=WORD_ORDERS)
    return Register(
        table=kind or "holding", register=number, type=type_ or "float32", word_order=order
    )


def take_block(table: Table, *, has_identity: bool) -> Block:
    """Take ``first``, ``count``, ``table`` and, where there is one, ``identity_register``."""
    kind = table.take_str("table", allowed=TABLES, default="holding")
    first = table.take_int("first", low=0, high=REGISTER_MAX)
    count = table.take_int("count", low=1, high=BLOCK_MAX)
    identity = -1
    if has_identity:
        identity = table.take_int(
            "identity_register", low=first, high=first + count - 1, default=first
        )
    table.finish()
    return Block(table=kind, first=first, count=count, identity_register=identity)
