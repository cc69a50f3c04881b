"""A Redfish service of a coolant distribution unit that refuses what its schema forbids.

Controls of schema Control v1.5 and sensors of Sensor v1.7 under one CoolingUnit. Refused: unknown
and read-only properties, values of a wrong type, not finite or out of the allowable range, a PATCH
without the present ETag, a PATCH of a sensor, a wrong password. ``SetMode`` stops the pumps, as it
does on real units, and is counted.
"""

import asyncio
import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final

import h11

from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, Hall, SimulatedLever
from coolcap_agent.plant_simulators.simulator import Simulator

UUID: Final = "0d1c86b1-8c6d-4a29-9d0f-9a3cb1cf21aa"
ROOT: Final = "/redfish/v1/"
UNIT: Final = "/redfish/v1/ThermalEquipment/CDUs/1"
USERNAME, PASSWORD = "coolcap", "simulated"
PASSWORD_FILE: Final = "cdu-1.password"
WRITABLE: Final = ("SetPoint", "ControlMode")
MODES: Final = ("Automatic", "Override", "Manual", "Disabled")
"""Values of ControlMode in DMTF's schema Control v1.5."""


class RefusedError(Exception):
    """The service answers with a status and a message."""

    def __init__(self, status: int, message_id: str, message: str) -> None:
        self.status = status
        self.message_id = message_id
        super().__init__(message)


