"""The one place that knows bacpypes3: our own BACnet/IP device and its requests.

What the library raises on an error, reject, abort or timeout is a BaseException and not an
Exception (bacpypes3 0.0.110, ``ErrorRejectAbortNack``); here it becomes a DriverError, and its
values become plain ones. Our device only asks: it takes no writes from the network.
"""
# bacpypes3 has no types, and builds its classes by metaclasses that pyright cannot follow.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false

import asyncio
import math
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from bacpypes3.apdu import (
    AbortPDU,
    AbortReason,
    ErrorPDU,
    ErrorRejectAbortNack,
    RejectPDU,
    RejectReason,
    SubscribeCOVRequest,
)
from bacpypes3.app import Application
from bacpypes3.basetypes import ErrorType, PriorityValue, PropertyIdentifier, StatusFlags
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import (
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    Real,
    Unsigned,
)

from coolcap_agent.drivers.bacnet_address import is_interface
from coolcap_agent.drivers.base import DeviceLost, DriverError, NotPermitted, ValueRefused
from coolcap_envs.contract.config import Table

T = TypeVar("T")

VENDOR_ID: Final = 0
"""Ours is unregistered; 0 is ASHRAE's and makes standard objects only."""
APDU_LENGTH_MAX: Final = 1476
"""Largest APDU on BACnet/IP: ASHRAE 135-2020, clause 6, table 6-1."""
INSTANCE_MAX: Final = 4194302
"""Highest device instance that is not the wildcard: ASHRAE 135-2020, clause 20.2.14."""

SUBSCRIBER: Final = 1
"""Our subscriber process identifier; the object tells subscriptions apart."""

