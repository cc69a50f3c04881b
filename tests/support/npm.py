"""Packages of npm that tests use; installed once and kept in pytest's cache."""

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_WITHIN_S = 120.0


def npm_packages(request: pytest.FixtureRequest, name: str, *packages: str) -> Path:
    """Return a folder whose ``node_modules`` has ``packages``; skips the test if it cannot be had.

    Args:
        request: Of the fixture that asks.
        name: Of the folder in the cache.
        packages: Each as ``NAME@VERSION``.
    """
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir(name))
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm (Debian: apt-get install npm)")
    stamp = folder / "installed"
    wanted = " ".join(packages)
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", *packages]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_WITHIN_S,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm cannot install {wanted} within {INSTALL_WITHIN_S:g} s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {wanted}: {done.stderr[-300:]}")
    stamp.write_text(wanted)
    return folder
