"""An OPC UA server of a plant controller that follows virtual setpoints under a handshake.

Nodes of the namespace ``urn:coolcap:simulated-plant``: ``s=Setpoint.<lever>`` (Double, writable),
``s=Followed.<lever>``, ``s=Sensor.<j>``, ``s=Enable`` (Int16) and ``s=Heartbeat`` (Int32), both
writable, and ``s=Override`` (Boolean). Refused, where asyncua 2.1.0 would accept: values that are
not finite or out of range, writes of another type to a variable that is computed when read, and
writes with time stamps, which many servers do not take.
"""
# asyncua is typed, but re-exports its names without saying so.
# pyright: reportPrivateImportUsage=false

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, cast

from asyncua import Server, ua
from asyncua.common.callback import Callback, CallbackType, ServerItemCallback
from asyncua.common.node import Node
from asyncua.ua import uaerrors

from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, Hall, SimulatedLever
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_agent.plant_simulators.virtual_setpoints import VirtualSetpoints

NAMESPACE: Final = "urn:coolcap:simulated-plant"
APPLICATION_URI: Final = "urn:coolcap:simulated-plant:server"
SCAN_S: Final = 0.02

# The library warns of every security policy this server does without.
logging.getLogger("asyncua").setLevel(logging.ERROR)


