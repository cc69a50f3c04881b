"""BACnet/IP: one slot of our own, read back after each write, nobody's override fought.

In ``[driver.bacnet]``: ``points``, ``interface = "10.20.0.5/24"`` (our address), and our own
``device_instance``; ``apdu_timeout_s`` and ``apdu_retries`` say how patient requests are. In the
point map, with the keys of ``points.py``::

    [[devices]]
    name = "plant"
    address = "10.20.0.11"                      # or "2001:12" behind a router
    instance = 1201                             # checked whenever the device is reached

    [[sensors]]
    signal = "chw_supply_temp_c"
    device = "plant"
    object = "analog-input,3"

    [[levers]]
    lever = "chw_supply_temp_setpoint_c"
    device = "plant"
    object = "analog-value,12"
    priority = 13                               # 9 to 15, used by nothing else
    low = 8.0
    high = 18.0

An acknowledged write is not an effect: the present value and the priority array are read back. A
filled stronger slot means a person or the building decides; then nothing is written.
"""

import logging
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from coolcap_agent.drivers.bacnet_address import is_device_address
from coolcap_agent.drivers.bacnet_client import (
    INSTANCE_MAX,
    BacnetClient,
    Failure,
    Interface,
    NoSuchServiceError,
    PropertyValue,
    TooLongError,
    take_interface,
)
from coolcap_agent.drivers.base import (
    CoolingDriver,
    DeviceLost,
    DriverError,
    NotPermitted,
    ValueRefused,
)
from coolcap_agent.drivers.equipment import Command, DeviceRange, Sample
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.point_driver import PointDriver
from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.drivers.points import PointMap
from coolcap_envs.contract.config import Table

WRITABLE: Final = (
    "analog-output",
    "analog-value",
    "binary-output",
    "binary-value",
    "integer-value",
    "large-analog-value",
    "multi-state-output",
    "multi-state-value",
    "positive-integer-value",
)
READABLE: Final = (
    *WRITABLE,
    "accumulator",
    "analog-input",
    "binary-input",
    "multi-state-input",
    "pulse-converter",
)
WHOLE: Final = ("binary", "multi-state", "integer", "positive-integer")
"""Kinds of objects whose present value is a whole number."""

PRIORITY_LOW, PRIORITY_HIGH = 9, 15
PRIORITIES: Final[Mapping[int, str]] = {
    1: "manual life safety",
    2: "automatic life safety",
    5: "critical equipment",
    6: "minimum on/off",
    7: "switch at the equipment",
    8: "operator",
    16: "programs and schedules",
}
"""Who uses which slot: ASHRAE 135-2020, table 19-1; 7 and 16 by vendors' convention."""

BAD_FLAGS: Final = frozenset({"fault", "overridden", "out-of-service"})
"""Status flags with which a present value is not what the equipment measures or follows."""
APDU_LENGTH_LOW: Final = 480
"""Taken when a device does not tell: the length on MS/TP, ASHRAE 135-2020, table 6-1."""
OBJECT_BYTES: Final = 32
"""Room one object's present value and status flags take in an answer, generously."""
COV_LIFETIME_S: Final = 3600
"""How long a subscription to changes of value lasts; each poll renews it. Not 0, for ever: a
device would tell an address that is gone until it is restarted."""
LOST_IN_ROW_MAX: Final = 2
"""Unanswered requests in a row after which a poll of a device is given up."""

_log = logging.getLogger(__name__)

_PV: Final = "present-value"
_FLAGS: Final = "status-flags"
_ARRAY: Final = "priority-array"
_DEFAULT: Final = "relinquish-default"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacnetDevice:
    """Where a device is and which instance it must have."""

    name: str
    address: str
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BacnetObject:
    """An object; ``priority`` is our slot, 0 where we only read."""

    kind: str
    instance: int
    priority: int

    def __str__(self) -> str:
        """Return type and instance."""
        return f"{self.kind},{self.instance}"

    @property
    def step(self) -> float:
        """Return 1 for objects whose present value is a whole number."""
        return 1.0 if self.kind.startswith(WHOLE) else 0.0

    def cells(self) -> frozenset[Hashable]:
        """Return the object, whatever the slot."""
        return frozenset({(self.kind, self.instance)})


