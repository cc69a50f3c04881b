"""The simulation host advances the plant model; a cap set through NVML comes back as physics."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent.drivers.clocks_event_reasons import SW_POWER_CAP
from support.daemons import wait_for
from support.nvml_client import Gpu, NvmlClient

pytestmark = pytest.mark.slow

CONFIG = """
site = "lab-16"
seed = 1
start_time = "2025-07-15T12:00:00Z"
duration_s = 1e6
period_s = 5.0
frames_per_period = 5
hall_file = "hall"
ack_timeout_s = 0.0
start_timeout_s = 0.0
speed = 200.0
"""
CAP_W = 300.0
SETTLED_S = 300.0  # several time constants of a heat sink
GPUS = [Gpu(position) for position in range(4)]


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A laboratory that runs two hundred times as fast as real time."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "sim.toml").write_text(CONFIG)
    with (folder / "log").open("w") as log:
        host = subprocess.Popen(
            [sys.executable, "-m", "coolcap_agent", "sim", "--config", folder / "sim.toml"],
            stdout=log,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        )
    try:
        wait_for((folder / "hall").exists, "the host made no hall", patience_s=200)
        yield folder / "hall"
    finally:
        host.send_signal(signal.SIGTERM)
        host.wait(timeout=60)
    assert host.returncode == 0, (folder / "log").read_text()


@pytest.fixture
def lab(hall: Path) -> Iterator[NvmlClient]:
    client = NvmlClient(hall, "node-01")
    client.call("nvmlInit")
    yield client
    client.close()


def site_time_s(lab: NvmlClient) -> float:
    microseconds: int = lab.call("nvmlDeviceGetFieldValues", GPUS[0], [186])[0]["timestamp"]
    return microseconds / 1e6


def let_pass(lab: NvmlClient, duration_s: float) -> None:
    """Wait until so much site time is over."""
    end_s = site_time_s(lab) + duration_s
    wait_for(lambda: site_time_s(lab) >= end_s, "site time stands still")


def mean(lab: NvmlClient, function: str, *arguments: object) -> float:
    """Mean over the node's GPUs and ten instants a period apart: work comes and goes."""
    total = 0.0
    for _ in range(10):
        let_pass(lab, 5.0)
        total += sum(float(lab.call(function, gpu, *arguments)) for gpu in GPUS)
    return total / (10 * len(GPUS))


def test_cap_lowers_power_clock_and_temperature_and_its_end_brings_them_back(
    lab: NvmlClient,
) -> None:
    def look() -> dict[str, float]:
        let_pass(lab, SETTLED_S)
        return {
            "power_w": mean(lab, "nvmlDeviceGetPowerUsage") / 1000.0,
            "clock_mhz": mean(lab, "nvmlDeviceGetClockInfo", 1),
            "temp_c": mean(lab, "nvmlDeviceGetTemperature", 0),
        }

    before = look()
    for gpu in GPUS:
        lab.call("nvmlDeviceSetPowerManagementLimit", gpu, round(1000 * CAP_W))
    capped = look()
    reasons = [lab.call("nvmlDeviceGetCurrentClocksEventReasons", gpu) for gpu in GPUS]
    held_ns = [
        lab.call("nvmlDeviceGetFieldValues", gpu, [74])[0]["value"]["ullVal"] for gpu in GPUS
    ]
    for gpu in GPUS:
        limit_mw = lab.call("nvmlDeviceGetPowerManagementDefaultLimit", gpu)
        lab.call("nvmlDeviceSetPowerManagementLimit", gpu, limit_mw)
    after = look()

    assert before["power_w"] > 1.2 * CAP_W, "the laboratory has too little work for this test"
    assert capped["power_w"] <= 1.01 * CAP_W
    assert capped["clock_mhz"] < 0.8 * before["clock_mhz"]
    assert capped["temp_c"] < before["temp_c"] - 3.0
    assert any(mask & SW_POWER_CAP for mask in reasons)
    assert max(held_ns) > 0.5e9 * SETTLED_S
    for name, value in after.items():
        assert value == pytest.approx(before[name], rel=0.2)


def test_locked_clock_lowers_power_without_a_cap(lab: NvmlClient) -> None:
    for gpu in GPUS:
        lab.call("nvmlDeviceSetGpuLockedClocks", gpu, 345, 1200)
    let_pass(lab, 30.0)
    clocks_mhz = [lab.call("nvmlDeviceGetClockInfo", gpu, 1) for gpu in GPUS]
    locked_mw = mean(lab, "nvmlDeviceGetPowerUsage")
    for gpu in GPUS:
        lab.call("nvmlDeviceResetGpuLockedClocks", gpu)
    let_pass(lab, 30.0)

    assert max(clocks_mhz) <= 1200
    assert locked_mw < 0.9 * mean(lab, "nvmlDeviceGetPowerUsage")


def test_energy_counter_is_power_times_site_time(lab: NvmlClient) -> None:
    """At any speed: times of fields are site time, as the counter is."""

    def look() -> tuple[float, float]:
        value = lab.call("nvmlDeviceGetFieldValues", GPUS[1], [83])[0]
        return value["timestamp"] / 1e6, value["value"]["ullVal"] / 1000.0

    powers_w = []
    start_s, start_j = look()
    for _ in range(20):
        let_pass(lab, 5.0)
        powers_w.append(lab.call("nvmlDeviceGetPowerUsage", GPUS[1]) / 1000.0)
    end_s, end_j = look()

    assert (end_j - start_j) / (end_s - start_s) == pytest.approx(sum(powers_w) / 20, rel=0.1)
