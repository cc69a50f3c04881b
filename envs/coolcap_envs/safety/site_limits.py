"""Load the part of a site file that controls read: layout, limits and budgets."""

from pathlib import Path

from coolcap_envs.contract.config import Table, read_toml, site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.layout import Layout, read_layout
from coolcap_envs.safety.limits import Limits, read_limits

SIMULATION_TABLE = "simulation"
"""The table of a site file that only the simulator reads."""


def read_site_limits(root: Table) -> tuple[Layout, Limits]:
    """Take ``[layout]``, ``[limits]`` and ``[[budgets]]`` from the root table of a site file."""
    layout = read_layout(root.take_table("layout"))
    limits = read_limits(
        root.take_table("limits"), root.take_tables("budgets", needed=False), layout
    )
    return layout, limits


def load_site_limits(site: str | Path) -> tuple[Layout, Limits]:
    """Return layout and limits of ``site``: a shipped site's name or a path ending in ``.toml``.

    Raises:
        ConfigError: With every problem of these tables at once.
    """
    path = site_path(str(site))
    root = Table(read_toml(path), path="", problems=[])
    root.take_table(SIMULATION_TABLE, needed=False)
    layout, limits = read_site_limits(root)
    root.finish()
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return layout, limits
