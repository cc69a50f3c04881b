"""The OPC UA driver against a server on a real socket."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.drivers.cooling_suite import (
    LEVER,
    SIGNAL,
    FieldDriver,
    FieldDriverSuite,
    Rig,
    by_signal,
    make_driver,
)
from coolcap_agent.drivers.base import DeviceLost, DriverError, NotPermitted, ValueRefused
from coolcap_agent.drivers.opcua import make_cooling_driver
from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, FirstOrderHall
from coolcap_agent.plant_simulators.opcua_server import APPLICATION_URI, NAMESPACE, OpcuaServer
from coolcap_envs.contract.config import Table


@dataclass
class OpcuaRig(Rig):
    driver: FieldDriver
    server: OpcuaServer
    hall: FirstOrderHall

    @property
    def simulator(self) -> OpcuaServer:
        return self.server

    def override(self, lever: str, value: float) -> None:
        self.server.virtual.overridden = True
        self.server.virtual.hand[lever] = value
        self.server.virtual.cycle()

    def end_override(self, lever: str) -> None:
        self.server.virtual.overridden = False
        del self.server.virtual.hand[lever]

    def write_as_another(self, lever: str, value: float) -> None:
        self.server.put(lever, value)

    def set_mute(self, mute: bool) -> None:
        self.server.mute = mute


@pytest.fixture(scope="module")
def one_server() -> Iterator[OpcuaServer]:
    """One for all tests: building the address space takes seconds."""
    with OpcuaServer(FirstOrderHall()) as server:
        yield server


@pytest.fixture
def server(one_server: OpcuaServer) -> OpcuaServer:
    one_server.start()
    one_server.switch_on_again()
    assert isinstance(one_server.hall, FirstOrderHall)
    one_server.hall.replaced.clear()
    return one_server


def make(server: OpcuaServer, folder: Path, *, old: str = "", new: str = "") -> FieldDriver:
    """Make a driver for the server's own point map, with one text replaced in it."""
    text = server.point_map().replace('name = "plant"', 'name = "plant"\ntimeout_s = 0.5')
    assert old in text
    (folder / "points.toml").write_text(text.replace(old, new) if old else text, encoding="utf-8")
    return make_driver(make_cooling_driver, folder)


@pytest.fixture
def rig(server: OpcuaServer, tmp_path: Path) -> Iterator[OpcuaRig]:
    driver = make(server, tmp_path)
    driver.open()
    assert isinstance(server.hall, FirstOrderHall)
    yield OpcuaRig(driver, server, server.hall)
    server.mute = False
    driver.close()


class TestOpcua(FieldDriverSuite):
    """The shared suite."""

    def test_bad_quality_is_named(self, rig: OpcuaRig) -> None:
        rig.hall.replaced[SIGNAL] = math.nan

        assert by_signal(rig.driver.read())[SIGNAL].problem == "BadSensorFailure"

    def test_sensor_that_stopped_measuring_is_old_whatever_its_quality(self, rig: OpcuaRig) -> None:
        rig.server.stuck_since = datetime.now(UTC) - timedelta(seconds=60)

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert math.isnan(reading.value)
        assert "s old; at most 30 s" in reading.problem

    def test_value_without_a_time_is_unusable(self, rig: OpcuaRig) -> None:
        rig.server.stamped = False

        assert by_signal(rig.driver.read())[SIGNAL].problem == (
            "has no source time stamp: its age is unknown"
        )

    def test_time_ahead_of_ours_is_unusable(self, rig: OpcuaRig) -> None:
        rig.server.stuck_since = datetime.now(UTC) + timedelta(seconds=60)

        assert "synchronise the clocks" in by_signal(rig.driver.read())[SIGNAL].problem

    def test_polling_goes_on_by_itself_after_a_restart(self, rig: OpcuaRig) -> None:
        rig.driver.read()
        rig.server.restart()

        assert by_signal(rig.driver.read())[SIGNAL].value == pytest.approx(23.5)

    def test_every_lever_written_as_its_own_type(self, rig: OpcuaRig) -> None:
        """Enable is an Int16 and the heartbeat an Int32; a server takes no other type."""
        for lever in LEVERS:
            rig.driver.set_setpoint(lever.lever, value=lever.high)

        assert rig.server.virtual.enable == 1
        assert rig.server.virtual.heartbeat == len(LEVERS)


def test_server_that_sends_only_changes_is_timed_by_its_own_stamp(
    server: OpcuaServer, tmp_path: Path
) -> None:
    server.stuck_since = datetime.now(UTC) - timedelta(seconds=60)
    name = f's=Sensor.{SIGNALS.index(SIGNAL)}"'
    driver = make(server, tmp_path, old=name, new=f'{name}\ntime = "server"')
    driver.open()

    assert by_signal(driver.read())[SIGNAL].value == pytest.approx(23.5)

    driver.close()


def test_another_server_is_refused_when_opening(server: OpcuaServer, tmp_path: Path) -> None:
    driver = make(server, tmp_path, old=APPLICATION_URI, new="urn:another")

    with pytest.raises(DriverError, match=f"its URI is {APPLICATION_URI}, not urn:another"):
        driver.open()


