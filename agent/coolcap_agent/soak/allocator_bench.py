"""How long the allocator takes over ten thousand GPUs, with every level of the tree binding."""

import dataclasses
import time
import tomllib
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.soak.fleet_site import FleetShape, site_text
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.safety.budget import allocate, worst_case_power_w
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import read_site_limits
from coolcap_envs.safety.worth import Worth

REPEAT_COUNT: Final = 50
NODE_COUNT: Final = 1250
LEVELS: Final = {"rack": 0.6, "pdu": 0.55, "row": 0.5, "hall": 0.45, "site": 0.4}
"""Budget of each level between its floors (0) and all caps at their highest (1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorTime:
    """CPU time of one pass.

    Attributes:
        gpu_count: GPUs.
        group_count: Control groups they form.
        budget_count: Budgets of the tree.
        median_ms: Median of the passes.
        worst_ms: Longest pass.
        over_count: Budgets exceeded afterwards; none may be.
    """

    gpu_count: int
    group_count: int
    budget_count: int
    median_ms: float
    worst_ms: float
    over_count: int


def time_allocator(*, groups_per_node: int) -> AllocatorTime:
    """Time the allocator on a tree of five levels, three priorities and mixed kinds of work."""
    rng = np.random.default_rng(0)
    layout, limits, other_w = _site(rng, groups_per_node)
    count = layout.group_count
    curves = Worth(knee=rng.uniform(0.58, 1.0, count), ease=rng.uniform(0.13, 0.3, count))
    spans_s, over = [], 0
    for _ in range(REPEAT_COUNT):
        asked_w = rng.uniform(420.0, 700.0, count)
        started_s = time.process_time()
        caps_w, _ = allocate(asked_w, other_w, layout, limits, worth=lambda: curves)
        spans_s.append(time.process_time() - started_s)
        loads_w = worst_case_power_w(caps_w, other_w, layout, limits)
        over += int((loads_w > limits.budget_w * (1.0 + 1e-9)).sum())
    return AllocatorTime(
        gpu_count=int(layout.gpu_count.sum()),
        group_count=count,
        budget_count=len(limits.budget_names),
        median_ms=1000.0 * float(np.median(spans_s[1:])),
        worst_ms=1000.0 * max(spans_s[1:]),
        over_count=over,
    )


def _site(rng: np.random.Generator, groups_per_node: int) -> tuple[Layout, Limits, np.ndarray]:
    text = site_text(FleetShape(node_count=NODE_COUNT))
    text = text.replace("groups_per_node = 1", f"groups_per_node = {groups_per_node}")
    root = Table(tomllib.loads(text), path="", problems=[])
    layout, limits = read_site_limits(root)
    layout = dataclasses.replace(layout, priority=rng.integers(0, 3, layout.group_count))
    other_w = layout.gpu_count * rng.uniform(100.0, 300.0, layout.group_count)
    least_w = worst_case_power_w(limits.power_cap_min_w, other_w, layout, limits)
    most_w = worst_case_power_w(limits.power_cap_max_w, other_w, layout, limits)
    share = np.array([LEVELS[name.split("-")[0]] for name in limits.budget_names])
    budget_w = least_w + share * (most_w - least_w)
    return layout, dataclasses.replace(limits, budget_w=budget_w), other_w
