"""Records and constants of our header are those of nvidia-ml-py, which NVML's own clients use."""

import ctypes
import subprocess
from pathlib import Path

import pynvml
import pytest

from coolcap_agent.nvml_simulator.build import SOURCES, find_compiler

RECORDS = {
    "nvml_c2c_mode_v1": "c_nvmlC2cModeInfo_v1_t",
    "nvml_event_data": "c_nvmlEventData_t",
    "nvml_field_value": "c_nvmlFieldValue_t",
    "nvml_margin_temperature_v1": "c_nvmlMarginTemperature_v1_t",
    "nvml_memory": "c_nvmlMemory_t",
    "nvml_memory_v2": "c_nvmlMemory_v2_t",
    "nvml_pci_info_v3": "nvmlPciInfo_t",
    "nvml_power_value_v2": "c_nvmlPowerValue_v2_t",
    "nvml_temperature_v1": "c_nvmlTemperature_v1_t",
    "nvml_utilization": "c_nvmlUtilization_t",
    "nvml_uuid_v1": "c_nvmlUUID_t",
    "nvml_violation_time": "c_nvmlViolationTime_t",
}
VERSIONS = {
    "nvml_margin_temperature_v1": (1, "nvmlMarginTemperature_v1"),
    "nvml_memory_v2": (2, "nvmlMemory_v2"),
    "nvml_power_value_v2": (2, "nvmlPowerValue_v2"),
    "nvml_temperature_v1": (1, "nvmlTemperature_v1"),
    "nvml_uuid_v1": (1, "nvmlUUID_v1"),
}
PLACES = {
    ("nvml_event_data", "compute_instance"): "computeInstanceId",
    ("nvml_event_data", "data"): "eventData",
    ("nvml_field_value", "result"): "nvmlReturn",
    ("nvml_field_value", "value"): "value",
    ("nvml_memory_v2", "reserved"): "reserved",
    ("nvml_memory_v2", "used"): "used",
    ("nvml_pci_info_v3", "bus"): "bus",
    ("nvml_pci_info_v3", "bus_id"): "busId",
    ("nvml_pci_info_v3", "pci_device_id"): "pciDeviceId",
    ("nvml_power_value_v2", "milliwatts"): "powerValueMw",
}
OTHER_NAMES = {
    "NVML_EVENT_XID_CRITICAL_ERROR": "nvmlEventTypeXidCriticalError",
    "NVML_FI_SW_THERMAL_SLOWDOWN": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "NVML_FI_HW_THERMAL_SLOWDOWN": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
    "NVML_FI_HW_POWER_BRAKE": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
    "NVML_TEMPERATURE_SENSOR_COUNT": "NVML_TEMPERATURE_COUNT",
}
NOT_IN_PYNVML = {"NVML_NO_INSTANCE", "NVML_API", "NVML_VERSION"}


def constants_of_header() -> list[str]:
    words = (SOURCES / "nvml.h").read_text().replace("(", " ").replace(",", " ").split()
    return sorted({word for word in words if word.startswith("NVML_")} - NOT_IN_PYNVML)


def name_in_pynvml(constant: str) -> str:
    return OTHER_NAMES.get(constant, constant.replace("NVML_FI_", "NVML_FI_DEV_"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a C compiler makes of our header: values by the expression that has them."""
    expressions = [f"sizeof(struct {record})" for record in RECORDS]
    expressions += [f"NVML_VERSION(struct {name}, {part[0]})" for name, part in VERSIONS.items()]
    expressions += [f"offsetof(struct {record}, {member})" for record, member in PLACES]
    expressions += constants_of_header()
    lines = [f'printf("%s=%llu\\n", "{e}", (unsigned long long)({e}));' for e in expressions]
    folder = tmp_path_factory.mktemp("abi")
    source = "\n".join(["#include <stddef.h>", "#include <stdio.h>", '#include "nvml.h"'])
    (folder / "abi.c").write_text(f"{source}\nint main(void) {{ {' '.join(lines)} }}\n")
    compiler = find_compiler() or "none"
    command = [compiler, f"-I{SOURCES}", "-o", str(folder / "abi"), str(folder / "abi.c")]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run([folder / "abi"], check=True, capture_output=True, text=True)
    pairs = (line.rsplit("=", 1) for line in done.stdout.splitlines())
    return {expression: int(value) for expression, value in pairs}


@pytest.mark.parametrize("record", RECORDS)
def test_record_has_the_size_clients_expect(record: str, compiled: dict[str, int]) -> None:
    assert compiled[f"sizeof(struct {record})"] == ctypes.sizeof(getattr(pynvml, RECORDS[record]))


@pytest.mark.parametrize("record", VERSIONS)
def test_record_has_the_version_clients_send(record: str, compiled: dict[str, int]) -> None:
    revision, name = VERSIONS[record]

    assert compiled[f"NVML_VERSION(struct {record}, {revision})"] == getattr(pynvml, name)


@pytest.mark.parametrize("place", PLACES)
def test_member_is_where_clients_look(place: tuple[str, str], compiled: dict[str, int]) -> None:
    record, member = place
    expected = getattr(getattr(pynvml, RECORDS[record]), PLACES[place]).offset

    assert compiled[f"offsetof(struct {record}, {member})"] == expected


def test_constants_have_the_values_clients_know(compiled: dict[str, int]) -> None:
    names = constants_of_header()

    assert len(names) > 50
    assert {name: compiled[name] for name in names} == {
        name: getattr(pynvml, name_in_pynvml(name)) for name in names
    }


def test_version_of_this_test_is_the_one_the_project_is_tested_with() -> None:
    """Records change with the bindings; the file of tested versions says which ones these are."""
    from importlib.metadata import version

    pinned = (Path(__file__).parents[3] / "constraints.txt").read_text().splitlines()

    assert f"nvidia-ml-py=={version('nvidia-ml-py')}" in pinned
