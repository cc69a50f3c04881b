"""Begin and end of the library's use: what it needs, and what it says when it does not get it."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.sim.hall_layout import HEADER
from support.nvml_client import Gpu, NvmlClient
from support.small_hall import SmallHall

StartClient = Callable[..., NvmlClient]
UNINITIALIZED, INVALID_ARGUMENT, DRIVER_NOT_LOADED, VERSION_MISMATCH = 1, 2, 9, 18


def run(hall: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=client_environment(hall, "node-2") | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_session_lists_the_gpus_of_its_node_only(
    small: SmallHall, start_client: StartClient
) -> None:
    names: list[set[str]] = []
    for node in ("node-1", "node-2"):
        client = start_client(small.path, node)
        client.call("nvmlInit")
        assert client.call("nvmlDeviceGetCount") == 2
        names.append({client.call("nvmlDeviceGetUUID", Gpu(position)) for position in (0, 1)})

    in_hall = {bytes(uuid).decode() for uuid in small.hall.table("gpu_info")["uuid"]}
    assert names[0] | names[1] == in_hall
    assert not names[0] & names[1]


def test_calls_before_init_and_after_shutdown_are_refused(
    small: SmallHall, start_client: StartClient
) -> None:
    client = start_client(small.path)
    client.call("nvmlInit")
    client.call("nvmlDeviceGetPowerUsage", Gpu(0))
    client.call("nvmlShutdown")

    assert client.code("nvmlDeviceGetPowerUsage", Gpu(0)) == UNINITIALIZED
    assert client.code("nvmlDeviceGetCount") == UNINITIALIZED
    assert client.code("nvmlSystemGetDriverVersion") == UNINITIALIZED
    assert client.code("nvmlShutdown") == UNINITIALIZED


def test_session_lasts_until_the_last_of_its_users_is_done(nvml: NvmlClient) -> None:
    nvml.call("nvmlInit")
    nvml.call("nvmlShutdown")

    assert nvml.code("nvmlDeviceGetCount") == 0


def test_handles_outlive_a_session_on_the_same_hall(nvml: NvmlClient) -> None:
    handle = nvml.call("nvmlDeviceGetHandleByIndex", 0)
    before = nvml.call("nvmlDeviceGetUUID", handle)
    nvml.call("nvmlShutdown")
    nvml.call("nvmlInit")

    assert nvml.call("nvmlDeviceGetUUID", handle) == before


def test_handle_of_a_former_hall_is_an_invalid_argument(small: SmallHall, nvml: NvmlClient) -> None:
    handle = nvml.call("nvmlDeviceGetHandleByIndex", 0)
    small.hall.end()
    SmallHall.create(small.path)
    nvml.call("nvmlShutdown")
    nvml.call("nvmlInit")

    assert nvml.code("nvmlDeviceGetUUID", handle) == INVALID_ARGUMENT


def test_new_session_sees_the_hall_that_took_the_place_of_the_old(
    small: SmallHall, start_client: StartClient
) -> None:
    client = start_client(small.path)
    client.call("nvmlInit")
    small.hall.end()
    again = SmallHall.create(small.path)
    again.hall.table("gpu_control")["power_limit_requested_w"] = 250.0

    before = client.call("nvmlDeviceGetPowerManagementLimit", Gpu(0))
    client.call("nvmlShutdown")
    client.call("nvmlInit")

    assert before == 500_000
    fresh = client.call("nvmlDeviceGetHandleByIndex", 0)
    assert client.call("nvmlDeviceGetPowerManagementLimit", fresh) == 250_000


@pytest.mark.parametrize("missing", ["COOLCAP_HALL", "COOLCAP_NODE"])
def test_missing_variable_is_named(small: SmallHall, missing: str) -> None:
    script = f"import os, pynvml; os.unsetenv('{missing}'); pynvml.nvmlInit()"
    done = run(small.path, script)

    assert "NVMLError_DriverNotLoaded" in done.stderr
    assert f"libnvidia-ml of coolcap: {missing} is not set" in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be opened: No such file"),
        (b"", "cannot be opened: No data available"),
        (b"short", "is not a shared hall"),
        (b"x" * 100_000, "is not a shared hall"),
    ],
)
def test_file_that_is_no_hall_is_a_driver_that_is_not_loaded(
    tmp_path: Path, start_client: StartClient, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "hall").write_bytes(content)
    client = start_client(tmp_path / "hall")

    assert client.code("nvmlInit") == DRIVER_NOT_LOADED
    assert reason in client.close()


def test_unknown_node_is_named(small: SmallHall, start_client: StartClient) -> None:
    client = start_client(small.path, "node-9")

    assert client.code("nvmlInit") == DRIVER_NOT_LOADED
    assert "no node 'node-9'; its first is 'node-1'" in client.close()


@pytest.mark.parametrize(("field", "value"), [("version", 7), ("layout_hash", 0xABC)])
def test_hall_of_another_layout_is_a_driver_of_another_version(
    small: SmallHall, start_client: StartClient, field: str, value: int
) -> None:
    content = bytearray(small.path.read_bytes())
    np.ndarray(1, HEADER, content)[field] = value
    small.path.write_bytes(content)
    client = start_client(small.path)

    assert client.code("nvmlInit") == VERSION_MISMATCH
    assert f"{value:x}" in client.close()


def test_hall_cut_short_is_refused(small: SmallHall, start_client: StartClient) -> None:
    os.truncate(small.path, 1024)

    assert start_client(small.path).code("nvmlInit") == VERSION_MISMATCH


def test_process_made_by_fork_must_initialise_again(small: SmallHall) -> None:
    script = """