_TOO_LONG: Final = {
    AbortReason.bufferOverflow,
    AbortReason.segmentationNotSupported,
    AbortReason.apduTooLong,
}
_NOT_PERMITTED: Final = {"write-access-denied", "read-access-denied", "access-denied"}
_REFUSED: Final = {"value-out-of-range", "invalid-data-type", "datatype-not-supported"}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a property could not be read."""

    reason: str


PropertyValue = float | str | tuple[float, ...] | frozenset[str] | Failure
"""A number, a text, the slots of a priority array (NaN: empty), the status flags that are set."""


class TooLongError(DriverError):
    """The answer does not fit; ask for less at once."""


class NoSuchServiceError(DriverError):
    """The device does not offer the service."""


class _QuietApplication(Application):  # type: ignore[misc]
    """Answers who it is and what it is, and lets nobody write to it."""

    do_WritePropertyRequest = None  # noqa: N815 - the library looks handlers up by these names
    do_WritePropertyMultipleRequest = None  # noqa: N815
    do_SubscribeCOVRequest = None  # noqa: N815
    _told: "Callable[[str, str, dict[str, PropertyValue]], None] | None" = None

    def tell(self, told: "Callable[[str, str, dict[str, PropertyValue]], None]") -> None:
        """Name who takes what devices tell by themselves."""
        self._told = told

    async def do_UnconfirmedCOVNotificationRequest(self, apdu: Any) -> None:  # noqa: ANN401, N802
        """Pass a change on; a decoder's complaint about it ends nowhere else."""
        kind = str(apdu.monitoredObjectIdentifier[0])
        values = {str(one.propertyIdentifier): _told_value(kind, one) for one in apdu.listOfValues}
        if self._told is not None:
            name = ",".join(str(part) for part in apdu.monitoredObjectIdentifier)
            self._told(str(apdu.pduSource), name, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Our own device: its address, its instance and how patient it is."""

    address: str
    instance: int
    timeout_s: float
    retry_count: int

    @property
    def deadline_s(self) -> float:
        """Return when a request that is retried has failed at the latest."""
        return self.timeout_s * (1 + self.retry_count) + 0.5


def take_interface(options: Table) -> Interface:
    """Take ``interface``, ``device_instance``, ``apdu_timeout_s`` and ``apdu_retries``."""
    text = options.take_str("interface")
    if text and not is_interface(text):
        options.complain(
            "interface", f"= {text!r} is not allowed: address/prefix[:port], as 10.20.0.5/24:47808"
        )
    return Interface(
        address=text,
        instance=options.take_int("device_instance", low=0, high=INSTANCE_MAX),
        timeout_s=options.take_float("apdu_timeout_s", low=0.02, high=10.0, unit="s", default=0.5),
        retry_count=options.take_int("apdu_retries", low=0, high=10, default=2),
    )


class BacnetClient:
    """Our device on the network; shared by all equipment of a driver, open while one uses it."""

    def __init__(self, interface: Interface) -> None:
        """Open nothing yet."""
        self._interface = interface
        self._users: set[object] = set()
        self._opening = asyncio.Lock()
        self._app: Application | None = None
        self._told: dict[
            tuple[str, str], Callable[[dict[tuple[str, str], PropertyValue]], None]
        ] = {}
        self._next_invoke_id = random.randrange(256)

    async def join(self, user: object) -> None:
        """Open the port if it is not open.

        Raises:
            DriverError: If the port is taken or the address is not this host's.
        """
        async with self._opening:
            self._users.add(user)
            if self._app is None:
                try:
                    await self._open()
                except BaseException:
                    self._users.discard(user)
                    raise

    def leave(self, user: object) -> None:
        """Close the port with its last user."""
        self._users.discard(user)
        if self._app is not None and not self._users:
            self._next_invoke_id = self._app.next_invoke_id
            self._app.close()
            self._app = None

    async def read(
        self, device: str, wanted: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], PropertyValue]:
        """Read properties of several objects in one request.

        Args:
            device: Address.
            wanted: Names of properties by object, as ``{"analog-value,1": ["present-value"]}``.
        """
        names = {_object(name): name for name in wanted}
        flat: list[Any] = []
        for name, properties in wanted.items():
            flat += [_object(name), [PropertyIdentifier(p) for p in properties]]
        results = await self._ask(
            self._running.read_property_multiple(Address(device), flat), f"{device}: reading"
        )
        return {
            (names[objid], str(prop)): _plain(value)
            for objid, prop, _, value in results or ()
            if objid in names
        }

    async def read_singly(
        self, device: str, wanted: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], PropertyValue]:
        """Read one property after the other, for devices that cannot read several at once."""
        values: dict[tuple[str, str], PropertyValue] = {}
        for name in wanted:
            for prop in wanted[name]:
                request = self._running.read_property(Address(device), _object(name), prop)
                try:
                    value = await self._ask(request, f"{device}: reading {prop} of {name}")
                except DeviceLost:
                    raise
                except DriverError as error:
                    values[(name, prop)] = Failure(str(error))
                else:
                    values[(name, prop)] = _plain(value)
        return values

    async def subscribe(
        self,
        device: str,
        name: str,
        *,
        lifetime_s: int,
        told: Callable[[dict[tuple[str, str], PropertyValue]], None],
    ) -> None:
        """Have changes of an object told for a time; asking again renews it.

        Args:
            device: Address.
            name: The object.
            lifetime_s: How long; the device forgets it then.
            told: Takes properties by object and name.

        Raises:
            DriverError: If the device refuses, for instance because it has no room.
        """
        self._told[(device, name)] = told
        request = SubscribeCOVRequest(
            subscriberProcessIdentifier=SUBSCRIBER,
            monitoredObjectIdentifier=_object(name),
            issueConfirmedNotifications=False,
            lifetime=lifetime_s,
            destination=Address(device),
        )

        async def ask() -> None:
            answer = await self._running.request(request)
            if isinstance(answer, ErrorRejectAbortNack):
                raise answer

        await self._ask(ask(), f"{device}: subscribing to {name}")

    def _take_told(self, device: str, name: str, values: dict[str, PropertyValue]) -> None:
        told = self._told.get((device, name))
        if told is not None:
            told({(name, prop): value for prop, value in values.items()})

    async def write(self, device: str, name: str, value: float | None, *, priority: int) -> None:
        """Write a present value into a slot; None empties the slot."""
        asked = "emptying" if value is None else f"writing {value:g} to"
        await self._ask(
            self._running.write_property(
                Address(device),
                _object(name),
                PropertyIdentifier("present-value"),
                Null(()) if value is None else value,
                priority=priority,
            ),
            f"{device}: {asked} slot {priority} of {name}",
        )

    @property
    def _running(self) -> Application:
        if self._app is None:
            raise DeviceLost("the BACnet port is closed")
        return self._app

    async def _open(self) -> None:
        interface = self._interface
        _refuse_taken_port(interface.address)
        device = DeviceObject(
            objectIdentifier=("device", interface.instance),
            objectName=f"coolcap-{interface.instance}",
            vendorIdentifier=VENDOR_ID,
            apduTimeout=round(1000.0 * interface.timeout_s),
            numberOfApduRetries=interface.retry_count,
            maxApduLengthAccepted=APDU_LENGTH_MAX,
        )
        port = NetworkPortObject(
            interface.address, objectIdentifier=("network-port", 1), objectName="port"
        )
        self._app = _QuietApplication.from_object_list([device, port])
        self._app.next_invoke_id = self._next_invoke_id
        self._app.tell(self._take_told)

    async def _ask(self, request: Awaitable[T], of: str) -> T:
        try:
            async with asyncio.timeout(self._interface.deadline_s):
                return await request
        except ErrorRejectAbortNack as error:
            raise _as_driver_error(error, of) from error
        except TimeoutError as error:
            raise DeviceLost(f"{of}: no answer") from error
        except Exception as error:  # whatever a malformed answer does to the decoder
            raise DeviceLost(f"{of}: unreadable answer ({error!r})") from error


@cache
def _object(name: str) -> ObjectIdentifier:
    return ObjectIdentifier(name)


def _plain(value: Any) -> PropertyValue:  # noqa: ANN401 - any class of the library's
    """Return a property's value as a plain one."""
    if isinstance(value, ErrorType):
        return Failure(f"{value.errorClass} error {value.errorCode}")
    if isinstance(value, StatusFlags):
        names = ("in-alarm", "fault", "overridden", "out-of-service")
        return frozenset(name for name, bit in zip(names, value, strict=False) if bit)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list) and all(isinstance(slot, PriorityValue) for slot in value):
        return tuple(_slot(slot) for slot in value)
    return str(value)


