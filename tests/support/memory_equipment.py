"""A device in memory, for what drivers of field protocols share; tests change it as they like."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from coolcap_agent.drivers.base import DeviceLost
from coolcap_agent.drivers.equipment import Command, DeviceRange, Sample
from coolcap_agent.drivers.points import LeverPoint, Point

LEVER = "chw_supply_temp_setpoint_c"


@dataclass(frozen=True)
class Cell:
    """An address: a name."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def step(self) -> float:
        return 0.0

    def cells(self) -> frozenset[Hashable]:
        return frozenset({self.name})


@dataclass(frozen=True)
class MemoryDevice:
    """What a point map says of it: its name."""

    name: str


class MemoryEquipment:
    """Cells that hold numbers; by default what is written is in force at once.

    Attributes:
        cells: What each address holds.
        in_force: What is in force instead, where it differs.
        stronger: Who decides instead of us, by address.
        lost: Whether it answers.
        ranges: What it accepts, by address.
        after_write: Called with address and value after each write.
        connect_error: Raised by ``connect``.
        connect_count: How often it was reached.
    """

    def __init__(self, name: str = "memory") -> None:
        self._name = name
        self._connected = False
        self.cells: dict[str, float] = {}
        self.in_force: dict[str, float] = {}
        self.stronger: dict[str, str] = {}
        self.lost = False
        self.ranges: dict[str, DeviceRange] = {}
        self.after_write: Callable[[str, float], None] = lambda _name, _value: None
        self.connect_error: Exception | None = None
        self.connect_count = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def connected(self) -> bool:
        return self._connected

    async def connect(self) -> None:
        self.connect_count += 1
        if self.connect_error is not None:
            raise self.connect_error
        self._answer()
        self._connected = True

    async def disconnect(self) -> None:
        self._connected = False

    async def read(self, addresses: Sequence[Cell]) -> Mapping[Cell, Sample]:
        self._answer()
        return {a: Sample(raw=self.cells[a.name]) for a in addresses if a.name in self.cells}

    async def range_of(self, address: Cell) -> DeviceRange:
        return self.ranges.get(address.name, DeviceRange())

    async def command_at(self, address: Cell) -> Command:
        self._answer()
        ours = self.cells.get(address.name, math.nan)
        return Command(
            in_force=self.in_force.get(address.name, ours),
            ours=ours,
            stronger=self.stronger.get(address.name, ""),
        )

    async def write(self, address: Cell, raw: float) -> None:
        self._answer()
        self.cells[address.name] = raw
        self.after_write(address.name, raw)

    async def give_back(self, address: Cell, *, before: float) -> None:
        if not math.isnan(before):
            await self.write(address, before)

    def _answer(self) -> None:
        if self.lost:
            raise DeviceLost(f"{self._name} does not answer")


def lever_point(
    device: str = "memory", cell: str = "sp", feedback: str | None = None
) -> LeverPoint[Cell]:
    """Return a lever point of 6 to 20 °C."""
    return LeverPoint(
        lever=LEVER,
        unit="°C",
        point=Point(device=device, address=Cell(cell)),
        feedback=None if feedback is None else Point(device=device, address=Cell(feedback)),
        low=6.0,
        high=20.0,
        tolerance=0.01,
        age_max_s=30.0,
    )
