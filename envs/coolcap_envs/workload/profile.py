"""Profiles of work: parameters of the generator that replace a site's own, class by class.

A profile is a TOML file with a table per workload class and, in it, any of the parameters of
``[simulation.workload.*]`` of a site file, each with its source. What it leaves out stays as the
site has it.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.gpu_models import take_sourced
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.workload.demand import WORKLOAD_PARAMETERS

Profile = Mapping[str, Mapping[str, float]]
"""Values of some of ``WORKLOAD_PARAMETERS`` by name, for some of ``WORKLOAD_CLASSES``."""


def shipped_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with the package."""
    folder = resources.files("coolcap_envs") / "sites" / "workloads"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


@lru_cache(maxsize=32)
def load_profile(name: str) -> Profile:
    """Return a profile: the name of a shipped one, or a path ending in ``.toml``.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in shipped_profiles():
        path = Path(str(resources.files("coolcap_envs") / "sites" / "workloads" / f"{name}.toml"))
    else:
        known = ", ".join(shipped_profiles())
        raise ConfigError(name, [f"is no shipped profile of work ({known}) and no path to a .toml"])
    root = Table(read_toml(path), path="", problems=[])
    profile: dict[str, dict[str, float]] = {}
    for work_class in WORKLOAD_CLASSES:
        table = root.take_table(work_class, needed=False)
        profile[work_class] = {
            p.name: take_sourced(table, p.name, low=p.low, high=p.high, unit=p.unit)
            for p in WORKLOAD_PARAMETERS
            if table.has(p.name)
        }
        table.finish()
    root.finish()
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return profile


def with_profile(workload: Profile, profile: Profile) -> dict[str, dict[str, float]]:
    """Return ``workload`` with the values of ``profile`` in place of its own."""
    return {name: {**values, **profile.get(name, {})} for name, values in workload.items()}
