"""The simulators as processes, in front of a hall of their own or a shared one."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coolcap_agent.drivers.modbus import make_cooling_driver
from coolcap_envs.contract.config import Table
from support.small_hall import SmallHall

Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    processes: list[subprocess.Popen[str]] = []

    def start(protocol: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "coolcap_agent.plant_simulators", protocol, *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"serving {protocol} on 127.0.0.1:")
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_simulator_serves_until_told_to_stop(serve: Serve, tmp_path: Path) -> None:
    process = serve("redfish", "--points", "points.toml")

    process.send_signal(signal.SIGTERM)

    assert process.wait(10.0) == 0
    assert (tmp_path / "points.toml").read_text().startswith('protocol = "redfish"')
    assert (tmp_path / "cdu-1.password").stat().st_mode & 0o077 == 0


def test_shared_hall_can_stand_behind_a_simulator(serve: Serve, tmp_path: Path) -> None:
    """A setpoint goes through the PLC into the hall, and the hall's readings come back."""
    small = SmallHall.create(tmp_path / "hall.bin")
    serve("modbus", "--points", "points.toml", "--hall", "hall.bin")
    options = Table({"points": "points.toml"}, path="driver.modbus", problems=[])
    driver = make_cooling_driver(options, plant_id="plant", folder=tmp_path)
    driver.open()

    driver.set_setpoint("supply_air_temp_setpoint_c", value=22.0)
    readings = {reading.signal: reading.value for reading in driver.read()}
    driver.close()

    assert options.problems == []
    assert small.hall.table("lever_control")["commanded"][0] == 22.0
    assert readings["inlet_temp_max_c"] == pytest.approx(22.0)
    assert "cdu_supply_temp_c" not in readings
