"""Every answer is of one frame, however fast the host publishes; and calls are cheap."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.build import compile_library, find_compiler
from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.nvml_simulator.hall_header import hall_header
from coolcap_agent.sim.hall_file import Readings
from coolcap_agent.sim.hall_layout import GPU_READING
from support.nvml_client import Gpu, NvmlClient
from support.small_hall import SmallHall

READER = """
import pynvml
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
torn = changes = last = 0
while changes < 1000:
    instant, energy, held = pynvml.nvmlDeviceGetFieldValues(gpu, [186, 83, 74])
    watts = instant.value.uiVal // 1000
    changes, last = changes + (watts != last), watts
    same = watts == energy.value.ullVal // 3_600_000 == held.value.ullVal // 1_000_000_000
    torn += not (same and energy.timestamp == watts * 1_000_000)
print(torn)
"""

TIMER = """
import time, pynvml
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
library = pynvml.nvmlLib
power = pynvml.c_uint()
place = pynvml.byref(power)
def best_us(call):
    spans = []
    for _ in range(20):
        start_s = time.perf_counter()
        for _ in range(500):
            call()
        spans.append((time.perf_counter() - start_s) / 500)
    return 1e6 * min(spans)
function = library.nvmlDeviceGetPowerUsage
print(best_us(lambda: function(gpu, place)), best_us(lambda: pynvml.nvmlDeviceGetPowerUsage(gpu)))
"""


def frame(number: int) -> Readings:
    """A frame in which every number is ``number``."""
    readings = Readings.unmeasured(time_s=float(number), gpu_count=4, node_count=2)
    for field in GPU_READING.names or ():
        if GPU_READING[field].kind == "f":
            readings.gpus[field] = number
    readings.gpus["energy_kwh"] = number / 1000.0
    return readings


@pytest.fixture
def slow_library(tmp_path: Path) -> Path:
    """The library, with a pause of some 20 us in the middle of each copy."""
    pause = "-DIN_MID_COPY()=nanosleep(&(struct timespec){0,20000},NULL)"
    folder = tmp_path / "slow"
    folder.mkdir()
    compiler = find_compiler() or "none"
    return compile_library(compiler, hall_header(), folder, flags=("-includetime.h", pause))


def test_readers_never_see_parts_of_two_frames(small: SmallHall, slow_library: Path) -> None:
    """The host publishes in bursts while another process reads, so slowly that it is overtaken."""
    small.hall.publish(frame(1))
    frames = itertools.cycle([frame(number) for number in range(1, 1000)])
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        env=client_environment(small.path, "node-2")
        | {"LD_LIBRARY_PATH": str(slow_library.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    while reader.poll() is None:
        for readings in itertools.islice(frames, 4):
            small.hall.publish(readings)
        time.sleep(0.0003)
    torn, _ = reader.communicate()

    assert torn == "0\n"


def test_frame_that_is_written_and_not_published_is_not_seen(
    small: SmallHall, nvml: NvmlClient
) -> None:
    before_mw = nvml.call("nvmlDeviceGetPowerUsage", Gpu(0))
    unpublished = (small.hall.published + 1) % 2
    small.hall.table("gpu_reading")["power_average_w"][unpublished] = 99.0

    assert nvml.call("nvmlDeviceGetPowerUsage", Gpu(0)) == before_mw


def test_reading_costs_about_a_microsecond(
    small: SmallHall, record_property: Callable[[str, object], None]
) -> None:
    """Through ctypes, which is most of it. The bound leaves room for a loaded machine."""
    done = subprocess.run(
        [sys.executable, "-c", TIMER],
        env=client_environment(small.path, "node-2"),
        capture_output=True,
        text=True,
        check=True,
    )
    through_ctypes_us, through_pynvml_us = (float(part) for part in done.stdout.split())
    record_property("through_ctypes_us", through_ctypes_us)
    record_property("through_pynvml_us", through_pynvml_us)

    assert through_ctypes_us < 10.0
    assert through_pynvml_us < 30.0
