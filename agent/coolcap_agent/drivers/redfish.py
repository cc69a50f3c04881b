"""Redfish: set points of controls and readings of sensors of CDUs and other cooling units.

In the point map, with the keys of ``points.py``::

    [[devices]]
    name = "cdu-1"
    url = "https://10.20.0.21"
    uuid = "a7f0…"                              # of the service root, checked on every connect
    username = "coolcap"
    password_file = "cdu-1.password"
    ca_file = "plant-ca.pem"
    timeout_s = 2.0

    [[sensors]]
    signal = "cdu_supply_temp_c"
    device = "cdu-1"
    resource = "/redfish/v1/ThermalEquipment/CDUs/1/Sensors/SupplyTemp"
    property = "Reading"                        # or a path, as "TemperatureCelsius/Reading"

    [[levers]]
    lever = "cdu_supply_temp_setpoint_c"
    device = "cdu-1"
    resource = "/redfish/v1/ThermalEquipment/CDUs/1/Controls/SupplyTemp"
    low = 20.0
    high = 40.0

Only ``Control.SetPoint`` is ever written, within ``AllowableMin`` and ``AllowableMax``, while the
control's mode is Automatic. Redfish has no priorities and no expiry: whoever writes last wins.
"""

import asyncio
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from coolcap_agent.drivers.base import CoolingDriver, DeviceLost, DriverError, ValueRefused
from coolcap_agent.drivers.equipment import Command, DeviceRange, Sample
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.point_driver import PointDriver
from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.drivers.points import PointMap
from coolcap_agent.drivers.redfish_client import (
    SERVICE_ROOT,
    Json,
    PreconditionError,
    RedfishClient,
    Resource,
    Service,
)
from coolcap_envs.contract.config import Table

SET_POINT: Final = "SetPoint"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
EXPAND_FROM: Final = 4
"""Members of one collection from which they are read together, where the service can."""
REQUESTS_MAX: Final = 4
"""Requests to one service at a time; management controllers are small computers."""
WRITE_ATTEMPTS: Final = 3
"""A resource's ETag also changes with its readings; the set point is compared before each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishDevice:
    """A service and the UUID it must have, empty where it is not known."""

    name: str
    service: Service
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishProperty:
    """A property of a resource; ``path`` leads to it, its steps joined by slashes."""

    resource: str
    path: str

    def __str__(self) -> str:
        """Return resource and property."""
        return f"{self.resource}#{self.path}"

    @property
    def step(self) -> float:
        """Return 0: what its type is only the server knows."""
        return 0.0

    def cells(self) -> frozenset[Hashable]:
        """Return the property."""
        return frozenset({(self.resource, self.path)})


class RedfishDialect:
    """The part of a point map that is Redfish's own."""

    protocol = "redfish"

    def take_device(self, table: Table, *, name: str, folder: Path) -> RedfishDevice:
        """Take a device's keys."""
        url = table.take_str("url")
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            table.complain("url", f"= {url!r} is not allowed: https://host[:port] is needed")
        elif parts.scheme == "http" and parts.hostname not in LOOPBACK:
            table.complain("url", f"= {url!r} is not allowed: plain http only on this host")
        username, password_file = "", None
        if table.has("username"):
            username = table.take_str("username")
            password_file = folder / table.take_str("password_file")
        ca_file = folder / table.take_str("ca_file") if table.has("ca_file") else None
        return RedfishDevice(
            name=name,
            uuid=table.take_str("uuid", default=""),
            service=Service(
                url=url,
                timeout_s=table.take_float("timeout_s", low=0.05, high=30.0, unit="s", default=2.0),
                ca_file=ca_file,
                username=username,
                password_file=password_file,
            ),
        )

    def take_address(self, table: Table, *, written: bool) -> RedfishProperty:
        """Take ``resource`` and, for what is only read, ``property``."""
        resource = table.take_str("resource")
        if resource and not resource.startswith(SERVICE_ROOT):
            table.complain("resource", f"= {resource!r} is not allowed: a path in {SERVICE_ROOT}")
        if written:
            return RedfishProperty(resource=resource, path=SET_POINT)
        path = table.take_str("property", default="Reading")
        return RedfishProperty(resource=resource, path=path)

    def problems_of(self, points: PointMap[RedfishDevice, RedfishProperty]) -> list[str]:
        """Return handshakes: Redfish has no points for them."""
        return [
            f"[[handshakes]] of {h.device!r}: Redfish has no point that could be one"
            for h in points.handshakes
        ]


