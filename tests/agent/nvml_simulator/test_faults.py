"""What clients of NVML see of each fault, in processes that run already."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.sim.faults import advance_faults, clear_faults, set_fault
from support.nvml_client import Gpu, NvmlClient
from support.small_hall import SmallHall

NO_PERMISSION, TIMEOUT, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH = 4, 10, 15, 16, 18
FIRST = "node-2/0"
READS = (
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetPersistenceMode",
)


@pytest.mark.parametrize(
    ("fault", "code"), [("gpu-lost", GPU_IS_LOST), ("reset-required", RESET_REQUIRED)]
)
def test_gpu_that_answers_no_more_fails_every_call_and_the_other_none(
    small: SmallHall, nvml: NvmlClient, fault: str, code: int
) -> None:
    assert [nvml.code(read, Gpu(0)) for read in READS] == [0] * len(READS)
    set_fault(small.hall, FIRST, fault)

    assert [nvml.code(read, Gpu(0)) for read in READS] == [code] * len(READS)
    assert nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), 300_000) == code
    assert [nvml.code(read, Gpu(1)) for read in READS] == [0] * len(READS)
    assert nvml.call("nvmlDeviceGetCount") == 2


def test_lost_gpu_gives_no_handle_and_comes_back_when_the_fault_ends(
    small: SmallHall, nvml: NvmlClient
) -> None:
    uuid = nvml.call("nvmlDeviceGetUUID", Gpu(0))
    set_fault(small.hall, uuid, "gpu-lost")

    assert nvml.code("nvmlDeviceGetHandleByIndex", 0) == GPU_IS_LOST
    assert nvml.code("nvmlDeviceGetHandleByUUID", uuid) == GPU_IS_LOST
    assert nvml.code("nvmlDeviceGetName", Gpu(0)) == GPU_IS_LOST
    clear_faults(small.hall, uuid)
    assert nvml.code("nvmlDeviceGetHandleByUUID", uuid) == 0
    assert nvml.code("nvmlDeviceGetPowerUsage", Gpu(0)) == 0


def test_missing_right_refuses_writes_only(small: SmallHall, nvml: NvmlClient) -> None:
    set_fault(small.hall, FIRST, "no-permission")
    writes: dict[str, tuple[int, ...]] = {
        "nvmlDeviceSetPowerManagementLimit": (300_000,),
        "nvmlDeviceSetPersistenceMode": (0,),
        "nvmlDeviceSetGpuLockedClocks": (0, 1200),
        "nvmlDeviceResetGpuLockedClocks": (),
    }

    codes = [nvml.code(write, Gpu(0), *arguments) for write, arguments in writes.items()]

    assert codes == [NO_PERMISSION] * 4
    assert nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)) == 500_000
    assert nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(1), 300_000) == 0


def test_ignored_set_reports_success_and_only_reading_back_tells(
    small: SmallHall, nvml: NvmlClient
) -> None:
    set_fault(small.hall, FIRST, "ignored-set")

    assert nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), 300_000) == 0
    assert nvml.code("nvmlDeviceSetPersistenceMode", Gpu(0), 0) == 0
    assert nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)) == 500_000
    assert nvml.call("nvmlDeviceGetPersistenceMode", Gpu(0)) == 1


def test_call_that_hangs_fails_after_its_time(small: SmallHall, nvml: NvmlClient) -> None:
    nvml.call("nvmlDeviceGetPowerUsage", Gpu(0))
    set_fault(small.hall, FIRST, "hang", value=0.3)
    start_s = time.monotonic()

    code = nvml.code("nvmlDeviceGetPowerUsage", Gpu(0))

    assert code == TIMEOUT
    assert time.monotonic() - start_s >= 0.3


def test_gpu_lost_while_a_call_hangs_is_lost(small: SmallHall, nvml: NvmlClient) -> None:
    nvml.call("nvmlDeviceGetPowerUsage", Gpu(0))
    set_fault(small.hall, FIRST, "hang", value=0.1)
    set_fault(small.hall, FIRST, "gpu-lost")

    assert nvml.code("nvmlDeviceGetPowerUsage", Gpu(0)) == GPU_IS_LOST


def test_hanging_gpu_delays_no_other_and_its_call_goes_on_when_the_fault_ends(
    small: SmallHall,
) -> None:
    """One thread would hang for an hour; it does while another reads a thousand times."""
    set_fault(small.hall, FIRST, "hang", value=3600.0)
    script = """
import threading, pynvml
pynvml.nvmlInit()
first, second = (pynvml.nvmlDeviceGetHandleByIndex(i) for i in (0, 1))
done = []
hanging = threading.Thread(target=lambda: done.append(pynvml.nvmlDeviceGetPowerUsage(first)))
hanging.start()
for _ in range(1000):
    pynvml.nvmlDeviceGetPowerUsage(second)
print(len(done), flush=True)
hanging.join()
print(len(done))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=client_environment(small.path, "node-2"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        while_hanging = output.readline()
        clear_faults(small.hall, FIRST)
        after = output.readline()
    process.wait(timeout=30)

    assert (while_hanging, after) == ("0\n", "1\n")


def test_slow_driver_takes_its_time_and_answers(small: SmallHall, nvml: NvmlClient) -> None:
    nvml.call("nvmlDeviceGetPowerUsage", Gpu(0))
    set_fault(small.hall, FIRST, "slow", value=0.1)
    start_s = time.monotonic()

    assert nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), 300_000) == 0
    assert time.monotonic() - start_s >= 0.1


def test_upgraded_driver_refuses_programs_that_start_now(
    small: SmallHall, nvml: NvmlClient, start_client: Callable[[Path], NvmlClient]
) -> None:
    set_fault(small.hall, FIRST, "driver-mismatch")

    assert start_client(small.path).code("nvmlInit") == VERSION_MISMATCH
    assert nvml.code("nvmlDeviceGetPowerUsage", Gpu(0)) == 0


def test_reloaded_driver_has_lost_limit_lock_and_energy_counter(
    small: SmallHall, nvml: NvmlClient
) -> None:
    nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 300_000)
    nvml.call("nvmlDeviceSetGpuLockedClocks", Gpu(0), 0, 1200)
    small.advance(10.0)
    before_mj = nvml.call("nvmlDeviceGetTotalEnergyConsumption", Gpu(0))
    set_fault(small.hall, FIRST, "driver-reload")
    after_mj = nvml.call("nvmlDeviceGetTotalEnergyConsumption", Gpu(0))
    small.advance(10.0)

    assert (before_mj, after_mj) == (3_000_000, 0)
    assert nvml.call("nvmlDeviceGetTotalEnergyConsumption", Gpu(0)) == 4_000_000
    assert nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)) == 500_000
    assert nvml.call("nvmlDeviceGetPersistenceMode", Gpu(0)) == 0
    assert small.plant.asked[-1].sm_clock_max_mhz[2] != 1200.0


def test_foreign_manager_puts_its_limit_back_after_every_set(
    small: SmallHall, nvml: NvmlClient
) -> None:
    set_fault(small.hall, FIRST, "foreign-manager", value=450.0)
    seen = []
    for _ in range(2):
        nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 200_000)
        seen.append(nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)))
        advance_faults(small.hall)
        seen.append(nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)))

    assert seen == [200_000, 450_000] * 2
