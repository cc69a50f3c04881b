"""The host runs the shipped laboratory site, in this process and as one of its own."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.drivers.simulated import SimulatedCoolingDriver, SimulatedGpuDriver
from coolcap_agent.sim.config import SimConfig
from coolcap_agent.sim.hall_file import open_hall
from coolcap_agent.sim.hall_layout import State
from coolcap_agent.sim.host import SimulationHost
from coolcap_agent.sim.site_plant import account, load_site_plant
from coolcap_envs.contract.errors import ConfigError

pytestmark = pytest.mark.slow  # the plant model is compiled once per machine

START_S = 1_752_537_600.0  # 2025-07-15 00:00 UTC
NODES = ("node-01", "node-02", "node-03", "node-04")


def config(folder: Path, *, duration_s: float = 3600.0, weather: str | None = None) -> SimConfig:
    return SimConfig(
        site="lab-16",
        seed=5,
        weather=weather,
        start_time_s=START_S,
        duration_s=duration_s,
        hall_file=folder / "hall",
        ack_timeout_s=0.0,
    )


def test_energy_and_work_of_devices_are_those_of_the_plant_model(tmp_path: Path) -> None:
    settings = config(tmp_path)
    plant = load_site_plant(settings)
    host = SimulationHost(plant, plant.limits, settings)

    host.run()

    drivers = [SimulatedGpuDriver(settings.hall_file, node) for node in NODES]
    for driver in drivers:
        driver.open()
    exact = account(plant)
    assert exact["it_energy_kwh"] > 5.0
    it_energy_kwh = sum(driver.read_node().it_energy_kwh for driver in drivers)
    assert it_energy_kwh == pytest.approx(exact["it_energy_kwh"], rel=0.01)
    work_gpu_h = sum(
        driver.read_gpu(gpu.uuid).work_gpu_h for driver in drivers for gpu in driver.inventory()
    )
    assert work_gpu_h == pytest.approx(exact["work_gpu_h"], rel=1e-3)
    totals = host.summary()["totals"]
    assert isinstance(totals, dict)
    for name in ("it_energy_kwh", "cooling_energy_kwh", "facility_energy_kwh", "carbon_kg"):
        assert totals[name] == pytest.approx(exact[name], rel=1e-9)


def test_commands_of_drivers_reach_the_plant_model(tmp_path: Path) -> None:
    settings = config(tmp_path, duration_s=600.0)
    plant = load_site_plant(settings)
    host = SimulationHost(plant, plant.limits, settings)
    gpus = SimulatedGpuDriver(tmp_path / "hall", "node-03")
    gpus.open()
    uuid = gpus.inventory()[2].uuid
    gpus.set_power_limit(uuid, power_limit_w=300.0)
    cooling = SimulatedCoolingDriver(tmp_path / "hall")
    cooling.open()
    cooling.set_setpoint("supply_air_temp_setpoint_c", value=24.0)

    host.run()

    assert 0.0 < gpus.read_gpu(uuid).power_w < 310.0
    signals = {reading.signal: reading.value for reading in cooling.read()}
    assert signals["supply_air_temp_setpoint_c"] == 24.0
    assert signals["supply_air_temp_c"] > 22.0
    caps_w = plant.read_truth().group("power_limit_w")
    assert np.flatnonzero(caps_w == 300.0).tolist() == [10]


def test_unknown_weather_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="atlantis"):
        load_site_plant(config(tmp_path, weather="atlantis"))


def test_process_ends_in_good_order_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "sim.toml").write_text(
        """
        site = "lab-16"
        start_time = "2025-07-15T00:00:00Z"
        hall_file = "hall"
        summary_file = "truth.json"
        start_timeout_s = 60.0
        """
    )
    code = (
        "from pathlib import Path; from coolcap_agent.sim.config import read_sim_config; "
        "from coolcap_agent.sim.host import run_host; "
        "raise SystemExit(run_host(read_sim_config(Path('sim.toml'))))"
    )
    host = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        deadline_s = time.monotonic() + 120.0
        while not (tmp_path / "hall").exists() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        hall = open_hall(tmp_path / "hall", writable=False)
        assert hall.state is State.RUNNING
        host.send_signal(signal.SIGTERM)

        assert host.wait(timeout=30.0) == 0
    finally:
        host.kill()
        host.wait()
    assert (hall.state, hall.time_s()) == (State.ENDED, START_S)
    summary = json.loads((tmp_path / "truth.json").read_text())
    assert (summary["completed"], summary["totals"]["elapsed_s"]) == (False, 0.0)


def test_a_plan_of_faults_and_other_work_reach_the_plant_model(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        '[[events]]\nkind = "crah-trip"\nstart_s = 0\nduration_s = 86400\nvalue = 0.5\n',
        encoding="utf-8",
    )
    settings = replace(
        config(tmp_path, duration_s=60.0),
        fault_plan=str(tmp_path / "plan.toml"),
        workload="recorded-2023",
    )
    plant = load_site_plant(settings)

    SimulationHost(plant, plant.limits, settings).run()

    assert plant.read_truth().of_plant("crah_available_ratio") == 0.5


def test_faults_that_only_real_processes_can_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="agent-silence cannot be simulated beside agents"):
        load_site_plant(replace(config(tmp_path), fault_plan="standard"))


def test_everything_wrong_with_what_is_named_is_said_at_once(tmp_path: Path) -> None:
    settings = replace(
        config(tmp_path, weather="atlantis"), trace="csv:/none.csv", workload="friday"
    )

    with pytest.raises(ConfigError) as caught:
        load_site_plant(settings)

    for said in (
        "weather: ",
        "trace: /none.csv: cannot be read",
        "workload: friday: is no shipped",
    ):
        assert said in str(caught.value)