class RedfishEquipment:
    """One Redfish service."""

    def __init__(self, device: RedfishDevice) -> None:
        """Reach nothing yet."""
        self._device = device
        self._client: RedfishClient | None = None
        self._can_expand = False
        self._unexpandable: set[str] = set()
        self._slots = asyncio.Semaphore(REQUESTS_MAX)

    @property
    def name(self) -> str:
        """Return the device's name in the point map."""
        return self._device.name

    @property
    def connected(self) -> bool:
        """Return whether the service has been reached."""
        return self._client is not None

    async def connect(self) -> None:
        """Read the service root and check that it is the service meant."""
        await self.disconnect()
        client = RedfishClient(self._device.service, of=self.name)
        try:
            root = (await client.get(SERVICE_ROOT)).body
            if "RedfishVersion" not in root:
                raise DriverError(f"{self.name}: {self._device.service.url} is no Redfish service")
            if self._device.uuid and root.get("UUID") != self._device.uuid:
                raise DriverError(
                    f"{self.name} is another device: its service root has UUID "
                    f"{root.get('UUID')}, not {self._device.uuid}"
                )
        except BaseException:
            await client.close()
            raise
        self._can_expand = _at(root, "ProtocolFeaturesSupported/ExpandQuery/NoLinks") is True
        self._client = client

    async def disconnect(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def read(self, addresses: Sequence[RedfishProperty]) -> Mapping[RedfishProperty, Sample]:
        """Read each resource once, and collections whole where that is fewer requests."""
        wanted = list(dict.fromkeys(address.resource for address in addresses))
        found = await self._read_collections(wanted) if self._can_expand else {}
        missing = [path for path in wanted if path not in found]
        found.update(zip(missing, await asyncio.gather(*map(self._read_one, missing)), strict=True))
        samples = {}
        for address in addresses:
            resource = found[address.resource]
            if isinstance(resource, DriverError):
                samples[address] = Sample(raw=math.nan, problem=f"cannot be read: {resource}")
            else:
                samples[address] = _sample(resource, address.path)
        return samples

    async def range_of(self, address: RedfishProperty) -> DeviceRange:
        """Return what the control allows; read-only if it is no control."""
        resource = await self._reached.get(address.resource)
        body = resource.body
        reason = ""
        if not str(body.get("@odata.type", "")).startswith("#Control."):
            reason = f"is a {body.get('@odata.type')}: only SetPoint of a Control is written"
        elif SET_POINT not in body:
            reason = "has no SetPoint"
        elif resource.allow and "PATCH" not in resource.allow:
            reason = f"can only be used by {resource.allow}"
        return DeviceRange(
            low=max(
                _number(body, "AllowableMin", -math.inf), _number(body, "SettingMin", -math.inf)
            ),
            high=min(
                _number(body, "AllowableMax", math.inf), _number(body, "SettingMax", math.inf)
            ),
            read_only_reason=reason,
        )

    async def command_at(self, address: RedfishProperty) -> Command:
        """Return the set point, and who decides if the control is not automatic."""
        return self._command(await self._reached.get(address.resource), address)

    async def write(self, address: RedfishProperty, raw: float) -> None:
        """Patch the set point of the control as it was read just before."""
        if not math.isfinite(raw):
            raise ValueRefused(f"{raw} is no set point for {self.name} {address}")
        before = None
        for _ in range(WRITE_ATTEMPTS):
            resource = await self._reached.get(address.resource)
            now = self._command(resource, address).ours
            if before is not None and now != before:
                raise ValueRefused(
                    f"{self.name}: {address}: another client changed it from {before:g} to "
                    f"{now:g} just now"
                )
            before = now
            try:
                await self._reached.patch_set_point(address.resource, raw, etag=resource.etag)
            except PreconditionError:
                continue
            return
        raise ValueRefused(f"{self.name}: {address} changes faster than it can be written")

    async def give_back(self, address: RedfishProperty, *, before: float) -> None:
        """Write what stood there before."""
        if not math.isnan(before):
            await self.write(address, before)

    @property
    def _reached(self) -> RedfishClient:
        if self._client is None:
            raise DeviceLost(f"{self.name} is not connected")
        return self._client

    def _command(self, resource: Resource, address: RedfishProperty) -> Command:
        value = _number(resource.body, address.path, math.nan)
        if math.isnan(value):
            raise DriverError(f"{self.name}: {address} holds no number")
        mode = resource.body.get("ControlMode", "Automatic")
        state = _at(resource.body, "Status/State")
        stronger = ""
        if mode != "Automatic":
            stronger = f"ControlMode of {address.resource} is {mode}"
        elif state not in (None, "Enabled"):
            stronger = f"{address.resource} is {state}"
        return Command(in_force=value, ours=value, stronger=stronger)

    async def _read_collections(self, wanted: Sequence[str]) -> dict[str, Resource | DriverError]:
        parents: dict[str, int] = {}
        for path in wanted:
            parent = path.rpartition("/")[0]
            parents[parent] = parents.get(parent, 0) + 1
        found: dict[str, Resource | DriverError] = {}
        for parent, count in parents.items():
            if count >= EXPAND_FROM and parent not in self._unexpandable:
                try:
                    found.update(await self._reached.get_members(parent))
                except DeviceLost:
                    raise
                except DriverError:
                    self._unexpandable.add(parent)
        return found

    async def _read_one(self, path: str) -> Resource | DriverError:
        async with self._slots:
            try:
                return await self._reached.get(path)
            except DeviceLost:
                raise
            except DriverError as error:
                return error


def make_cooling_driver(options: Table, *, plant_id: str, folder: Path) -> CoolingDriver:
    """Return a Redfish driver that is not connected yet; arguments as in ``registry.py``."""
    del plant_id
    patience = Patience.take(options)
    points = take_points(options, RedfishDialect(), folder=folder)
    return PointDriver(points, _equipment, name="redfish", patience=patience)


def _equipment(devices: Sequence[RedfishDevice]) -> list[RedfishEquipment]:
    return [RedfishEquipment(device) for device in devices]


def _sample(resource: Resource, path: str) -> Sample:
    """Return a property's number, its age by the service's own clock, and what speaks against."""
    body = resource.body
    value = _number(body, path, math.nan)
    state, health = _at(body, "Status/State"), _at(body, "Status/Health")
    problem = ""
    if not math.isfinite(value):
        problem = f"{path} holds no number"
    elif state not in (None, "Enabled"):
        problem = f"has state {state}"
    elif health == "Critical":
        problem = "has health Critical"
    return Sample(raw=value, problem=problem, age_s=_age_s(resource))


def _age_s(resource: Resource) -> float:
    """Return how old a sensor's reading was when it was sent; both times are the service's."""
    taken, sent = resource.body.get("ReadingTime"), resource.date
    if not (isinstance(taken, str) and sent):
        return 0.0
    try:
        age = parsedate_to_datetime(sent) - datetime.fromisoformat(taken)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, age.total_seconds())


def _number(body: Json, path: str, default: float) -> float:
    value = _at(body, path)
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
    )


def _at(body: object, path: str) -> object:
    """Return what stands at a path of steps joined by slashes, None if nothing does."""
    for step in path.split("/"):
        if isinstance(body, list) and step.isdigit() and int(step) < len(body):
            body = cast("list[object]", body)[int(step)]
        elif isinstance(body, dict):
            body = cast("dict[str, object]", body).get(step)
        else:
            return None
    return body
