"""Checking the part of a site file that only the simulator reads, where it is installed."""

import importlib.util
from pathlib import Path

from coolcap_envs.contract.config import read_toml
from coolcap_envs.safety.site_limits import SIMULATION_TABLE

_NEEDED = ("numba", "pvlib")


def check_simulation(path: Path) -> None:
    """Refuse a site file whose simulation, or a file it names, has problems.

    Does nothing for sites that are not simulated, or without the extra ``sim``.

    Raises:
        ConfigError: With every problem of the file and of the files it names.
    """
    if SIMULATION_TABLE not in read_toml(path):
        return
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        return
    from coolcap_envs.site import load_site

    load_site(path)