import os, pynvml
pynvml.nvmlInit()
child = os.fork()
if child == 0:
    try:
        pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError_Uninitialized:
        pynvml.nvmlInit()
        os._exit(pynvml.nvmlDeviceGetCount())
    os._exit(99)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pynvml.nvmlDeviceGetCount())
"""
    done = run(small.path, script)

    assert (done.stdout, done.stderr) == ("2 2\n", "")


def test_process_that_may_only_read_the_hall_reads_and_cannot_write(small: SmallHall) -> None:
    """As on a real host for anybody but root. Root itself takes another user's place here."""
    small.path.chmod(0o444)
    small.path.parent.chmod(0o755)
    script = """
import ctypes, os, pynvml
ctypes.CDLL("libnvidia-ml.so.1")
if os.geteuid() == 0:
    os.seteuid(65534)
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
print(pynvml.nvmlDeviceGetPowerUsage(gpu))
for write in (
    lambda: pynvml.nvmlDeviceSetPowerManagementLimit(gpu, 300_000),
    lambda: pynvml.nvmlDeviceSetPersistenceMode(gpu, 0),
    lambda: pynvml.nvmlDeviceSetGpuLockedClocks(gpu, 0, 1200),
    lambda: pynvml.nvmlDeviceResetGpuLockedClocks(gpu),
):
    try:
        write()
    except pynvml.NVMLError as error:
        print(error.value)
"""
    readable = next(part for part in small.path.parents if part.name.startswith("pytest-of"))
    if os.geteuid() == 0:
        for folder in (small.path.parent, small.path.parent.parent, readable):
            folder.chmod(0o755)
    done = run(small.path, script)

    assert (done.stdout.split(), done.stderr) == (["400000", "4", "4", "4", "4"], "")


def test_version_texts_need_a_buffer_that_is_large_enough(small: SmallHall) -> None:
    script = """
import ctypes, pynvml
pynvml.nvmlInit()
print(pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetNVMLVersion())
print(pynvml.nvmlSystemGetCudaDriverVersion())
library = ctypes.CDLL("libnvidia-ml.so.1")
print(library.nvmlSystemGetDriverVersion(ctypes.create_string_buffer(4), 4))
print(library.nvmlSystemGetDriverVersion(None, 80))
"""
    done = run(small.path, script)

    assert done.stdout.splitlines() == ["580.00.00 13.580.00.00", "13000", "7", "2"]


def test_every_error_has_a_text_of_its_own(small: SmallHall) -> None:
    script = """
import pynvml
pynvml.nvmlInit()
codes = (0, 1, 2, 3, 4, 6, 7, 9, 10, 13, 15, 16, 18, 20, 25, 999)
print(len({pynvml.nvmlErrorString(code) for code in codes}), len(codes))
print(pynvml.nvmlErrorString(77))
"""
    done = run(small.path, script)

    assert done.stdout == "16 16\nunknown error\n"


def test_library_is_not_in_the_process_of_the_tests() -> None:
    """Others test what happens without it."""
    with pytest.raises(OSError, match="libnvidia-ml"):
        ctypes.CDLL("libnvidia-ml.so.1")
