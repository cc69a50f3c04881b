"""The agent's own NVML driver passes the suite of all drivers over the simulated library."""

import re
import subprocess
import sys
from pathlib import Path

from coolcap_agent.nvml_simulator.environment import client_environment

SUITE = Path(__file__).parent / "driver_over_simulator.py"


def test_nvml_driver_passes_its_suite_over_the_simulator(tmp_path: Path) -> None:
    """In a process of its own: the library is found by the environment a process starts with."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", SUITE],
        cwd=Path(__file__).parents[3],
        env=client_environment(tmp_path / "unused", "unused"),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    counted = re.search(r"(\d+) passed in", done.stdout)

    assert done.returncode == 0, done.stdout + done.stderr
    assert counted is not None
    assert int(counted[1]) > 15
