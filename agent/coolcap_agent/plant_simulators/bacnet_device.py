"""A BACnet/IP device with commandable setpoints, stricter than the library it is made of.

``analog-value,k`` are the setpoints, each with a priority array; ``analog-input,j`` the sensors.
The relinquish default is the device's own program. Refused, where bacpypes3 0.0.110 would accept:
present values of inputs, values that are not finite or out of range, priority 6 (reserved for
minimum on/off), writes to any other property.
"""
# bacpypes3 has no types, and builds its classes by metaclasses that pyright cannot follow.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false

import asyncio
import math
import random
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from bacpypes3.app import Application
from bacpypes3.basetypes import PropertyIdentifier
from bacpypes3.errors import PropertyError
from bacpypes3.ipv4 import IPv4DatagramServer
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObject, AnalogValueObjectCmd
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import PDU
from bacpypes3.primitivedata import Null, Real

from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, Hall, SimulatedLever
from coolcap_agent.plant_simulators.simulator import Simulator

INSTANCE: Final = 1201
VENDOR_ID: Final = 999
PRIORITY: Final = 13
"""The slot of the point map this device suggests."""
RESERVED_PRIORITY: Final = 6
SCAN_S: Final = 0.05
"""Between two measurements of what is subscribed to."""


class _Device(DeviceObject):  # type: ignore[misc]
    """Takes no writes."""

    async def write_property(self, *args: object, **kwargs: object) -> None:
        """Refuse."""
        raise PropertyError("write-access-denied")


class _OldApplication(Application):  # type: ignore[misc]
    """Reads one property at a time."""

    do_ReadPropertyMultipleRequest = None  # noqa: N815 - the library looks handlers up by name


class _Sensor(AnalogInputObject):  # type: ignore[misc]
    """Measures the hall whenever it is read; NaN is a fault."""

    _measure: Callable[[], float]

    def attach(self, measure: Callable[[], float]) -> None:
        """Name what it measures; the library allows new attributes only with an underscore."""
        self._measure = measure

    def measure(self) -> None:
        """Take a new present value, which subscribers are told of."""
        self.presentValue = Real(self._measure())

    async def read_property(self, attr: int | str, index: int | None = None) -> Any:  # noqa: ANN401
        """Return a property; present value and status flags from the hall."""
        value = self._measure()
        self.reliability = "no-fault-detected" if math.isfinite(value) else "no-sensor"
        if attr in (PropertyIdentifier.presentValue, "presentValue"):
            return Real(value)
        return await super().read_property(attr, index)

    async def write_property(self, *args: object, **kwargs: object) -> None:
        """Refuse."""
        raise PropertyError("write-access-denied")


class _Setpoint(AnalogValueObjectCmd):  # type: ignore[misc]
    """Commandable; tells the hall what is in force."""

    _follow: Callable[[float], None] | None = None

    def attach(self, follow: Callable[[float], None]) -> None:
        """Name what follows it."""
        self._follow = follow

    async def write_property(
        self,
        attr: int | str,
        value: Any,  # noqa: ANN401 - the library's types
        index: int | None = None,
        priority: int | None = None,
    ) -> None:
        """Write the present value into a slot; everything else is refused."""
        if attr not in (PropertyIdentifier.presentValue, "presentValue"):
            raise PropertyError("write-access-denied")
        if priority == RESERVED_PRIORITY:
            raise PropertyError("write-access-denied")
        if not isinstance(value, Null) and value != ():
            number = float(value)
            if not (math.isfinite(number) and self.minPresValue <= number <= self.maxPresValue):
                raise PropertyError("value-out-of-range")
        await super().write_property(attr, value, index, priority)

    def recalculating(self) -> None:
        """Work out what is in force and let the hall follow it."""
        super().recalculating()
        if self._follow is not None:
            self._follow(float(self.presentValue))


class _Plain(AnalogValueObject):  # type: ignore[misc]
    """A setpoint that is not commandable: it takes any priority and forgets it."""


