"""GPUs are found by index, UUID and PCI place, and tell what they are."""

import pytest

from support.nvml_client import Gpu, NvmlClient
from support.small_hall import SmallHall

INVALID_ARGUMENT, NOT_FOUND, GPU_IS_LOST = 2, 6, 15


def test_gpu_found_by_uuid_or_pci_place_is_that_of_its_index(nvml: NvmlClient) -> None:
    first = nvml.call("nvmlDeviceGetHandleByIndex", 1)
    uuid = nvml.call("nvmlDeviceGetUUID", first)
    place = nvml.call("nvmlDeviceGetPciInfo", first)

    found = [
        nvml.call("nvmlDeviceGetHandleByUUID", uuid),
        nvml.call("nvmlDeviceGetHandleByPciBusId", place["busId"]),
        nvml.call("nvmlDeviceGetHandleByPciBusId", place["busIdLegacy"].lower()),
        nvml.call("nvmlDeviceGetHandleByUUIDV", uuid.encode(), 1),
        nvml.call("nvmlDeviceGetHandleByUUIDV", bytes.fromhex(uuid[4:].replace("-", "")), 2),
    ]

    assert [nvml.call("nvmlDeviceGetIndex", gpu) for gpu in found] == [1] * 5


def test_every_gpu_has_a_place_of_its_own(nvml: NvmlClient) -> None:
    places = {nvml.call("nvmlDeviceGetPciInfo", Gpu(position))["busId"] for position in (0, 1)}

    assert places == {"00000000:10:00.0", "00000000:18:00.0"}


@pytest.mark.parametrize(
    ("function", "name", "code"),
    [
        ("nvmlDeviceGetHandleByIndex", 2, INVALID_ARGUMENT),
        ("nvmlDeviceGetHandleByUUID", "GPU-00000000-0000-0000-0000-000000000000", NOT_FOUND),
        ("nvmlDeviceGetHandleByPciBusId", "00000000:99:00.0", NOT_FOUND),
        ("nvmlDeviceGetHandleByPciBusId", "nowhere", INVALID_ARGUMENT),
    ],
)
def test_gpu_that_is_not_there_is_not_found(
    nvml: NvmlClient, function: str, name: object, code: int
) -> None:
    assert nvml.code(function, name) == code


def test_gpu_tells_what_it_is(nvml: NvmlClient) -> None:
    answers = {
        name: nvml.call(f"nvmlDeviceGet{name}", Gpu(1))
        for name in ("Name", "Architecture", "CudaComputeCapability", "Brand", "MinorNumber")
    }

    assert answers == {
        "Name": "test",
        "Architecture": 9,
        "CudaComputeCapability": [9, 0],
        "Brand": 14,
        "MinorNumber": 1,
    }


def test_known_model_has_the_name_nvml_gives_it(small: SmallHall, nvml: NvmlClient) -> None:
    small.hall.table("gpu_info")["model"] = b"h100-sxm"

    assert nvml.call("nvmlDeviceGetName", Gpu(0)) == "NVIDIA H100 80GB HBM3"
