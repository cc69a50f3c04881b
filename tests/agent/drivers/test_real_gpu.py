"""The read path and the report of rights on the real NVIDIA GPUs of this host.

Nothing here sets a limit, a clock or a mode: every function of NVML that could is out of reach.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pynvml
import pytest

from coolcap_agent import certs
from coolcap_agent.drivers.base import DriverError, NotCommandable
from coolcap_agent.drivers.nvml import NvmlDriver

pytestmark = pytest.mark.gpu

HARMLESS = ("nvmlEventSetCreate", "nvmlEventSetWait_v2", "nvmlEventSetFree")


class ReadOnlyNvml(ModuleType):
    """``pynvml`` without anything that changes a device."""

    def __getattr__(self, name: str) -> Any:
        changes = any(word in name for word in ("Set", "Reset", "Clear"))
        if name.startswith("nvml") and changes and name not in HARMLESS:
            raise AssertionError(f"{name} changes a device, and a test of this file called it")
        return getattr(pynvml, name)


@pytest.fixture(scope="module")
def driver() -> Iterator[NvmlDriver]:
    driver = NvmlDriver(ReadOnlyNvml("pynvml"))
    try:
        driver.open()
    except DriverError as error:
        pytest.skip(f"no real NVIDIA GPU here: {error}")
    yield driver
    driver.close()


def test_guard_of_these_tests_lets_no_setter_through(driver: NvmlDriver) -> None:
    gpu = driver.inventory()[0]

    with pytest.raises(AssertionError, match="changes a device"):
        driver.set_power_limit(gpu.uuid, power_limit_w=gpu.power_limit_max_w)


def test_inventory_names_every_gpu_with_its_range(driver: NvmlDriver) -> None:
    gpus = driver.inventory()

    assert [gpu.index for gpu in gpus] == sorted({gpu.index for gpu in gpus})
    for gpu in gpus:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.model
        if not gpu.read_only_reason:
            assert 0.0 < gpu.power_limit_min_w <= gpu.power_limit_max_w
            low_w, high_w = gpu.power_limit_min_w, gpu.power_limit_max_w
            assert low_w <= gpu.power_limit_default_w <= high_w
        if math.isfinite(gpu.sm_clock_min_mhz):
            assert gpu.sm_clock_min_mhz < gpu.sm_clock_max_mhz


def test_readings_are_plausible_and_energy_agrees_with_power(driver: NvmlDriver) -> None:
    for gpu in driver.inventory():
        first = driver.read_gpu(gpu.uuid)
        time.sleep(1.2)  # the device's own counter and clock
        second = driver.read_gpu(gpu.uuid)

        assert 0.0 < second.gpu_temp_c < 110.0
        assert 0.0 < second.power_w < 2000.0
        assert not second.sm_clock_mhz > gpu.sm_clock_max_mhz
        assert not second.power_limit_enforced_w > second.power_limit_requested_w + 0.5
        if math.isfinite(first.energy_kwh):
            used_kwh = second.energy_kwh - first.energy_kwh
            span_s = second.measure_time_s - first.measure_time_s
            assert used_kwh * 3.6e6 / span_s == pytest.approx(second.power_w, rel=0.2, abs=5.0)
        if math.isfinite(second.temp_margin_k):
            assert -20.0 < second.temp_margin_k < 100.0


def test_reading_takes_far_less_than_a_sampling_period(driver: NvmlDriver) -> None:
    uuid = driver.inventory()[0].uuid
    driver.read_gpu(uuid)
    begin_s = time.perf_counter()
    for _ in range(10):
        driver.read_gpu(uuid)

    assert (time.perf_counter() - begin_s) / 10 < 0.2


def test_rights_are_reported_and_fit_what_the_inventory_says(driver: NvmlDriver) -> None:
    rights = driver.rights()

    assert isinstance(rights["cap_sys_admin"], bool)
    assert rights["device_node_owner_uid"] is not None
    for gpu in driver.inventory():
        if rights["missing"]:
            assert gpu.read_only_reason
        else:
            assert gpu.read_only_reason == "" or "module" in gpu.read_only_reason


def test_clock_ceilings_are_refused_where_there_are_none(driver: NvmlDriver) -> None:
    for gpu in driver.inventory():
        if math.isnan(gpu.sm_clock_min_mhz):
            with pytest.raises((NotCommandable, DriverError)):
                driver.set_sm_clock_max(gpu.uuid, sm_clock_max_mhz=gpu.sm_clock_max_mhz)


def test_one_reading_by_the_command_needs_no_daemon(driver: NvmlDriver, tmp_path: Path) -> None:
    pki = certs.make_pki(tmp_path / "pki", agents=["gpu-host"])
    files = pki.files("gpu-host")
    config = tmp_path / "node.toml"
    config.write_text(
        f'node_id = "gpu-host"\nstate_dir = "state"\nread_only = true\n[server]\n'
        f'certificate_file = "{files.certificate}"\nkey_file = "{files.key}"\n'
        f'ca_file = "{files.ca}"\n[driver]\nname = "nvml"\n'
    )

    done = subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "node", "--config", config, "--once", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {gpu["gpu_uuid"] for gpu in told["telemetry"]["gpus"]} == {
        gpu.uuid for gpu in driver.inventory()
    }
    assert "cap_sys_admin" in told["rights"]
