"""Clocks, temperatures, utilisation and memory as NVML tells them."""

import pytest

from coolcap_agent.drivers.clocks_event_reasons import GPU_IDLE, SW_POWER_CAP, SW_THERMAL_SLOWDOWN
from coolcap_agent.sim.faults import set_fault
from support.nvml_client import Gpu, NvmlClient
from support.small_hall import SmallHall

INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 2, 3, 6
SM, MEMORY, VIDEO = 1, 2, 3


def show(small: SmallHall, **values: float) -> None:
    """Make the newest frame say ``values`` of the node's first GPU."""
    half = small.hall.published % 2
    for field, value in values.items():
        small.hall.table("gpu_reading")[field][half, 2] = value


def field(nvml: NvmlClient, number: int) -> int:
    value = nvml.call("nvmlDeviceGetFieldValues", Gpu(0), [number])[0]
    assert value["nvmlReturn"] == 0
    answer: int = value["value"][{1: "uiVal", 3: "ullVal", 5: "siVal"}[value["valueType"]]]
    return answer


def test_temperature_is_told_in_whole_degrees(small: SmallHall, nvml: NvmlClient) -> None:
    show(small, gpu_temp_c=63.7, hbm_temp_c=71.2)

    assert nvml.call("nvmlDeviceGetTemperature", Gpu(0), 0) == 64
    assert nvml.call("nvmlDeviceGetTemperatureV", Gpu(0), 0) == 64
    assert field(nvml, 82) == 71
    assert nvml.code("nvmlDeviceGetTemperature", Gpu(0), 1) == NOT_SUPPORTED
    assert nvml.code("nvmlDeviceGetTemperature", Gpu(0), 2) == INVALID_ARGUMENT


@pytest.mark.parametrize(("temp_c", "margin_k"), [(30.0, 57), (87.0, 0), (90.0, -3)])
def test_margin_is_what_is_left_until_the_highest_operating_temperature(
    small: SmallHall, nvml: NvmlClient, temp_c: float, margin_k: int
) -> None:
    """An H100 at 30 °C shows a T.Limit of 57 K in nvidia-smi."""
    show(small, gpu_temp_c=temp_c)

    assert nvml.call("nvmlDeviceGetMarginTemperature", Gpu(0)) == margin_k


def test_thresholds_are_fields_relative_to_the_highest_operating_temperature(
    nvml: NvmlClient,
) -> None:
    shutdown, slowdown, memory_max, gpu_max = (field(nvml, number) for number in range(193, 197))

    assert (shutdown, slowdown, memory_max, gpu_max) == (-8, -2, 0, 0)
    assert nvml.code("nvmlDeviceGetTemperatureThreshold", Gpu(0), 1) == NOT_SUPPORTED
    assert nvml.code("nvmlDeviceGetTemperatureThreshold", Gpu(0), 8) == INVALID_ARGUMENT


def test_clocks_are_told_by_domain(small: SmallHall, nvml: NvmlClient) -> None:
    show(small, sm_clock_mhz=1234.4)

    assert nvml.call("nvmlDeviceGetClockInfo", Gpu(0), SM) == 1234
    assert nvml.call("nvmlDeviceGetClockInfo", Gpu(0), MEMORY) == 2619
    assert nvml.call("nvmlDeviceGetMaxClockInfo", Gpu(0), SM) == 2000
    assert nvml.code("nvmlDeviceGetClockInfo", Gpu(0), VIDEO) == NOT_SUPPORTED
    assert nvml.code("nvmlDeviceGetClockInfo", Gpu(0), 4) == INVALID_ARGUMENT


def test_supported_clocks_go_down_from_the_highest_in_steps(nvml: NvmlClient) -> None:
    (memory_mhz,) = nvml.call("nvmlDeviceGetSupportedMemoryClocks", Gpu(0))
    clocks_mhz = nvml.call("nvmlDeviceGetSupportedGraphicsClocks", Gpu(0), memory_mhz)

    assert clocks_mhz == list(range(2000, 344, -15))
    assert nvml.code("nvmlDeviceGetSupportedGraphicsClocks", Gpu(0), 1) == NOT_FOUND


def test_locked_clock_reaches_the_plant_and_is_taken_back(
    small: SmallHall, nvml: NvmlClient
) -> None:
    limits_mhz = small.hall.table("gpu_control")["sm_clock_limit_mhz"]
    nvml.call("nvmlDeviceSetGpuLockedClocks", Gpu(0), 345, 1200)
    locked_mhz = float(limits_mhz[2])
    small.advance(30.0)
    seen_mhz = float(small.plant.asked[-1].sm_clock_max_mhz[2])
    nvml.call("nvmlDeviceResetGpuLockedClocks", Gpu(0))

    assert (locked_mhz, seen_mhz) == (1200.0, 1200.0)
    assert limits_mhz[2] != limits_mhz[2]


