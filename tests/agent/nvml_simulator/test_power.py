"""Power and its limit, as NVML tells and takes them: milliwatts, ranges, two limits, energy."""

import math

import pytest

from coolcap_agent.sim.faults import set_fault
from support.nvml_client import Gpu, NvmlClient
from support.small_hall import DEMAND_W, SmallHall

INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, VERSION_MISMATCH = 2, 3, 4, 25
AVERAGE, INSTANT, LOW, HIGH, DEFAULT, ENFORCED, ENERGY, REQUESTED = 185, 186, *range(187, 193)


def requested_w(small: SmallHall) -> list[float]:
    """The limits of the node's two GPUs as the hall holds them."""
    return [float(w) for w in small.hall.table("gpu_control")["power_limit_requested_w"][2:]]


def fields(nvml: NvmlClient, *ids: int | tuple[int, int], gpu: int = 0) -> list[int | None]:
    """Values of fields, None where the GPU does not have one."""
    values = nvml.call("nvmlDeviceGetFieldValues", Gpu(gpu), list(ids))
    member = {1: "uiVal", 3: "ullVal", 5: "siVal"}
    return [
        None if value["nvmlReturn"] else value["value"][member[value["valueType"]]]
        for value in values
    ]


def test_limit_set_through_nvml_lowers_power_in_the_plant(
    small: SmallHall, nvml: NvmlClient
) -> None:
    nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 150_000)
    small.advance(5.0)

    power_mw = [nvml.call("nvmlDeviceGetPowerUsage", Gpu(position)) for position in (0, 1)]

    assert requested_w(small) == [150.0, 500.0]
    assert power_mw[0] == pytest.approx(150_000, rel=0.02)
    assert power_mw[1] == 1000 * DEMAND_W


def test_energy_grows_by_power_times_time_in_millijoules(
    small: SmallHall, nvml: NvmlClient
) -> None:
    before_mj = nvml.call("nvmlDeviceGetTotalEnergyConsumption", Gpu(0))
    small.advance(10.0)
    after_mj = nvml.call("nvmlDeviceGetTotalEnergyConsumption", Gpu(0))

    assert after_mj - before_mj == pytest.approx(1000 * DEMAND_W * 10.0)
    assert fields(nvml, 83, ENERGY) == [after_mj, after_mj]


def test_average_follows_over_a_second_and_instant_at_once(
    small: SmallHall, nvml: NvmlClient
) -> None:
    nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 200_000)
    small.advance(0.1)
    soon = fields(nvml, INSTANT, AVERAGE)
    for _ in range(50):
        small.advance(0.1)
    late = fields(nvml, INSTANT, AVERAGE)

    assert soon[0] == 200_000
    assert soon[1] is not None
    assert 360_000 < soon[1] < 400_000
    assert late[0] == 200_000
    assert late[1] == pytest.approx(200_000, rel=0.01)


def test_range_default_and_both_limits_are_told_alike_by_functions_and_fields(
    nvml: NvmlClient,
) -> None:
    nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 321_000)

    assert nvml.call("nvmlDeviceGetPowerManagementLimitConstraints", Gpu(0)) == [100_000, 500_000]
    assert nvml.call("nvmlDeviceGetPowerManagementDefaultLimit", Gpu(0)) == 500_000
    assert nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)) == 321_000
    assert nvml.call("nvmlDeviceGetEnforcedPowerLimit", Gpu(0)) == 321_000
    assert fields(nvml, LOW, HIGH, DEFAULT, ENFORCED, REQUESTED) == [
        *(100_000, 500_000, 500_000),
        *(321_000, 321_000),
    ]


@pytest.mark.parametrize("limit_mw", [100_000, 500_000])
def test_ends_of_the_range_are_accepted(small: SmallHall, nvml: NvmlClient, limit_mw: int) -> None:
    assert nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), limit_mw) == 0
    assert requested_w(small)[0] == limit_mw / 1000


@pytest.mark.parametrize("limit_mw", [0, 99_999, 500_001, 2**32 - 1])
def test_limit_outside_the_range_is_an_invalid_argument(
    small: SmallHall, nvml: NvmlClient, limit_mw: int
) -> None:
    code = nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), limit_mw)

    assert code == INVALID_ARGUMENT
    assert requested_w(small)[0] == 500.0