class RedfishCdu(Simulator):
    """The service; attributes below are switches for faults.

    Attributes:
        mute: Requests are carried out and not answered.
        can_expand: Collections can be read with their members.
        stuck_since: Sensors say they last measured then; None measures now.
        busy: Everything is answered with 503.
        set_mode_count: How often somebody posted SetMode.
        expand_count: How often a collection was read with its members.
    """

    protocol = "redfish"

    def __init__(
        self,
        hall: Hall,
        *,
        levers: Sequence[SimulatedLever] = LEVERS,
        signals: Sequence[str] = SIGNALS,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Describe the service; arguments as for all simulators."""
        super().__init__(hall, levers=levers, signals=signals, host=host, port=port)
        self.mute = False
        self.can_expand = True
        self.busy = False
        self.stuck_since: datetime | None = None
        self.set_mode_count = 0
        self.expand_count = 0
        self.password = PASSWORD
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._reset()

    def put(self, lever: str, value: float, *, mode: str = "Automatic") -> None:
        """Change a control as another client or a person would."""
        self._set_points[lever] = value
        self._modes[lever] = mode
        self._versions[lever] += 1
        self.hall.write(lever, value)

    def touch(self, lever: str) -> None:
        """Change a control's ETag and nothing else."""
        self._versions[lever] += 1

    def _reset(self) -> None:
        self._set_points = {lever.lever: lever.default for lever in self.levers}
        self._modes = dict.fromkeys(self._set_points, "Automatic")
        self._versions = dict.fromkeys(self._set_points, 1)

    async def _serve(self) -> None:
        self._reset()
        self._local_program()
        self._server = await asyncio.start_server(self._talk, self.host, self.port)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        http = h11.Connection(h11.SERVER)
        request, body = None, b""
        try:
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    answer = self._answer(request, body)
                    if not self.mute:
                        writer.write(_encoded(http, *answer))
                        await writer.drain()
                        http.start_next_cycle()
                else:
                    return
        except (h11.ProtocolError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, request: h11.Request, body: bytes) -> tuple[int, dict[str, str], object]:
        """Return status, headers and body."""
        headers = {name.decode(): value.decode() for name, value in request.headers}
        path, _, query = request.target.decode().partition("?")
        try:
            if self.busy:
                raise RefusedError(503, "ServiceTemporarilyUnavailable", "try again in 5 seconds")
            self._check_password(headers)
            if request.method == b"GET":
                return self._get(path.rstrip("/"), query)
            if request.method == b"PATCH":
                return self._patch(path.rstrip("/"), headers, body)
            if request.method == b"POST" and path == f"{UNIT}/Actions/CoolingUnit.SetMode":
                self.set_mode_count += 1
                return 204, {}, None
            raise RefusedError(405, "OperationNotAllowed", "the method is not allowed here")
        except RefusedError as refusal:
            info = {"MessageId": f"Base.1.18.{refusal.message_id}", "Message": str(refusal)}
            error = {"code": info["MessageId"], "message": "see the extended information"}
            return refusal.status, {}, {"error": {**error, "@Message.ExtendedInfo": [info]}}

    def _check_password(self, headers: dict[str, str]) -> None:
        wanted = base64.b64encode(f"{USERNAME}:{self.password}".encode()).decode()
        if headers.get("authorization") != f"Basic {wanted}":
            raise RefusedError(401, "NoValidSession", "there is no valid session")

    def _get(self, path: str, query: str) -> tuple[int, dict[str, str], object]:
        if path == ROOT.rstrip("/"):
            return 200, {}, self._root()
        if path in (f"{UNIT}/Sensors", f"{UNIT}/Controls"):
            return 200, {}, self._collection(path, expand=query.startswith("$expand="))
        if path == UNIT:
            return 200, {"allow": "GET"}, self._unit()
        kind, _, name = path.removeprefix(f"{UNIT}/").partition("/")
        if kind == "Sensors" and name.isdigit() and int(name) < len(self.signals):
            return 200, {"allow": "GET"}, self._sensor(int(name))
        for lever in self.levers:
            if kind == "Controls" and name == lever.lever:
                body = self._control(lever)
                return 200, {"allow": "GET, PATCH", "etag": str(body["@odata.etag"])}, body
        raise RefusedError(404, "ResourceMissingAtURI", f"the resource at {path} was not found")

    def _root(self) -> dict[str, object]:
        expand = {"NoLinks": self.can_expand, "Links": False, "Levels": True, "MaxLevels": 1}
        return {
            "@odata.type": "#ServiceRoot.v1_16_0.ServiceRoot",
            "@odata.id": ROOT,
            "RedfishVersion": "1.20.0",
            "UUID": UUID,
            "ProtocolFeaturesSupported": {"ExpandQuery": expand},
            "ThermalEquipment": {"@odata.id": "/redfish/v1/ThermalEquipment"},
        }

    def _unit(self) -> dict[str, object]:
        action = {"target": f"{UNIT}/Actions/CoolingUnit.SetMode"}
        return {
            "@odata.type": "#CoolingUnit.v1_2_0.CoolingUnit",
            "@odata.id": UNIT,
            "Actions": {"#CoolingUnit.SetMode": action},
        }

    def _collection(self, path: str, *, expand: bool) -> dict[str, object]:
        if expand and not self.can_expand:
            raise RefusedError(501, "QueryNotSupported", "query parameters are not supported")
        kind = path.rpartition("/")[2].removesuffix("s")
        members = [self._sensor(j) for j in range(len(self.signals))]
        if kind == "Control":
            members = [self._control(lever) for lever in self.levers]
        self.expand_count += expand
        return {
            "@odata.type": f"#{kind}Collection.{kind}Collection",
            "@odata.id": path,
            "Members@odata.count": len(members),
            "Members": members if expand else [{"@odata.id": m["@odata.id"]} for m in members],
        }

    def _sensor(self, j: int) -> dict[str, object]:
        value = self.hall.read(self.signals[j])
        known = math.isfinite(value)
        measured = self.stuck_since or datetime.now(UTC)
        return {
            "@odata.type": "#Sensor.v1_7_0.Sensor",
            "@odata.id": f"{UNIT}/Sensors/{j}",
            "Name": self.signals[j],
            "Reading": value if known else None,
            "ReadingTime": measured.isoformat(timespec="seconds"),
            "Status": {
                "State": "Enabled" if known else "UnavailableOffline",
                "Health": "OK" if known else "Critical",
            },
        }

    def _control(self, lever: SimulatedLever) -> dict[str, object]:
        name = lever.lever
        return {
            "@odata.type": "#Control.v1_5_0.Control",
            "@odata.id": f"{UNIT}/Controls/{name}",
            "@odata.etag": f'W/"{self._versions[name]}"',
            "Name": name,
            "SetPoint": self._set_points[name],
            "AllowableMin": lever.low,
            "AllowableMax": lever.high,
            "DefaultSetPoint": lever.default,
            "ControlMode": self._modes[name],
            "Status": {"State": "Enabled", "Health": "OK"},
        }

    def _patch(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], object]:
        lever = next((v for v in self.levers if path == f"{UNIT}/Controls/{v.lever}"), None)
        if lever is None:
            raise RefusedError(405, "OperationNotAllowed", "the resource cannot be changed")
        control = self._control(lever)
        if "if-match" not in headers:
            raise RefusedError(428, "PreconditionRequired", "an If-Match header is required")
        if headers["if-match"] != control["@odata.etag"]:
            raise RefusedError(412, "PreconditionFailed", "the ETag did not match")
        changes = _checked_changes(lever, control, body)
        self._set_points[lever.lever] = float(changes.get("SetPoint", control["SetPoint"]))  # type: ignore[arg-type]
        self._modes[lever.lever] = str(changes.get("ControlMode", control["ControlMode"]))
        self._versions[lever.lever] += 1
        self.hall.write(lever.lever, self._set_points[lever.lever])
        return 204, {"etag": str(self._control(lever)["@odata.etag"])}, None

    @property
    def secrets(self) -> Mapping[str, str]:
        """Return the file with the password."""
        return {PASSWORD_FILE: f"{self.password}\n"}

    def point_map(self) -> str:
        """Return the point map that fits this service, as TOML."""
        lines = [
            'protocol = "redfish"\n',
            "[[devices]]",
            'name = "cdu-1"',
            f'url = "http://{self.host}:{self.port}"',
            f'uuid = "{UUID}"',
            f'username = "{USERNAME}"',
            f'password_file = "{PASSWORD_FILE}"\n',
        ]
        for lever in self.levers:
            lines += [
                "[[levers]]",
                f'lever = "{lever.lever}"',
                'device = "cdu-1"',
                f'resource = "{UNIT}/Controls/{lever.lever}"',
                f"low = {lever.low}",
                f"high = {lever.high}\n",
            ]
        for j, signal in enumerate(self.signals):
            lines += [
                "[[sensors]]",
                f'signal = "{signal}"',
                'device = "cdu-1"',
                f'resource = "{UNIT}/Sensors/{j}"\n',
            ]
        return "\n".join(lines)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _checked_changes(
    lever: SimulatedLever, control: dict[str, object], body: bytes
) -> dict[str, object]:
    """Return the properties to change; all are checked before any is."""
    try:
        changes = json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise RefusedError(400, "MalformedJSON", f"the body is not JSON: {error}") from error
    if not isinstance(changes, dict) or not changes:
        raise RefusedError(400, "MalformedJSON", "the body is not a JSON object with properties")
    for name, value in changes.items():
        if name not in control:
            raise RefusedError(400, "PropertyUnknown", f"the property {name} is not known")
        if name not in WRITABLE:
            raise RefusedError(400, "PropertyNotWritable", f"the property {name} is read-only")
        if name == "ControlMode" and value not in MODES:
            raise RefusedError(400, "PropertyValueNotInList", f"{value} is no control mode")
        if name == "SetPoint":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RefusedError(400, "PropertyValueTypeError", f"{value!r} is no number")
            if not lever.low <= value <= lever.high:
                raise RefusedError(
                    400,
                    "PropertyValueOutOfRange",
                    f"SetPoint {value} is not in the range {lever.low} to {lever.high}",
                )
    return changes


def _encoded(http: h11.Connection, status: int, headers: dict[str, str], body: object) -> bytes:
    """Return an answer as it goes over the wire."""
    data = b"" if body is None else json.dumps(body).encode()
    every = {
        "date": formatdate(usegmt=True),
        "odata-version": "4.0",
        "content-length": str(len(data)),
        "content-type": "application/json",
        **headers,
    }
    if status == 204:
        del every["content-length"], every["content-type"]
    events: list[h11.Event] = [h11.Response(status_code=status, headers=[*every.items()])]
    events += [h11.Data(data=data)] if data else []
    return b"".join(http.send(event) or b"" for event in [*events, h11.EndOfMessage()])