class BacnetDialect:
    """The part of a point map that is BACnet's own."""

    protocol = "bacnet"

    def take_device(self, table: Table, *, name: str, folder: Path) -> BacnetDevice:
        """Take a device's keys."""
        del folder  # no files
        address = table.take_str("address")
        if address and not is_device_address(address):
            table.complain("address", f"= {address!r} is not the address of one BACnet device")
        instance = table.take_int("instance", low=0, high=INSTANCE_MAX)
        return BacnetDevice(name=name, address=address, instance=instance)

    def take_address(self, table: Table, *, written: bool) -> BacnetObject:
        """Take ``object`` and, for what is written, ``priority``."""
        text = table.take_str("object")
        kind, _, number = text.partition(",")
        allowed = WRITABLE if written else READABLE
        if text and not (kind in allowed and number.isdigit() and int(number) <= INSTANCE_MAX):
            table.complain(
                "object",
                f"= {text!r} is not allowed: type,instance with a type of {', '.join(allowed)} "
                "is needed",
            )
        priority = 0
        if written:
            priority = table.take_int("priority", low=1, high=16)
            if not PRIORITY_LOW <= priority <= PRIORITY_HIGH:
                whose = PRIORITIES.get(priority, "others")
                table.complain(
                    "priority",
                    f"= {priority} is not allowed: 9 to 15 is needed, a slot nothing else uses "
                    f"({priority} belongs to {whose})",
                )
        instance = int(number) if number.isdigit() else 0
        return BacnetObject(kind=kind, instance=instance, priority=priority)

    def problems_of(self, points: PointMap[BacnetDevice, BacnetObject]) -> list[str]:
        """Return devices that share an instance."""
        instances = [device.instance for device in points.devices]
        return [
            f"device {device.name!r} has instance {device.instance} of another device"
            for i, device in enumerate(points.devices)
            if device.instance in instances[:i]
        ]


class BacnetEquipment:
    """One device on the network."""

    def __init__(self, device: BacnetDevice, client: BacnetClient) -> None:
        """Reach nothing yet."""
        self._device = device
        self._client = client
        self._connected = False
        self._reads_several = True
        self._objects_per_request = 1
        self._not_subscribable: set[BacnetObject] = set()

    @property
    def name(self) -> str:
        """Return the device's name in the point map."""
        return self._device.name

    @property
    def connected(self) -> bool:
        """Return whether the device has been reached; there is no connection to lose."""
        return self._connected

    async def connect(self) -> None:
        """Check that the device has the instance it should have; learn what it can take in."""
        await self._client.join(self)
        device = f"device,{self._device.instance}"
        identifier, length = "object-identifier", "max-apdu-length-accepted"
        self._reads_several = True
        try:
            found = await self._read_objects({device: (identifier, length)})
        except DeviceLost:
            raise
        except DriverError as error:
            raise DriverError(f"{self._text()} is another device: {error}") from error
        if found.get((device, identifier)) != device:
            raise DriverError(f"{self._text()} is another device: it has no {device}")
        apdu_length = found.get((device, length))
        known = int(apdu_length) if isinstance(apdu_length, float) else APDU_LENGTH_LOW
        self._objects_per_request = max(1, known // OBJECT_BYTES)
        self._connected = True

    async def disconnect(self) -> None:
        """Let go of our port."""
        self._connected = False
        self._client.leave(self)

    async def read(self, addresses: Sequence[BacnetObject]) -> Mapping[BacnetObject, Sample]:
        """Read present values and status flags, as many objects at once as fit."""
        samples: dict[BacnetObject, Sample] = {}
        waiting = list(addresses)
        lost_in_row = 0
        while waiting:
            part = waiting[: self._objects_per_request]
            try:
                found = await self._read_objects({str(a): (_PV, _FLAGS) for a in part})
            except TooLongError:
                if self._objects_per_request == 1:
                    raise
                self._objects_per_request = (self._objects_per_request + 1) // 2
                continue
            except DeviceLost:
                lost_in_row += 1
                if lost_in_row >= LOST_IN_ROW_MAX and samples:
                    return samples
                if lost_in_row >= LOST_IN_ROW_MAX or len(part) == len(addresses):
                    raise
            else:
                lost_in_row = 0
                samples.update({a: _sample(found, str(a)) for a in part})
            waiting = waiting[len(part) :]
        return samples

    async def keep_subscribed(
        self,
        addresses: Sequence[BacnetObject],
        note: Callable[[Mapping[BacnetObject, Sample]], None],
    ) -> None:
        """Subscribe to changes of value, or renew that; an object that refuses is only polled."""
        for address in addresses:
            if address in self._not_subscribable:
                continue
            name = str(address)

            def told(
                found: Mapping[tuple[str, str], PropertyValue],
                address: BacnetObject = address,
                name: str = name,
            ) -> None:
                note({address: _sample(found, name)})

            try:
                await self._client.subscribe(
                    self._device.address, name, lifetime_s=COV_LIFETIME_S, told=told
                )
            except DeviceLost:
                raise
            except DriverError as error:
                self._not_subscribable.add(address)
                _log.info("%s is polled only: %s", name, error)

    async def range_of(self, address: BacnetObject) -> DeviceRange:
        """Return the object's range; read-only if it has no priority array to take back from."""
        low, high, name = "min-pres-value", "max-pres-value", str(address)
        found = await self._read_objects({name: (_ARRAY, low, high)})
        ends = [found.get((name, end)) for end in (low, high)]
        reason = ""
        if not isinstance(found.get((name, _ARRAY)), tuple):
            reason = "it has no priority array: what is written could not be taken back"
        return DeviceRange(
            low=ends[0] if isinstance(ends[0], float) else -math.inf,
            high=ends[1] if isinstance(ends[1], float) else math.inf,
            read_only_reason=reason,
        )

    async def command_at(self, address: BacnetObject) -> Command:
        """Return present value, our slot and who holds a stronger one."""
        name = str(address)
        found = await self._read_objects({name: (_PV, _ARRAY, _FLAGS, _DEFAULT)})
        slots, sample = found.get((name, _ARRAY)), _sample(found, name)
        if math.isnan(sample.raw):
            raise DriverError(f"{self._text()}: {name} {sample.problem}")
        if not isinstance(slots, tuple):
            raise NotPermitted(f"{self._text()}: {name} has no priority array")
        stronger = "; ".join(
            f"priority {i} ({PRIORITIES.get(i, 'unknown')}) of {name} holds {value:g}"
            for i, value in enumerate(slots[: address.priority - 1], start=1)
            if not math.isnan(value)
        )
        return Command(
            in_force=sample.raw,
            ours=slots[address.priority - 1],
            stronger=stronger or (f"{name} {sample.problem}" if sample.problem else ""),
            beneath=_beneath(slots[address.priority :], found.get((name, _DEFAULT))),
        )

    async def write(self, address: BacnetObject, raw: float) -> None:
        """Write the present value into our slot."""
        if not math.isfinite(raw):
            raise ValueRefused(f"{raw} is no value for {self._text()} {address}")
        value = round(raw) if address.step else raw
        await self._client.write(
            self._device.address, str(address), value, priority=address.priority
        )

    async def give_back(self, address: BacnetObject, *, before: float) -> None:
        """Empty our slot and see that it is empty; ``before`` stands in other slots anyway."""
        del before
        await self._client.write(
            self._device.address, str(address), None, priority=address.priority
        )
        if not math.isnan((await self.command_at(address)).ours):
            raise ValueRefused(
                f"{self._text()}: slot {address.priority} of {address} is filled again after it "
                "was emptied: another writer uses it"
            )

    async def _read_objects(
        self, wanted: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], PropertyValue]:
        if self._reads_several:
            try:
                return await self._client.read(self._device.address, wanted)
            except NoSuchServiceError:
                self._reads_several = False
        return await self._client.read_singly(self._device.address, wanted)

    def _text(self) -> str:
        return f"{self._device.name} ({self._device.address}, instance {self._device.instance})"