def _told_value(kind: str, told: Any) -> PropertyValue:  # noqa: ANN401 - the library's class
    """Return a value of a notification, which carries no type."""
    name = str(told.propertyIdentifier)
    types: Sequence[type] = (StatusFlags,) if name == "status-flags" else _TYPES_TOLD
    for type_ in types:
        try:
            return _plain(told.value.cast_out(type_))
        except Exception:  # noqa: BLE001 - each type objects in its own way
            continue
    return Failure(f"{name} of a {kind} has an unknown type")


_TYPES_TOLD: Final = (Real, Unsigned, Integer, Enumerated, Double)
"""Types a present value can have."""


def _slot(slot: PriorityValue) -> float:
    return math.nan if slot.null is not None else float(getattr(slot, slot._choice))


def _refuse_taken_port(interface: str) -> None:
    """Raise DriverError if the port is taken: the library would share it and lose packets."""
    host, port = Address(interface).addrTuple
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DriverError(
                f"UDP port {port} of {host} cannot be used: {error.strerror}; end the other BACnet "
                "program on this host or give this one another interface"
            ) from error


def _as_driver_error(error: ErrorRejectAbortNack, of: str) -> DriverError:
    text = f"{of}: {error}"
    if isinstance(error, AbortPDU):
        reason = error.apduAbortRejectReason
        return TooLongError(text) if reason in _TOO_LONG else DeviceLost(text)
    if isinstance(error, RejectPDU):
        known = error.apduAbortRejectReason != RejectReason.unrecognizedService
        return DriverError(text) if known else NoSuchServiceError(text)
    if isinstance(error, ErrorPDU):
        code = str(error.errorCode)
        text = f"{of}: the device answers {error.errorClass} error {code}"
        if code in _NOT_PERMITTED:
            return NotPermitted(text)
        if code in _REFUSED:
            return ValueRefused(text)
    return DriverError(text)
