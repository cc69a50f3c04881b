"""Programs of others that use NVML, installed unmodified into an environment of their own."""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.build import cache_folder

INSTALL_TIMEOUT_S = 900


def install_client_tools(requirements: Path) -> Path:
    """Return the ``bin`` folder of an environment with ``requirements``; skip if pip cannot.

    It is kept in the cache, apart for each version of the file and of Python.

    Args:
        requirements: Pinned packages, as ``pip install --requirement`` takes them.
    """
    identity = hashlib.sha256(f"{sys.version}\n{requirements.read_text()}".encode()).hexdigest()
    folder = cache_folder() / "nvml-clients" / identity[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process installs, others wait
        if not (folder / "ready").exists():
            _install(requirements, folder)
            (folder / "ready").touch()
    return folder / "bin"


def _install(requirements: Path, folder: Path) -> None:
    try:
        venv.create(folder, with_pip=True)
        subprocess.run(
            [folder / "bin/python", "-m", "pip", "install", "--quiet", "-r", requirements],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said: str = (error.stderr or error.stdout or "nothing").strip()
        pytest.skip(f"pip cannot install {requirements.name}: {said.splitlines()[-1]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not install {requirements.name} within {INSTALL_TIMEOUT_S} s")