@pytest.mark.parametrize(("low_mhz", "high_mhz"), [(1300, 1200), (0, 200), (1000, 2001)])
def test_clock_range_the_gpu_does_not_have_is_an_invalid_argument(
    nvml: NvmlClient, low_mhz: int, high_mhz: int
) -> None:
    code = nvml.code("nvmlDeviceSetGpuLockedClocks", Gpu(0), low_mhz, high_mhz)

    assert code == INVALID_ARGUMENT


def test_reasons_for_a_lower_clock_are_those_of_the_frame(
    small: SmallHall, nvml: NvmlClient
) -> None:
    for reasons in (GPU_IDLE, SW_POWER_CAP | SW_THERMAL_SLOWDOWN):
        show(small, clocks_event_reasons=reasons)

        assert nvml.call("nvmlDeviceGetCurrentClocksEventReasons", Gpu(0)) == reasons
        assert nvml.call("nvmlDeviceGetCurrentClocksThrottleReasons", Gpu(0)) == reasons
    supported = nvml.call("nvmlDeviceGetSupportedClocksEventReasons", Gpu(0))
    assert reasons & supported == reasons


def test_time_at_the_cap_is_counted_in_nanoseconds(small: SmallHall, nvml: NvmlClient) -> None:
    show(small, sw_power_cap_s=12.5, sw_thermal_slowdown_s=0.25)

    assert [field(nvml, number) for number in (74, 75, 269)] == [12_500_000_000, *[250_000_000] * 2]
    assert [field(nvml, number) for number in (76, 270, 271)] == [0, 0, 0]
    held = nvml.call("nvmlDeviceGetViolationStatus", Gpu(0), 0)
    assert held == {"referenceTime": 1_000_000_000_000, "violationTime": 12_500_000_000}


def test_field_the_gpu_does_not_have_fails_alone(nvml: NvmlClient) -> None:
    values = nvml.call("nvmlDeviceGetFieldValues", Gpu(0), [91, 82, 100_000])

    assert [value["nvmlReturn"] for value in values] == [NOT_SUPPORTED, 0, NOT_SUPPORTED]


def test_utilisation_is_told_in_percent(small: SmallHall, nvml: NvmlClient) -> None:
    show(small, gpu_util_ratio=0.987, mem_util_ratio=0.42)

    rates = nvml.call("nvmlDeviceGetUtilizationRates", Gpu(0))

    assert rates == {"gpu": 99, "memory": 42}


def test_memory_is_that_of_the_model_and_empty(nvml: NvmlClient) -> None:
    total, reserved = 81559 << 20, 454 << 20

    first = nvml.call("nvmlDeviceGetMemoryInfo", Gpu(0))
    second = nvml.call("nvmlDeviceGetMemoryInfo", Gpu(0), 0x02000028)

    assert first == {"total": total, "free": total - reserved, "used": reserved}
    assert (second["reserved"], second["used"]) == (reserved, 0)
    assert second["total"] == second["free"] + second["reserved"]


def test_no_processes_run_on_simulated_gpus(nvml: NvmlClient) -> None:
    for kind in ("Compute", "Graphics", "MPSCompute"):
        assert nvml.call(f"nvmlDeviceGet{kind}RunningProcesses", Gpu(0)) == []
    assert nvml.code("nvmlDeviceGetProcessUtilization", Gpu(0), 0) == NOT_FOUND


def test_partitioned_gpu_has_a_mode_and_no_common_utilisation(
    small: SmallHall, nvml: NvmlClient
) -> None:
    assert nvml.call("nvmlDeviceGetMigMode", Gpu(0)) == [0, 0]
    set_fault(small.hall, "node-2/0", "mig")

    assert nvml.call("nvmlDeviceGetMigMode", Gpu(0)) == [1, 1]
    assert nvml.call("nvmlDeviceGetMigMode", Gpu(1)) == [0, 0]
    assert nvml.code("nvmlDeviceGetUtilizationRates", Gpu(0)) == NOT_SUPPORTED
    assert nvml.code("nvmlDeviceGetPowerUsage", Gpu(0)) == 0
    assert nvml.call("nvmlDeviceGetMaxMigDeviceCount", Gpu(0)) == 7
    assert nvml.code("nvmlDeviceGetMigDeviceHandleByIndex", Gpu(0), 0) == NOT_FOUND


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("nvmlDeviceGetFanSpeed", ()),
        ("nvmlDeviceGetDriverModel", ()),
        ("nvmlDeviceGetPcieThroughput", (0,)),
        ("nvmlDeviceGetBAR1MemoryInfo", ()),
        ("nvmlDeviceGetApplicationsClock", (1,)),
        ("nvmlDeviceSetMemoryLockedClocks", (2619, 2619)),
    ],
)
def test_what_the_simulation_lacks_is_not_supported(
    nvml: NvmlClient, function: str, arguments: tuple[int, ...]
) -> None:
    assert nvml.code(function, Gpu(0), *arguments) == NOT_SUPPORTED


def test_function_the_library_lacks_is_not_found_by_the_binding(nvml: NvmlClient) -> None:
    assert nvml.code("nvmlDeviceGetRetiredPages", Gpu(0), 0) == 13
