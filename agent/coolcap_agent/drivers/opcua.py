"""OPC UA: quality and time stamps are looked at, writes have the node's own type.

In the point map, with the keys of ``points.py``::

    [[devices]]
    name = "cdu-1"
    url = "opc.tcp://10.20.0.31:4840"
    application_uri = "urn:vendor:cdu:4711"     # checked on every connect
    security = "Basic256Sha256"                 # or Aes128Sha256RsaOaep, Aes256Sha256RsaPss, none
    certificate_file = "coolcap.der"            # ours; signed and encrypted
    private_key_file = "coolcap.key.pem"
    server_certificate_file = "cdu-1.der"       # the only one we talk to
    username = "coolcap"
    password_file = "cdu-1.password"
    timeout_s = 2.0

    [[sensors]]
    signal = "cdu_supply_temp_c"
    device = "cdu-1"
    node = "nsu=urn:vendor:cdu;s=Loop1.SupplyTemp"
    time = "source"                             # or "server", for servers that stamp changes only

OPC UA has no priorities: whoever writes last wins. A lever should have ``feedback`` and the device
a ``[[handshakes]]``. Needs the extra: ``pip install 'coolcap[opcua]'``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from coolcap_agent.drivers.base import CoolingDriver, DeviceLost, DriverError, ValueRefused
from coolcap_agent.drivers.equipment import Command, DeviceRange, Sample
from coolcap_agent.drivers.opcua_client import POLICIES, OpcuaClient, Server, Value
from coolcap_agent.drivers.opcua_nodes import Node, take_node
from coolcap_agent.drivers.patience import Patience
from coolcap_agent.drivers.point_driver import PointDriver
from coolcap_agent.drivers.point_reader import take_points
from coolcap_agent.drivers.points import PointMap
from coolcap_envs.contract.config import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaDevice:
    """A server and the application URI it must have, empty where it is not known."""

    name: str
    server: Server
    application_uri: str


class OpcuaDialect:
    """The part of a point map that is OPC UA's own."""

    protocol = "opcua"

    def take_device(self, table: Table, *, name: str, folder: Path) -> OpcuaDevice:
        """Take a device's keys."""
        url = table.take_str("url")
        if url and not url.startswith("opc.tcp://"):
            table.complain("url", f"= {url!r} is not allowed: opc.tcp://host:port is needed")
        policy = table.take_str("security", allowed=(*POLICIES, "none"))
        files: dict[str, Path | None] = dict.fromkeys(
            ("certificate_file", "private_key_file", "server_certificate_file")
        )
        if policy != "none":
            files = {key: folder / table.take_str(key) for key in files}
        username, password_file = "", None
        if table.has("username"):
            username = table.take_str("username")
            password_file = folder / table.take_str("password_file")
        timeout_s = table.take_float("timeout_s", low=0.05, high=30.0, unit="s", default=2.0)
        return OpcuaDevice(
            name=name,
            application_uri=table.take_str("application_uri", default=""),
            server=Server(
                url=url,
                timeout_s=timeout_s,
                policy="" if policy == "none" else policy,
                certificate_file=files["certificate_file"],
                private_key_file=files["private_key_file"],
                server_certificate_file=files["server_certificate_file"],
                username=username,
                password_file=password_file,
            ),
        )

    def take_address(self, table: Table, *, written: bool) -> Node:
        """Take a node."""
        return take_node(table, written=written)

    def problems_of(self, points: PointMap[OpcuaDevice, Node]) -> list[str]:
        """Return nothing: what else can be wrong only the server knows."""
        del points
        return []


class OpcuaEquipment:
    """One server."""

    def __init__(self, device: OpcuaDevice, nodes: Sequence[Node]) -> None:
        """Reach nothing yet; ``nodes`` are all that will be used."""
        self._device = device
        self._nodes = nodes
        self._client: OpcuaClient | None = None

    @property
    def name(self) -> str:
        """Return the device's name in the point map."""
        return self._device.name

    @property
    def connected(self) -> bool:
        """Return whether the session stands."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open a session with a new client; check whose server it is."""
        await self.disconnect()
        self._client = OpcuaClient(self._device.server, of=self.name)
        uri = await self._client.open(self._nodes)
        wanted = self._device.application_uri
        if wanted and uri != wanted:
            raise DriverError(f"{self.name} is another device: its URI is {uri}, not {wanted}")

    async def disconnect(self) -> None:
        """End the session."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def read(self, addresses: Sequence[Node]) -> Mapping[Node, Sample]:
        """Read all values in one request."""
        values = await self._reached.read(addresses)
        now = datetime.now(UTC)
        return {node: _sample(value, now, time=node.time) for node, value in values.items()}

    async def keep_subscribed(
        self, addresses: Sequence[Node], note: Callable[[Mapping[Node, Sample]], None]
    ) -> None:
        """Subscribe once per session; a new session subscribes anew."""

        def told(node: Node, value: Value) -> None:
            note({node: _sample(value, datetime.now(UTC), time=node.time)})

        await self._reached.subscribe(addresses, told)

    async def range_of(self, address: Node) -> DeviceRange:
        """Return the node's engineering range; read-only without the right to write."""
        info = await self._reached.look_at(address)
        return DeviceRange(
            low=-math.inf if info.low is None else info.low,
            high=math.inf if info.high is None else info.high,
            read_only_reason="" if info.writable else "the server gives no right to write it",
        )

    async def command_at(self, address: Node) -> Command:
        """Return the node's value; nobody is stronger than whoever wrote last."""
        value = (await self._reached.read([address]))[address]
        if value.quality:
            raise DriverError(f"{self.name}: {address} is {value.quality}")
        return Command(in_force=value.number, ours=value.number)

    async def write(self, address: Node, raw: float) -> None:
        """Write the node."""
        if not math.isfinite(raw):
            raise ValueRefused(f"{raw} is no value for {self.name} {address}")
        await self._reached.write(address, raw)

    async def give_back(self, address: Node, *, before: float) -> None:
        """Write what stood there before."""
        if not math.isnan(before):
            await self.write(address, before)

    @property
    def _reached(self) -> OpcuaClient:
        if self._client is None:
            raise DeviceLost(f"{self.name} is not connected")
        return self._client


def make_cooling_driver(options: Table, *, plant_id: str, folder: Path) -> CoolingDriver:
    """Return an OPC UA driver that is not connected yet; arguments as in ``registry.py``."""
    del plant_id
    patience = Patience.take(options)
    points = take_points(options, OpcuaDialect(), folder=folder)
    return PointDriver(points, partial(_equipment, points), name="opcua", patience=patience)


def _equipment(
    points: PointMap[OpcuaDevice, Node], devices: Sequence[OpcuaDevice]
) -> list[OpcuaEquipment]:
    return [
        OpcuaEquipment(device, [p.address for p in points.points() if p.device == device.name])
        for device in devices
    ]


def _sample(value: Value, now: datetime, *, time: str) -> Sample:
    stamp = {"source": value.source_time, "server": value.server_time, "none": None}[time]
    problem = value.quality
    if not problem and not math.isfinite(value.number):
        problem = "is not a finite number"
    if not problem and time != "none" and stamp is None:
        problem = f"has no {time} time stamp: its age is unknown"
    age_s = 0.0 if stamp is None else (now - stamp).total_seconds()
    return Sample(raw=value.number, problem=problem, age_s=age_s)