class OpcuaServer(Simulator):
    """The server; attributes below are switches for faults.

    Attributes:
        virtual: The program that follows the setpoints, with the panel's switch.
        mute: Requests are taken and not answered.
        stuck_since: Sensors say they last measured then; None measures now.
        stamped: Values have a source time stamp.
        tells_changes: Subscribers are told; false is a subscription that died without a word.
    """

    protocol = "opcua"

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
        certificate_file: Path | None = None,
        private_key_file: Path | None = None,
    ) -> None:
        """Describe the server.

        Args:
            hall: What stands behind it.
            levers: Setpoints it offers.
            signals: What it measures.
            host: Address to serve.
            port: Port to serve; 0 picks a free one.
            heartbeat_timeout_s: Longest time without a new heartbeat.
            now_s: Clock of the heartbeat.
            certificate_file: Its certificate; with one it takes encrypted sessions only.
            private_key_file: The key of that.
        """
        super().__init__(hall, levers=levers, signals=signals, host=host, port=port)
        self.virtual = VirtualSetpoints(
            hall, self.levers, heartbeat_timeout_s=heartbeat_timeout_s, now_s=now_s
        )
        self.mute = False
        self.stuck_since: datetime | None = None
        self.stamped = True
        self.tells_changes = True
        self._told: dict[ua.NodeId, object] = {}
        self._certificate = (certificate_file, private_key_file)
        self._server: Server | None = None
        self._writable: dict[ua.NodeId, tuple[ua.VariantType, float, float]] = {}
        self._scan: asyncio.Task[None] | None = None
        self._listening = False

    @property
    def url(self) -> str:
        """Return where it serves."""
        return f"opc.tcp://{self.host}:{self.port}/"

    def put(self, lever: str, value: float) -> None:
        """Change a virtual setpoint as another client would."""
        self.virtual.setpoints[lever] = value
        self.virtual.cycle()

    def switch_on_again(self) -> None:
        """Forget all commands and faults, as a restart does, without the seconds that takes."""
        self.mute, self.stuck_since, self.stamped = False, None, True
        self.virtual.overridden = self.virtual.stuck = False
        self.virtual.hand.clear()
        self.virtual.reset()

    async def _serve(self) -> None:
        self.virtual.reset()
        if self._server is None:
            self._server = await self._build()
        await self._server.start()
        self._listening = True
        self._scan = asyncio.create_task(self._cycle_on())

    async def _end(self) -> None:
        if self._scan is not None:
            self._scan.cancel()
        if self._server is not None and self._listening:
            self._listening = False
            await self._server.stop()

    async def _cycle_on(self) -> None:
        while True:
            self.virtual.cycle()
            await self._tell_changes()
            await asyncio.sleep(SCAN_S)

    async def _tell_changes(self) -> None:
        """Tell subscribers what the library cannot: values that are computed when they are read."""
        if self._server is None or self.mute or not self.tells_changes:
            return
        space = self._server.iserver.aspace
        for node_id, told in self._told.items():
            attribute = space[node_id].attributes[ua.AttributeIds.Value]
            if not attribute.datachange_callbacks or attribute.value_callback is None:
                continue
            data = attribute.value_callback(node_id, ua.AttributeIds.Value)
            value = None if data.Value is None else data.Value.Value
            if value != told:
                self._told[node_id] = value
                for handle, callback in list(attribute.datachange_callbacks.items()):
                    await callback(handle, data)

    async def _build(self) -> Server:
        server = Server()
        await server.init()
        await server.set_application_uri(APPLICATION_URI)
        server.set_endpoint(self.url)
        server.set_server_name("simulated plant")
        certificate, key = self._certificate
        if certificate is None or key is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            await server.load_certificate(certificate)
            await server.load_private_key(key)
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        index = await server.register_namespace(NAMESPACE)
        folder = await server.nodes.objects.add_object(_node_id("Plant", index), "Plant")
        for lever in self.levers:
            await self._add_setpoint(server, folder, index, lever)
        for j, signal in enumerate(self.signals):
            node = await folder.add_variable(_node_id(f"Sensor.{j}", index), signal, 0.0)
            server.set_attribute_value_callback(node.nodeid, partial(self._measured, signal))
            self._told[node.nodeid] = None
        await self._add_handshake(server, folder, index)
        server.subscribe_server_callback(CallbackType.PreWrite, self._check_write)
        server.subscribe_server_callback(CallbackType.PreRead, self._wait_while_mute)
        return server

    async def _add_setpoint(
        self, server: Server, folder: Node, index: int, lever: SimulatedLever
    ) -> None:
        name = lever.lever
        node = await folder.add_variable(
            _node_id(f"Setpoint.{name}", index), f"Setpoint {name}", lever.default
        )
        await node.set_writable()
        await node.add_property(
            _node_id(f"Range.{name}", index), "0:EURange", ua.Range(lever.low, lever.high)
        )
        self._writable[node.nodeid] = (ua.VariantType.Double, lever.low, lever.high)
        server.set_attribute_value_callback(
            node.nodeid, lambda *_: _now(self.virtual.setpoints[name])
        )
        server.set_attribute_value_setter(
            node.nodeid, lambda _n, _a, data: self.put(name, _number(data))
        )
        followed = await folder.add_variable(
            _node_id(f"Followed.{name}", index), f"Followed {name}", lever.default
        )
        server.set_attribute_value_callback(
            followed.nodeid, lambda *_: _now(self.virtual.followed[name])
        )

    async def _add_handshake(self, server: Server, folder: Node, index: int) -> None:
        def set_enable(_node: object, _attribute: object, data: ua.DataValue) -> None:
            self.virtual.enable = int(_number(data))
            self.virtual.cycle()

        def set_heartbeat(_node: object, _attribute: object, data: ua.DataValue) -> None:
            self.virtual.beat(int(_number(data)))

        enable = await folder.add_variable(
            _node_id("Enable", index), "Enable", 0, ua.VariantType.Int16
        )
        heartbeat = await folder.add_variable(
            _node_id("Heartbeat", index), "Heartbeat", 0, ua.VariantType.Int32
        )
        override = await folder.add_variable(_node_id("Override", index), "Override", False)
        for node, setter in ((enable, set_enable), (heartbeat, set_heartbeat)):
            await node.set_writable()
            server.set_attribute_value_setter(node.nodeid, setter)
        server.set_attribute_value_callback(
            enable.nodeid, lambda *_: _now(self.virtual.enable, ua.VariantType.Int16)
        )
        server.set_attribute_value_callback(
            heartbeat.nodeid, lambda *_: _now(self.virtual.heartbeat, ua.VariantType.Int32)
        )
        server.set_attribute_value_callback(
            override.nodeid, lambda *_: _now(self.virtual.overridden, ua.VariantType.Boolean)
        )
        self._writable[enable.nodeid] = (ua.VariantType.Int16, 0, 1)
        self._writable[heartbeat.nodeid] = (ua.VariantType.Int32, 0, math.inf)

    def _measured(self, signal: str, *_: object) -> ua.DataValue:
        value = self.hall.read(signal)
        code = ua.StatusCodes.Good if math.isfinite(value) else ua.StatusCodes.BadSensorFailure
        measured = (self.stuck_since or datetime.now(UTC)) if self.stamped else None
        return replace(
            _now(value),
            StatusCode=ua.StatusCode(ua.UInt32(code)),
            SourceTimestamp=cast("ua.DateTime | None", measured),
        )

    async def _wait_while_mute(self, event: Callback, _service: object) -> None:
        while self.mute and isinstance(event, ServerItemCallback) and event.is_external:
            await asyncio.sleep(SCAN_S)

    async def _check_write(self, event: Callback, service: object) -> None:
        """Refuse a whole write if any value of it is not acceptable."""
        await self._wait_while_mute(event, service)
        if not (isinstance(event, ServerItemCallback) and event.is_external):
            return
        for item in event.request_params.NodesToWrite:
            data = item.Value
            if data.SourceTimestamp or data.ServerTimestamp:
                raise uaerrors.BadWriteNotSupported
            if item.NodeId not in self._writable or data.Value is None:
                continue  # the library refuses it
            kind, low, high = self._writable[item.NodeId]
            if data.Value.VariantType is not kind:
                raise uaerrors.BadTypeMismatch
            if not low <= data.Value.Value <= high:
                raise uaerrors.BadOutOfRange

    def point_map(self) -> str:
        """Return the point map that fits this server, as TOML."""
        prefix = f"nsu={NAMESPACE};s="
        lines = [
            'protocol = "opcua"\n',
            "[[devices]]",
            'name = "plant"',
            f'url = "{self.url}"',
            f'application_uri = "{APPLICATION_URI}"',
            'security = "none"\n',
            "[[handshakes]]",
            'device = "plant"',
            f'enable = {{ node = "{prefix}Enable" }}',
            f'heartbeat = {{ node = "{prefix}Heartbeat" }}',
            f'override = {{ node = "{prefix}Override" }}\n',
        ]
        for lever in self.levers:
            lines += [
                "[[levers]]",
                f'lever = "{lever.lever}"',
                'device = "plant"',
                f'node = "{prefix}Setpoint.{lever.lever}"',
                f'feedback = {{ node = "{prefix}Followed.{lever.lever}" }}',
                f"low = {lever.low}",
                f"high = {lever.high}\n",
            ]
        for j, signal in enumerate(self.signals):
            lines += [
                "[[sensors]]",
                f'signal = "{signal}"',
                'device = "plant"',
                f'node = "{prefix}Sensor.{j}"\n',
            ]
        return "\n".join(lines)


def _now(value: float | bool, kind: ua.VariantType = ua.VariantType.Double) -> ua.DataValue:
    now = cast("ua.DateTime", datetime.now(UTC))
    return ua.DataValue(ua.Variant(value, kind), SourceTimestamp=now, ServerTimestamp=now)


def _node_id(identifier: str, index: int) -> ua.NodeId:
    return ua.NodeId.from_string(f"ns={index};s={identifier}")


def _number(data: ua.DataValue) -> float:
    if data.Value is None:
        raise uaerrors.BadTypeMismatch
    return float(data.Value.Value)
