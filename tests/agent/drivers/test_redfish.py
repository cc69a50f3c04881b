"""The Redfish driver against a service on a real socket."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
from coolcap_agent.drivers.redfish import make_cooling_driver
from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.redfish_cdu import (
    PASSWORD,
    UNIT,
    UUID,
    RedfishCdu,
    RefusedError,
)
from coolcap_envs.contract.config import Table


@dataclass
class RedfishRig(Rig):
    driver: FieldDriver
    cdu: RedfishCdu
    hall: FirstOrderHall

    @property
    def simulator(self) -> RedfishCdu:
        return self.cdu

    def override(self, lever: str, value: float) -> None:
        self.cdu.put(lever, value, mode="Override")

    def end_override(self, lever: str) -> None:
        self.cdu.put(lever, 10.0)

    def write_as_another(self, lever: str, value: float) -> None:
        self.cdu.put(lever, value)

    def set_mute(self, mute: bool) -> None:
        self.cdu.mute = mute


def make(cdu: RedfishCdu, folder: Path, *, old: str = "", new: str = "") -> FieldDriver:
    """Make a driver for the service's own point map, with one text replaced in it."""
    text = cdu.point_map().replace('name = "cdu-1"', 'name = "cdu-1"\ntimeout_s = 0.5')
    assert old in text
    (folder / "points.toml").write_text(text.replace(old, new) if old else text, encoding="utf-8")
    (folder / "cdu-1.password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    return make_driver(make_cooling_driver, folder)


@pytest.fixture
def cdu() -> Iterator[RedfishCdu]:
    with RedfishCdu(FirstOrderHall()) as cdu:
        yield cdu


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RedfishRig]:
    hall = FirstOrderHall()
    with RedfishCdu(hall) as cdu:
        driver = make(cdu, tmp_path)
        driver.open()
        yield RedfishRig(driver, cdu, hall)
        driver.close()


def _only_sensors(real: Callable[..., object]) -> Callable[..., object]:
    def collection(cdu: RedfishCdu, path: str, *, expand: bool) -> object:
        if path.endswith("Controls"):
            raise RefusedError(404, "ResourceMissingAtURI", "there is no such collection")
        return real(cdu, path, expand=expand)

    return collection


class TestRedfish(FieldDriverSuite):
    """The shared suite."""

    def test_pumps_are_never_stopped(self, rig: RedfishRig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.driver.read()
        rig.driver.release(LEVER)
        rig.driver.close()

        assert rig.cdu.set_mode_count == 0

    def test_write_goes_through_when_only_the_etag_has_changed(
        self, rig: RedfishRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Services give a new ETag with every reading."""
        real_patch = rig.cdu._patch

        def patch_after_a_touch(*args: object) -> object:
            monkeypatch.setattr(rig.cdu, "_patch", real_patch)
            rig.cdu.touch(LEVER)
            return real_patch(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(rig.cdu, "_patch", patch_after_a_touch)

        rig.driver.set_setpoint(LEVER, value=13.0)

        assert rig.hall.written[LEVER] == 13.0

    def test_write_stops_when_another_client_was_faster(
        self, rig: RedfishRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real_patch = rig.cdu._patch

        def patch_after_another(*args: object) -> object:
            rig.cdu.put(LEVER, 17.0)
            return real_patch(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(rig.cdu, "_patch", patch_after_another)

        with pytest.raises(ValueRefused, match="another client changed it from 10 to 17 just now"):
            rig.driver.set_setpoint(LEVER, value=13.0)

        assert rig.hall.written[LEVER] == 17.0

    def test_sensor_that_stopped_measuring_is_old(self, rig: RedfishRig) -> None:
        rig.cdu.stuck_since = datetime.now(UTC) - timedelta(seconds=60)

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert math.isnan(reading.value)
        assert "s old; at most 30 s" in reading.problem

    def test_busy_service_is_lost_and_comes_back(self, rig: RedfishRig) -> None:
        rig.cdu.busy = True
        with pytest.raises(DeviceLost, match="503 try again in 5 seconds"):
            rig.driver.set_setpoint(LEVER, value=13.0)
        rig.cdu.busy = False

        rig.driver.set_setpoint(LEVER, value=13.0)

        assert rig.hall.written[LEVER] == 13.0

    def test_service_that_cannot_expand_is_read_resource_by_resource(self, rig: RedfishRig) -> None:
        rig.driver.read()
        expanded = rig.cdu.expand_count
        rig.cdu.can_expand = False
        rig.driver.close()
        rig.driver.open()

        readings = rig.driver.read()

        assert expanded == 2
        assert rig.cdu.expand_count == expanded
        assert [r.problem for r in readings] == [""] * len(readings)

    def test_collection_that_cannot_be_expanded_does_not_stop_the_others(
        self, rig: RedfishRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RedfishCdu, "_collection", _only_sensors(RedfishCdu._collection))

        readings = rig.driver.read() and rig.driver.read()

        assert rig.cdu.expand_count == 2
        assert [r.problem for r in readings] == [""] * len(readings)


def test_another_service_is_refused_when_opening(cdu: RedfishCdu, tmp_path: Path) -> None:
    driver = make(cdu, tmp_path, old=UUID, new="another")

    with pytest.raises(DriverError, match=f"is another device: .* {UUID}, not another"):
        driver.open()


def test_wrong_password_is_refused_when_opening(cdu: RedfishCdu, tmp_path: Path) -> None:
    cdu.password = "changed"

    with pytest.raises(NotPermitted, match="401 there is no valid session"):
        make(cdu, tmp_path).open()


def test_missing_password_file_is_named(cdu: RedfishCdu, tmp_path: Path) -> None:
    driver = make(cdu, tmp_path)
    (tmp_path / "cdu-1.password").unlink()

    with pytest.raises(DriverError, match=r"cannot read .*cdu-1\.password: No such file"):
        driver.open()


def test_set_point_of_anything_but_a_control_is_read_only(cdu: RedfishCdu, tmp_path: Path) -> None:
    driver = make(cdu, tmp_path, old=f"{UNIT}/Controls/{LEVER}", new=UNIT)
    driver.open()

    with pytest.raises(NotPermitted, match="only SetPoint of a Control is written"):
        driver.set_setpoint(LEVER, value=13.0)

    driver.close()


def test_absent_service_is_lost(cdu: RedfishCdu, tmp_path: Path) -> None:
    driver = make(cdu, tmp_path)
    cdu.stop()

    with pytest.raises(DeviceLost, match="GET /redfish/v1/ got no answer"):
        driver.open()


def test_every_mistake_of_a_redfish_map_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text(
        """
protocol = "redfish"
[[devices]]
name = "cdu-1"
url = "http://10.20.0.21"
username = "coolcap"
[[levers]]
lever = "cdu_supply_temp_setpoint_c"
device = "cdu-1"
resource = "/api/setpoint"
property = "ControlMode"
low = 20.0
high = 40.0
""",
        encoding="utf-8",
    )
    options = Table({"points": "points.toml"}, path="driver.redfish", problems=[])

    make_cooling_driver(options, plant_id="p", folder=tmp_path)

    assert [p.removeprefix(f"{tmp_path}/points.toml: ") for p in options.problems] == [
        "devices[0].url = 'http://10.20.0.21' is not allowed: plain http only on this host",
        "devices[0].password_file is missing: a text is needed",
        "levers[0].resource = '/api/setpoint' is not allowed: a path in /redfish/v1/",
        "unknown key 'levers[0].property'",
    ]
