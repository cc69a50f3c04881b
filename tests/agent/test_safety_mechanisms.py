"""The eight safety mechanisms of autonomous data-centre cooling, one test each.

docs/explanation/safety.md links them; a test of the documentation keeps the links true.
"""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy
from coolcap_agent import certs
from coolcap_agent.controller.decisions import Actor
from coolcap_agent.controller.modes import Mode
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.setpoints import Setpoints
from support.small_fleet import NODES, SmallFleet

SUPPLY = "supply_air_temp_setpoint_c"


@pytest.fixture
def fleet(tmp_path: Path) -> SmallFleet:
    pki = certs.make_pki(tmp_path / "pki", agents=[*NODES, "plant"], controllers=["control"])
    return SmallFleet(tmp_path, pki)


def test_1_raw_readings_are_watched_whatever_the_policy_says() -> None:
    """The policy is frozen, content, and blind to what happens; the watch reads the sensors."""
    policy = ConstantPolicy(0.0)
    bench = LoopBench(policy)
    bench.decide()

    bench.plant.plant["inlet_temp_max_c"] = 33.0
    bench.guard(121)

    assert bench.mode() is Mode.TRIPPED
    assert "above 32 °C for 120 s" in bench.loop.state.mode.reason


def test_2_a_violation_leads_to_a_neutral_state_by_itself() -> None:
    """Too hot for too long: cooling goes back to the plant's own control, caps stay lowered."""
    bench = LoopBench(ConstantPolicy(1.0))
    bench.decide()
    bench.plant.group["inlet_temp_c"] = 33.0
    bench.plant.plant["inlet_temp_max_c"] = 33.0

    bench.decide(6)

    assert bench.mode() is Mode.TRIPPED
    assert bench.plant.leases_wanted[-1] == (True, False)
    assert np.all(bench.plant.cap_w < 450.0)


def test_3_failover_moves_nothing_faster_than_its_slew_in_either_direction() -> None:
    policy = ConstantPolicy(1.0)
    bench = LoopBench(policy)
    for value in (1.0, np.nan, -1.0, np.nan, 1.0):
        policy.value = value
        bench.decide(12)

    sent = np.array([record.shielded.setpoints.plant for record in bench.records])
    limits = bench.plant.limits
    there = ~np.isnan(limits.lever_low)
    rise, fall = limits.lever_rise_max_per_min * 0.5, limits.lever_fall_max_per_min * 0.5
    steps = np.diff(sent, axis=0)[:, there]
    assert np.all(steps <= rise[there] + 1e-9)
    assert np.all(steps >= -fall[there] - 1e-9)
    assert {record.actor for record in bench.records} == {Actor.POLICY, Actor.RULE}


def test_4_shield_and_agent_verify_each_for_itself_from_files_of_their_own(
    fleet: SmallFleet,
) -> None:
    """The site file lets 26 °C pass, the plant agent's own limits file 25 °C at most."""

    async def scene() -> None:
        async with fleet.serve(), fleet.controlled() as (sessions, plant):
            assert await sessions.wait_ready(leases=True, patience_s=10.0)
            k = PLANT_LEVER_COLUMN[SUPPLY]
            site_c = float(fleet.config().limits.lever_high[k])
            wanted = Setpoints.none(4)
            wanted.plant[k] = site_c
            assert site_c > 25.0

            held_c = []
            for _ in range(40):
                await fleet.frame()
                plant.read()
                applied = await asyncio.to_thread(plant.apply, wanted)
                held_c.append(float(applied.setpoints.plant[k]))

            assert held_c[-1] == pytest.approx(25.0)

    asyncio.run(scene())


def test_5_a_lost_connection_gives_everything_back(fleet: SmallFleet) -> None:
    """The controller falls silent without a word; the agents' own clocks end its leases."""

    async def scene() -> None:
        async with fleet.serve(), fleet.controlled() as (sessions, plant):
            assert await sessions.wait_ready(leases=True, patience_s=10.0)
            wanted = Setpoints.none(4)
            wanted.power_cap_w[:] = 300.0
            plant.read()
            await asyncio.to_thread(plant.apply, wanted)
            assert fleet.limits_w().tolist() == [300.0] * 4

            fleet.mono.time_s += 3.1
            for name in NODES:
                await fleet.agents[name].guard.tick()

            assert fleet.limits_w().tolist() == [500.0] * 4

    asyncio.run(scene())


class FarFromHome:
    """Asks for its largest corrections, and says for which groups it does not know what it does."""

    name = "far"

    def act(self, observation: Observation) -> Action:
        neutral = Action.neutral(*observation.groups.shape[:-1])
        novelty = np.array([0.5, 0.9, 2.1, 40.0, 2.5])
        return Action(groups=neutral.groups - 1.0, plant=neutral.plant - 1.0, novelty=novelty)


def test_6_an_uncertain_answer_is_not_used() -> None:
    bench = LoopBench(FarFromHome())
    bench.decide(6)

    record = bench.records[-1]
    sent_w, rule_w = record.shielded.setpoints.power_cap_w, record.baseline.power_cap_w
    assert np.all(sent_w[:2] < rule_w[:2] - 50.0)
    assert np.allclose(sent_w[2:], rule_w[2:])
    assert record.shielded.setpoints.plant[0] == pytest.approx(record.baseline.plant[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_7_the_rule_runs_all_the_time_and_takes_over_at_once(value: float) -> None:
    policy = ConstantPolicy(0.5)
    bench = LoopBench(policy)
    bench.decide(10)
    assert all(np.isfinite(record.baseline.power_cap_w).all() for record in bench.records)
    before_w = bench.plant.cap_w.copy()

    policy.value = value
    bench.decide()

    assert bench.records[-1].actor is Actor.RULE
    assert np.allclose(bench.plant.cap_w, before_w)


def test_8_a_persons_hand_is_stronger_and_is_not_fought() -> None:
    """Through the API for a cap, at the panel for a setpoint."""
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.decide(5)
    bench.override("node-1/0", 420.0)
    bench.plant.overridden = {SUPPLY: "priority 8 holds 19 °C"}

    bench.decide(6)

    assert bench.mode() is Mode.OVERRIDDEN
    assert bench.plant.cap_w[0] == 420.0
    assert all(np.isnan(sent.plant[0]) for sent in bench.plant.applied[-6:])
