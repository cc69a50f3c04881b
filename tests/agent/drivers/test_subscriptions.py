"""Changes between polls arrive by themselves; polls stay the truth when they do not."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from coolcap_agent.drivers.base import CoolingDriver, DeviceLost
from coolcap_agent.plant_simulators.bacnet_device import BacnetDevice, free_udp_port
from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.opcua_server import OpcuaServer
from coolcap_envs.contract.config import Table
from support.daemons import wait_for

SIGNAL = "outdoor_temp_c"


@dataclass
class Bench:
    """A device that tells changes, and a driver that polls it as rarely as the test says."""

    device: BacnetDevice | OpcuaServer
    hall: FirstOrderHall
    folder: Path

    def driver(self, *, poll_period_s: float) -> CoolingDriver:
        protocol = self.device.protocol
        self.device.write_point_map(self.folder / "points.toml")
        text = (self.folder / "points.toml").read_text()
        (self.folder / "points.toml").write_text(
            text.replace(f'signal = "{SIGNAL}"', f'signal = "{SIGNAL}"\nage_max_s = 3600.0')
        )
        options: dict[str, object] = {"points": "points.toml", "poll_period_s": poll_period_s}
        if protocol == "bacnet":
            options["interface"] = f"127.0.0.1:{free_udp_port('127.0.0.1')}"
            options["device_instance"] = 4000
        table = Table(options, path="driver", problems=[])
        module = import_module(f"coolcap_agent.drivers.{protocol}")
        driver: CoolingDriver = module.make_cooling_driver(
            table, plant_id="plant", folder=self.folder
        )
        assert table.problems == []
        return driver


@pytest.fixture(params=["bacnet", "opcua"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    hall = FirstOrderHall()
    device = BacnetDevice(hall) if request.param == "bacnet" else OpcuaServer(hall)
    with device:
        yield Bench(device, hall, tmp_path)


def value_of(driver: CoolingDriver) -> float:
    return next(r.value for r in driver.read() if r.signal == SIGNAL)


def test_change_arrives_between_polls(bench: Bench) -> None:
    driver = bench.driver(poll_period_s=3600.0)
    driver.open()
    try:
        before = value_of(driver)
        bench.hall.replaced[SIGNAL] = 31.5
        wait_for(lambda: value_of(driver) == 31.5, "the change was not told")
    finally:
        driver.close()

    assert before == 18.0


def test_poll_finds_what_a_dead_subscription_did_not_tell(bench: Bench) -> None:
    bench.device.tells_changes = False
    driver = bench.driver(poll_period_s=0.5)
    driver.open()
    try:
        value_of(driver)
        bench.hall.replaced[SIGNAL] = 31.5
        wait_for(lambda: value_of(driver) == 31.5, "the poll did not find the change")
    finally:
        driver.close()


def test_device_that_was_away_is_subscribed_to_anew(bench: Bench) -> None:
    driver = bench.driver(poll_period_s=3600.0)
    driver.open()
    lever = driver.levers()[0].name

    def answers() -> bool:
        try:
            driver.read_lever(lever)
        except DeviceLost:
            return False
        return True

    try:
        value_of(driver)
        bench.device.stop()
        wait_for(lambda: not answers(), "the device is not missed")
        bench.device.start()
        wait_for(answers, "the device is not found again")
        value_of(driver)
        bench.hall.replaced[SIGNAL] = 31.5
        wait_for(lambda: value_of(driver) == 31.5, "the change was not told")
    finally:
        driver.close()