def make_cooling_driver(options: Table, *, plant_id: str, folder: Path) -> CoolingDriver:
    """Return a BACnet driver that is not connected yet; arguments as in ``registry.py``."""
    del plant_id
    patience = Patience.take(options)
    interface = take_interface(options)
    points = take_points(options, BacnetDialect(), folder=folder)
    return PointDriver(points, partial(_equipment, interface), name="bacnet", patience=patience)


def _equipment(interface: Interface, devices: Sequence[BacnetDevice]) -> list[BacnetEquipment]:
    client = BacnetClient(interface)
    return [BacnetEquipment(device, client) for device in devices]


def _beneath(weaker: Sequence[float], default: PropertyValue | None) -> float:
    """Return what is in force when our slot and all stronger ones are empty, NaN if not known."""
    for value in weaker:
        if not math.isnan(value):
            return value
    return default if isinstance(default, float) else math.nan


def _sample(found: Mapping[tuple[str, str], PropertyValue], name: str) -> Sample:
    """Return an object's present value, and what its status flags say against it."""
    value, flags = found.get((name, _PV)), found.get((name, _FLAGS))
    if not isinstance(value, float):
        reason = value.reason if isinstance(value, Failure) else "no number as present value"
        return Sample(raw=math.nan, problem=f"cannot be read: {reason}")
    bad = sorted(flags & BAD_FLAGS) if isinstance(flags, frozenset) else []
    problem = f"has status {', '.join(bad)}" if bad else ""
    if not math.isfinite(value):
        problem = problem or "is not a finite number"
    return Sample(raw=value, problem=problem)
