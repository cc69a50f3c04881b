"""Unmodified programs of others run on simulated GPUs, and what they set has its effect.

They come from PyPI (``client_tools.txt``); skipped with pip's reason where it cannot get them.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.sim.faults import set_fault
from support.client_tools import install_client_tools
from support.live_hall import running
from support.small_hall import DEMAND_W, SmallHall

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def tools() -> Path:
    return install_client_tools(HERE / "client_tools.txt")


@pytest.fixture
def live(small: SmallHall) -> Iterator[SmallHall]:
    small.hall.table("gpu_info")["model"] = b"h100-sxm"
    with running(small):
        yield small


def run(small: SmallHall, *command: str | Path, **environment: str) -> str:
    """Return what a program wrote to standard output; it must succeed."""
    done = subprocess.run(
        command,
        env=client_environment(small.path, "node-2") | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def requested_w(small: SmallHall) -> list[float]:
    return [float(w) for w in small.hall.table("gpu_control")["power_limit_requested_w"][2:]]


def test_gpustat_lists_the_gpus_with_their_readings(live: SmallHall, tools: Path) -> None:
    set_fault(live.hall, "node-2/1", "out-of-band-limit", value=250.0)

    first, second = json.loads(run(live, tools / "gpustat", "--json"))["gpus"]

    assert first["name"] == "NVIDIA H100 80GB HBM3"
    assert (first["temperature.gpu"], first["utilization.gpu"]) == (60, 90)
    assert (first["power.draw"], first["enforced.power.limit"]) == (DEMAND_W, 500)
    assert (first["memory.total"], first["processes"]) == (81559, [])
    assert second["enforced.power.limit"] == 250


def test_gpustat_shows_a_lost_gpu_and_the_other(live: SmallHall, tools: Path) -> None:
    set_fault(live.hall, "node-2/0", "gpu-lost")

    lost, other = json.loads(run(live, tools / "gpustat", "--json"))["gpus"]

    assert "lost" in lost["name"].lower()
    assert other["power.draw"] == DEMAND_W


def test_nvitop_shows_power_cap_and_temperature(live: SmallHall, tools: Path) -> None:
    shown = run(live, tools / "nvitop", "-1", "--no-unicode", TERM="dumb")

    assert re.search(r"0\s+H100 80GB HBM3\s+On\s", shown)
    assert len(re.findall(r"60C\s+P0\s+400W / 500W", shown)) == 2
    assert "Driver Version: 580.00.00" in shown


def test_zeus_sweeps_caps_and_sees_power_follow(live: SmallHall, tools: Path) -> None:
    """Its own optimiser chooses the caps; energy is measured over windows of its own clock."""
    script = HERE / "zeus_sweep.py"

    answer = json.loads(run(live, tools / "python", "-W", "error::UserWarning", script))

    measured_w = {int(cap): power_w for cap, power_w in answer["power_w"].items()}
    assert list(measured_w) == [500, 400, 300, 200, 100]
    for cap_w, power_w in measured_w.items():
        assert power_w == pytest.approx(min(cap_w, DEMAND_W), rel=0.15)
    assert answer["out_of_range"] == "ZeusGPUInvalidArgError"
    assert answer["limit_left_w"] == 100
    assert requested_w(live) == [500.0, 500.0], "zeus sets the maximum when it ends"


def test_zeus_without_the_right_says_so(live: SmallHall, tools: Path) -> None:
    set_fault(live.hall, "node-2/0", "no-permission")
    script = (
        "from zeus.device import get_gpus\n"
        "try:\n    get_gpus().set_power_management_limit(0, 300_000)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )

    assert run(live, tools / "python", "-c", script) == "ZeusGPUNoPermissionError\n"


def test_codecarbon_counts_the_energy_of_the_gpus(
    live: SmallHall, tools: Path, tmp_path: Path
) -> None:
    """It looks for an executable ``nvidia-smi`` before it loads NVML, and runs it for nothing."""
    executable = tmp_path / "bin" / "nvidia-smi"
    executable.parent.mkdir()
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    script = (
        "import json\nfrom codecarbon.core.gpu import AllGPUDevices\n"
        "print(json.dumps(AllGPUDevices().get_gpu_details()))\n"
    )

    shown = run(live, tools / "python", "-c", script, PATH=f"{executable.parent}:/usr/bin:/bin")

    first, second = json.loads(shown.splitlines()[-1])
    assert (first["power_usage"], first["power_limit"]) == (DEMAND_W, 500)
    assert second["total_energy_consumption"] > 0