def test_limit_others_impose_is_enforced_and_not_what_was_requested(
    small: SmallHall, nvml: NvmlClient
) -> None:
    set_fault(small.hall, "node-2/0", "out-of-band-limit", value=250.0)
    nvml.call("nvmlDeviceSetPowerManagementLimit", Gpu(0), 400_000)
    small.advance(5.0)

    assert nvml.call("nvmlDeviceGetPowerManagementLimit", Gpu(0)) == 400_000
    assert nvml.call("nvmlDeviceGetEnforcedPowerLimit", Gpu(0)) == 250_000
    assert fields(nvml, ENFORCED, REQUESTED) == [250_000, 400_000]
    assert fields(nvml, INSTANT) == [250_000]


def test_second_version_of_the_setter_sets_too(small: SmallHall, nvml: NvmlClient) -> None:
    nvml.call("nvmlDeviceSetPowerManagementLimit_v2", Gpu(0), 0, 300_000)

    assert requested_w(small)[0] == 300.0


@pytest.mark.parametrize(
    ("scope", "limit_mw", "version"),
    [(1, 300_000, 0x0200000C), (0, 50_000, 0x0200000C), (0, 300_000, 1)],
)
def test_python_binding_hides_what_the_second_version_refuses(
    small: SmallHall, nvml: NvmlClient, scope: int, limit_mw: int, version: int
) -> None:
    """nvidia-ml-py drops the return code; only reading back tells. The agent uses the first."""
    code = nvml.code("nvmlDeviceSetPowerManagementLimit_v2", Gpu(0), scope, limit_mw, version)

    assert code == 0
    assert requested_w(small)[0] == 500.0


def test_limit_of_a_module_is_refused_for_the_gpu_alone(small: SmallHall, nvml: NvmlClient) -> None:
    set_fault(small.hall, "node-2/0", "module-scope")

    refused = nvml.code("nvmlDeviceSetPowerManagementLimit", Gpu(0), 300_000)
    nvml.call("nvmlDeviceSetPowerManagementLimit_v2", Gpu(0), 0, 300_000)
    after_gpu_scope = requested_w(small)[0]
    nvml.call("nvmlDeviceSetPowerManagementLimit_v2", Gpu(0), 1, 300_000)

    assert refused == NOT_SUPPORTED
    assert (after_gpu_scope, requested_w(small)[0]) == (500.0, 300.0)
    assert fields(nvml, (ENFORCED, 1), (INSTANT, 1)) == [300_000, 1000 * DEMAND_W]
    assert nvml.call("nvmlDeviceGetC2cModeInfoV", Gpu(0)) == {"isC2cEnabled": 1}


def test_module_scope_does_not_exist_on_an_ordinary_gpu(nvml: NvmlClient) -> None:
    assert fields(nvml, (ENFORCED, 1), (INSTANT, 1), (AVERAGE, 2)) == [None, None, None]
    assert nvml.call("nvmlDeviceGetC2cModeInfoV", Gpu(0)) == {"isC2cEnabled": 0}


def test_power_that_is_not_measured_is_not_supported(small: SmallHall, nvml: NvmlClient) -> None:
    readings = small.hall.table("gpu_reading")
    readings["power_w"] = readings["power_average_w"] = readings["energy_kwh"] = math.nan

    assert nvml.code("nvmlDeviceGetPowerUsage", Gpu(0)) == NOT_SUPPORTED
    assert nvml.code("nvmlDeviceGetTotalEnergyConsumption", Gpu(0)) == NOT_SUPPORTED
    assert fields(nvml, AVERAGE, INSTANT, ENERGY) == [None, None, None]


def test_times_of_fields_belong_to_the_energy_beside_them(
    small: SmallHall, nvml: NvmlClient
) -> None:
    """Site time, so that power by differences is right at any speed of the simulation."""
    first = nvml.call("nvmlDeviceGetFieldValues", Gpu(0), [ENERGY])[0]
    small.advance(30.0)
    second = nvml.call("nvmlDeviceGetFieldValues", Gpu(0), [ENERGY])[0]

    used_mj = second["value"]["ullVal"] - first["value"]["ullVal"]
    elapsed_us = second["timestamp"] - first["timestamp"]
    assert elapsed_us == 30_000_000
    assert 1000 * used_mj / elapsed_us == pytest.approx(DEMAND_W)


def test_persistence_mode_is_kept(small: SmallHall, nvml: NvmlClient) -> None:
    assert nvml.call("nvmlDeviceGetPersistenceMode", Gpu(0)) == 1
    nvml.call("nvmlDeviceSetPersistenceMode", Gpu(0), 0)

    assert nvml.call("nvmlDeviceGetPersistenceMode", Gpu(0)) == 0
    assert nvml.call("nvmlDeviceGetPersistenceMode", Gpu(1)) == 1
    assert nvml.code("nvmlDeviceSetPersistenceMode", Gpu(0), 2) == INVALID_ARGUMENT
