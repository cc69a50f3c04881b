"""Short forms of what ``make soak`` and ``make campaign-budgets`` run for long."""

from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.soak.allocator_bench import time_allocator
from coolcap_agent.soak.budget_campaign import TICKS_OVER_MAX, run_campaign
from coolcap_agent.soak.fleet_run import run_fleet
from coolcap_agent.soak.fleet_site import FleetShape
from coolcap_agent.soak.scenario_hall import ScenarioHall
from coolcap_agent.soak.small_tree import small_tree
from coolcap_envs.contract.setpoints import Setpoints


def test_no_budget_is_exceeded_for_longer_than_two_fast_ticks_whatever_the_policy_does() -> None:
    found = run_campaign(12, first_seed=9_000)

    assert found.failed == []
    assert found.longest_over <= TICKS_OVER_MAX
    assert found.scenarios == 12
    assert set(found.events) >= {"feed_loss", "job_start", "node_loss", "stale"}


def test_hall_of_the_scenarios_breaks_budgets_when_nobody_guards_them() -> None:
    """The campaign could fail: without the loop the same hall exceeds its budgets."""
    rng = np.random.default_rng(1)
    layout, limits = small_tree(rng)
    hall = ScenarioHall(layout, limits, rng)
    hall.nodes.demand_w[:] = 700.0
    hall.nodes.other_w[:] = 2400.0
    hall.advance(1.0)

    assert (limits.budget_members @ hall.power_w() > limits.budget_w).any()


def test_node_that_is_cut_off_restores_when_its_lease_ends() -> None:
    rng = np.random.default_rng(2)
    layout, limits = small_tree(rng)
    hall = ScenarioHall(layout, limits, rng)
    hall.keep_leases(caps=True, setpoints=True)
    hall.advance(1.0)
    count = layout.group_count
    nothing = Setpoints.none(count)
    caps = Setpoints(
        power_cap_w=np.full(count, 300.0),
        sm_clock_max_mhz=nothing.sm_clock_max_mhz,
        plant=nothing.plant,
    )
    hall.apply(caps)
    hall.nodes.cut_off[0] = True

    for _ in range(6):
        hall.keep_leases(caps=True, setpoints=True)
        hall.advance(1.0)

    assert hall.nodes.cap_w[0] == 700.0
    assert (hall.nodes.cap_w[1:] == 300.0).all()


def test_allocator_keeps_every_budget_of_ten_thousand_gpus() -> None:
    result = time_allocator(groups_per_node=1)

    assert (result.gpu_count, result.over_count) == (10_000, 0)
    assert result.budget_count > 400


@pytest.mark.slow
@pytest.mark.parametrize("relay_size", [0, 4])
def test_soak_measures_a_small_fleet(tmp_path: Path, relay_size: int) -> None:
    shape = FleetShape(node_count=8, relay_size=relay_size)

    result = run_fleet(tmp_path, shape, span_s=3.0, policy="rule", settle_s=1.0)

    assert result.connected_min == 9
    assert result.tick_count >= 1
    assert result.cpu_s > 0.0
    assert result.memory_max_mb > 10.0