class BacnetDevice(Simulator):
    """The device; attributes below are switches for faults.

    Attributes:
        mute: Requests are carried out and not answered.
        loss_ratio: Share of datagrams lost, each way.
        duplicate_ratio: Share of answers sent twice.
        delay_max_s: Answers are late by up to this, so they overtake each other.
        commandable: False makes the setpoints plain values without a priority array.
        tells_changes: Subscribers are told; false is a subscription that died without a word.
        reads_several: False makes it an old device without ReadPropertyMultiple.
    """

    protocol = "bacnet"

    def __init__(
        self,
        hall: Hall,
        *,
        levers: Sequence[SimulatedLever] = LEVERS,
        signals: Sequence[str] = SIGNALS,
        host: str = "127.0.0.1",
        port: int = 0,
        instance: int = INSTANCE,
        seed: int = 0,
    ) -> None:
        """Describe the device; arguments as for all simulators.

        Args:
            hall: What stands behind it.
            levers: Setpoints it offers.
            signals: What it measures.
            host: Address to serve.
            port: UDP port to serve; 0 picks a free one.
            instance: Its device instance.
            seed: Of the losses and delays.
        """
        super().__init__(hall, levers=levers, signals=signals, host=host, port=port)
        self.instance = instance
        self.mute = False
        self.loss_ratio = 0.0
        self.duplicate_ratio = 0.0
        self.delay_max_s = 0.0
        self.commandable = True
        self.reads_several = True
        self._random = random.Random(seed)
        self.tells_changes = True
        self._scan: asyncio.Task[None] | None = None
        self._app: Application | None = None
        self._setpoints: dict[str, _Setpoint] = {}
        self._sensors: dict[str, _Sensor] = {}

    def put(self, lever: str, value: float | None, *, priority: int) -> None:
        """Write a slot as another client would; None empties it."""

        async def write() -> None:
            written = Null(()) if value is None else Real(value)
            await self._setpoints[lever].write_property("presentValue", written, None, priority)

        self._running.call(write(), deadline_s=1.0, of="writing a slot")

    def slot(self, lever: str, priority: int) -> float:
        """Return what a slot holds, NaN if it is empty."""
        slot = self._setpoints[lever].priorityArray[priority - 1]
        return math.nan if slot.null is not None else float(slot.real)

    def set_out_of_service(self, signal: str) -> None:
        """Mark a sensor as out of service."""
        self._sensors[signal].outOfService = True

    async def _serve(self) -> None:
        device = _Device(
            objectIdentifier=("device", self.instance),
            objectName="simulated plant",
            vendorIdentifier=VENDOR_ID,
        )
        port = NetworkPortObject(
            f"{self.host}:{self.port}", objectIdentifier=("network-port", 1), objectName="port"
        )
        kind = Application if self.reads_several else _OldApplication
        self._app = kind.from_object_list([device, port])
        self._app.next_invoke_id = self._random.randrange(256)
        for k, lever in enumerate(self.levers, start=1):
            self._app.add_object(self._make_setpoint(k, lever))
        for j, signal in enumerate(self.signals, start=1):
            self._app.add_object(self._make_sensor(j, signal))
        self._local_program()
        (link,) = self._app.link_layers.values()
        self._make_lossy(link.server)
        while link.server.local_transport is None:
            await asyncio.sleep(0.001)
        self._scan = asyncio.create_task(self._tell_changes())

    async def _tell_changes(self) -> None:
        """Measure what is subscribed to; the library tells changes of what was measured."""
        while True:
            subscribed = set() if self._app is None else set(self._app._cov_detections)
            for sensor in self._sensors.values():
                if self.tells_changes and sensor.objectIdentifier in subscribed:
                    sensor.measure()
            await asyncio.sleep(SCAN_S)

    async def _end(self) -> None:
        if self._scan is not None:
            self._scan.cancel()
        if self._app is not None:
            self._app.close()
            self._app = None
        await asyncio.sleep(0)

    def _make_lossy(self, server: IPv4DatagramServer) -> None:
        """Put losses, delays and duplicates between the device and the network."""
        send, receive = server.indication, server.confirmation

        async def send_maybe(datagram: PDU) -> None:
            if self.mute or self._random.random() < self.loss_ratio:
                return
            count = 2 if self._random.random() < self.duplicate_ratio else 1
            for _ in range(count):
                await asyncio.sleep(self._random.uniform(0.0, self.delay_max_s))
                await send(datagram)

        async def receive_maybe(datagram: PDU) -> None:
            if self._random.random() >= self.loss_ratio:
                await receive(datagram)

        server.indication = send_maybe
        server.confirmation = receive_maybe

    def _make_setpoint(self, k: int, lever: SimulatedLever) -> AnalogValueObject:
        kind = _Setpoint if self.commandable else _Plain
        setpoint = kind(
            objectIdentifier=("analog-value", k),
            objectName=lever.lever,
            presentValue=lever.default,
            relinquishDefault=lever.default,
            minPresValue=lever.low,
            maxPresValue=lever.high,
            covIncrement=0.1,
            units="no-units",
        )
        if isinstance(setpoint, _Setpoint):
            setpoint.attach(lambda value: self.hall.write(lever.lever, value))
            self._setpoints[lever.lever] = setpoint
        return setpoint

    def _make_sensor(self, j: int, signal: str) -> _Sensor:
        sensor = _Sensor(
            objectIdentifier=("analog-input", j),
            objectName=f"{signal} {j}",
            presentValue=0.0,
            covIncrement=0.1,
            units="no-units",
        )
        sensor.attach(lambda: self.hall.read(signal))
        self._sensors[signal] = sensor
        return sensor

    def _free_port(self, host: str) -> int:
        return free_udp_port(host)

    def point_map(self) -> str:
        """Return the point map that fits this device, as TOML."""
        lines = [
            'protocol = "bacnet"\n',
            "[[devices]]",
            'name = "plant"',
            f'address = "{self.host}:{self.port}"',
            f"instance = {self.instance}\n",
        ]
        for k, lever in enumerate(self.levers, start=1):
            lines += [
                "[[levers]]",
                f'lever = "{lever.lever}"',
                'device = "plant"',
                f'object = "analog-value,{k}"',
                f"priority = {PRIORITY}",
                f"low = {lever.low}",
                f"high = {lever.high}\n",
            ]
        for j, signal in enumerate(self.signals, start=1):
            lines += [
                "[[sensors]]",
                f'signal = "{signal}"',
                'device = "plant"',
                f'object = "analog-input,{j}"\n',
            ]
        return "\n".join(lines)


def free_udp_port(host: str) -> int:
    """Return a UDP port nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