def test_unknown_namespace_is_refused_with_the_known_ones(
    server: OpcuaServer, tmp_path: Path
) -> None:
    driver = make(server, tmp_path, old=f"{NAMESPACE};s=Sensor.0", new="urn:x;s=Sensor.0")

    with pytest.raises(DriverError, match=rf"no namespace 'urn:x'.*{NAMESPACE}"):
        driver.open()


def test_node_without_the_right_to_write_is_read_only(server: OpcuaServer, tmp_path: Path) -> None:
    followed = f"nsu={NAMESPACE};s=Followed.{LEVER}"
    text = server.point_map().replace(f'feedback = {{ node = "{followed}" }}\n', "")
    text = text.replace(f"nsu={NAMESPACE};s=Setpoint.{LEVER}", followed)
    (tmp_path / "points.toml").write_text(text, encoding="utf-8")
    driver = make_driver(make_cooling_driver, tmp_path)
    driver.open()

    with pytest.raises(NotPermitted, match="gives no right to write it"):
        driver.set_setpoint(LEVER, value=13.0)

    driver.close()


def test_device_refuses_what_the_map_wrongly_allows(server: OpcuaServer, tmp_path: Path) -> None:
    """The engineering range of the node narrows the map's."""
    driver = make(server, tmp_path, old="high = 20.0", new="high = 30.0")
    driver.open()

    with pytest.raises(ValueRefused, match="outside 6 to 20 °C"):
        driver.set_setpoint(LEVER, value=25.0)

    driver.close()


def test_absent_server_is_lost(tmp_path: Path) -> None:
    server = OpcuaServer(FirstOrderHall())  # never started

    with pytest.raises(DeviceLost, match="plant: no answer to connecting"):
        make(server, tmp_path).open()


def test_every_mistake_of_an_opcua_map_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(
        """
protocol = "opcua"
[[devices]]
name = "plant"
url = "http://10.20.0.31"
security = "Basic256"
[[sensors]]
signal = "dew_point_c"
device = "plant"
node = "ns=2;s=DewPoint"
time = "arrival"
""",
        encoding="utf-8",
    )
    options = Table({"points": "points.toml"}, path="driver.opcua", problems=[])

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    url, security, certificate, key, server, node, stamp = (
        p.removeprefix(f"{tmp_path}/points.toml: ") for p in options.problems
    )
    assert url.startswith("devices[0].url = 'http://10.20.0.31' is not allowed")
    assert security.startswith("devices[0].security = 'Basic256' is not allowed")
    assert certificate.startswith("devices[0].certificate_file is missing")
    assert key.startswith("devices[0].private_key_file is missing")
    assert server.startswith("devices[0].server_certificate_file is missing")
    assert node.startswith("sensors[0].node = 'ns=2;s=DewPoint' is not allowed: nsu=")
    assert stamp.startswith("sensors[0].time = 'arrival' is not allowed")


async def _make_certificate(folder: Path, name: str, uri: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.der", folder / f"{name}.key.pem"
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(
        key, certificate, uri, "127.0.0.1", uses, {"commonName": name}
    )
    return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    asyncio.run(_make_certificate(folder, "coolcap", "urn:coolcap:plant-agent"))
    asyncio.run(_make_certificate(folder, "plant", APPLICATION_URI))
    return folder


@pytest.fixture(scope="module")
def closed_server(certificates: Path) -> Iterator[OpcuaServer]:
    """A server that takes encrypted sessions only."""
    server = OpcuaServer(
        FirstOrderHall(),
        certificate_file=certificates / "plant.der",
        private_key_file=certificates / "plant.key.pem",
    )
    with server:
        yield server


def encrypted(server: OpcuaServer, certificates: Path, folder: Path, *, of: str) -> FieldDriver:
    keys = (
        'security = "Basic256Sha256"\n'
        f'certificate_file = "{certificates}/coolcap.der"\n'
        f'private_key_file = "{certificates}/coolcap.key.pem"\n'
        f'server_certificate_file = "{certificates}/{of}.der"'
    )
    driver = make(server, folder, old='security = "none"', new=keys)
    text = (folder / "points.toml").read_text(encoding="utf-8")
    (folder / "points.toml").write_text(text.replace("timeout_s = 0.5", "timeout_s = 4.0"))
    del driver
    return make_driver(make_cooling_driver, folder)


def test_signed_and_encrypted_session_reads_and_writes(
    closed_server: OpcuaServer, certificates: Path, tmp_path: Path
) -> None:
    driver = encrypted(closed_server, certificates, tmp_path, of="plant")
    driver.open()

    driver.set_setpoint(LEVER, value=13.0)

    assert driver.read_setpoint(LEVER) == pytest.approx(13.0)
    driver.close()


def test_server_with_another_certificate_is_not_talked_to(
    closed_server: OpcuaServer, certificates: Path, tmp_path: Path
) -> None:
    driver = encrypted(closed_server, certificates, tmp_path, of="coolcap")

    with pytest.raises(DriverError):
        driver.open()


def test_open_session_with_a_closed_server_is_refused(
    closed_server: OpcuaServer, tmp_path: Path
) -> None:
    with pytest.raises(DriverError):
        make(closed_server, tmp_path).open()
