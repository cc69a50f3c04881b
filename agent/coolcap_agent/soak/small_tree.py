"""A small site with a random tree of budgets, for scenarios."""

import tomllib

import numpy as np

from coolcap_agent.soak.fleet_site import FleetShape, site_text
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import read_site_limits

PRIORITIES = 3


def small_tree(rng: np.random.Generator) -> tuple[Layout, Limits]:
    """Return 8 to 48 servers of eight GPUs in racks, PDUs, rows and halls, each with a budget."""
    text = site_text(FleetShape(node_count=int(rng.integers(8, 49))))
    root = Table(tomllib.loads(text), path="", problems=[])
    layout, limits = read_site_limits(root)
    layout.priority[:] = rng.integers(0, PRIORITIES, layout.group_count)
    limits.budget_w[:] *= rng.uniform(0.75, 1.05, limits.budget_w.size)
    return layout, limits
