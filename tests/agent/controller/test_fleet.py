"""Sessions with real agents over mutual TLS, all in this process."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.remote_plant import RemotePlant
from coolcap_agent.controller.session import Connection
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.safety.fallback import NEEDED_GROUP_SIGNALS, NEEDED_PLANT_SIGNALS
from support.small_fleet import SmallFleet, until

SUPPLY = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
Play = Callable[[Fleet, RemotePlant], Awaitable[None]]


def play(fleet: SmallFleet, scene: Play, *, leases: bool = True) -> None:
    """Run ``scene`` with a controller that is connected and, if wanted, holds all leases."""

    async def run() -> None:
        async with fleet.serve(), fleet.controlled() as (sessions, plant):
            assert await sessions.wait_ready(leases=leases, patience_s=10.0)
            await scene(sessions, plant)

    asyncio.run(run())


def setpoints(cap_w: float = np.nan, supply_c: float = np.nan) -> Setpoints:
    wanted = Setpoints.none(4)
    wanted.power_cap_w[:] = cap_w
    wanted.plant[SUPPLY] = supply_c
    return wanted


async def apply(plant: RemotePlant, wanted: Setpoints) -> Applied:
    plant.read()
    return await asyncio.to_thread(plant.apply, wanted)


def test_telemetry_of_all_agents_becomes_one_snapshot(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        seen = plant.read()

        for name in NEEDED_GROUP_SIGNALS:
            assert np.isfinite(seen.group(name)).all(), name
        for name in NEEDED_PLANT_SIGNALS:
            assert np.isfinite(seen.of_plant(name)), name
        assert (seen.groups_age_s == 0.0).all()
        assert seen.group("gpu_power_w").tolist() == [400.0] * 4

    play(fleet, scene, leases=False)


def test_frame_is_complete_when_every_agent_has_sent_it(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        before_s = float(plant.read().time_s)
        waiting = asyncio.create_task(
            sessions.wait_frame(before_s, patience_s=10.0, straggler_s=10.0)
        )
        fleet.small.advance(30.0)
        for name in ("node-1", "plant"):
            await fleet.agents[name].sample()
        await until(lambda: sessions.sessions["plant"].measure_time_s > before_s)
        assert not waiting.done()

        await fleet.agents["node-2"].sample()

        assert before_s + 30.0 == await waiting

    play(fleet, scene, leases=False)


def test_no_frame_is_told_after_patience(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        now_s = float(plant.read().time_s)

        assert await sessions.wait_frame(now_s, patience_s=0.05, straggler_s=0.05) is None

    play(fleet, scene, leases=False)


def test_late_agent_is_not_waited_for_longer_than_a_moment(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        before_s = float(plant.read().time_s)
        fleet.small.advance(30.0)
        await fleet.agents["node-1"].sample()

        frame_s = await sessions.wait_frame(before_s, patience_s=10.0, straggler_s=0.05)

        assert before_s + 30.0 == frame_s

    play(fleet, scene, leases=False)


def test_setpoints_reach_the_hardware_and_are_read_back(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await fleet.frame()
        applied = await apply(plant, setpoints(cap_w=350.0))

        assert applied.refusals == ()
        assert applied.setpoints.power_cap_w.tolist() == [350.0] * 4
        assert fleet.limits_w().tolist() == [350.0] * 4

    play(fleet, scene)


def test_command_acknowledges_the_telemetry_it_answers(fleet: SmallFleet) -> None:
    """Simulated hardware goes on only then; an agent without a setpoint acknowledges as well."""

    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await fleet.frame()
        now_s = fleet.small.hall.time_s()
        await until(lambda: all(s.measure_time_s == now_s for s in sessions.sessions.values()))

        await apply(plant, setpoints())

        assert [now_s] * 3 == fleet.acknowledged_s()

    play(fleet, scene)


def test_adjustment_between_decisions_acknowledges_nothing(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        before = fleet.acknowledged_s()
        plant.read()

        await asyncio.to_thread(plant.adjust, setpoints(cap_w=300.0))

        assert fleet.limits_w().tolist() == [300.0] * 4
        assert before == fleet.acknowledged_s()

    play(fleet, scene)


def test_lever_the_agent_may_not_command_is_left_alone(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        wanted = Setpoints.none(4)
        wanted.plant[PLANT_LEVER_COLUMN["chw_supply_temp_setpoint_c"]] = 11.0

        assert (await apply(plant, wanted)).refusals == ()

    play(fleet, scene)


def test_released_leases_put_back_what_was_there(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await fleet.frame()
        await apply(plant, setpoints(cap_w=350.0, supply_c=20.5))

        released = await sessions.release_all()

        assert {"node-1", "node-2", "plant"} == {one.agent for one in released}
        assert len(next(one for one in released if one.agent == "node-1").results) == 2
        assert fleet.limits_w().tolist() == [500.0] * 4

    play(fleet, scene)


def test_loop_that_stops_keeping_leases_lets_them_end(fleet: SmallFleet) -> None:
    """Nobody renews but the loop: connected sessions alone keep no lease alive."""

    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await apply(plant, setpoints(cap_w=350.0))

        fleet.mono.time_s += 3.1
        await fleet.agents["node-1"].guard.tick()

        assert fleet.limits_w().tolist() == [500.0, 500.0, 350.0, 350.0]

    play(fleet, scene)


def test_second_controller_gets_no_lease_and_writes_nothing(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await apply(plant, setpoints(cap_w=350.0))
        async with fleet.controlled("second") as (others, other_plant):
            assert not await others.wait_ready(leases=True, patience_s=0.5)
            applied = await apply(other_plant, setpoints(cap_w=200.0))

        assert fleet.limits_w().tolist() == [350.0] * 4
        assert len(applied.refusals) == 3
        assert all("control@small" in refusal for refusal in applied.refusals)

    play(fleet, scene)


def test_node_that_dies_is_forgotten_and_the_others_go_on(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await fleet.stop("node-1")
        await until(lambda: not sessions.sessions["node-1"].connected)
        await fleet.frame()
        now_s = fleet.small.hall.time_s()
        assert now_s == await sessions.wait_frame(now_s - 1.0, patience_s=5.0, straggler_s=5.0)

        applied = await apply(plant, setpoints(cap_w=350.0))

        assert fleet.limits_w().tolist() == [500.0, 500.0, 350.0, 350.0]
        assert applied.setpoints.power_cap_w[2:].tolist() == [350.0, 350.0]
        assert [refusal.split(":")[0] for refusal in applied.refusals] == ["node-1"]

    play(fleet, scene)


def test_node_that_comes_back_is_taken_in_again(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        await fleet.stop("node-1")
        await until(lambda: not sessions.sessions["node-1"].connected)

        await fleet.start("node-1")

        assert await sessions.wait_ready(leases=True, patience_s=10.0)
        assert (await apply(plant, setpoints(cap_w=350.0))).refusals == ()
        assert fleet.limits_w().tolist() == [350.0] * 4

    play(fleet, scene)


def test_agent_with_another_certificate_is_not_talked_to(fleet: SmallFleet) -> None:
    async def run() -> None:
        async with fleet.serve():
            one, two = fleet.addresses["node-1"], fleet.addresses["node-2"]
            fleet.addresses.update({"node-1": two, "node-2": one})
            config = fleet.config()
            fleet.addresses.update({"node-1": one, "node-2": two})
            async with fleet.controlled(config=config) as (sessions, _):
                node = sessions.sessions["node-1"]
                await until(lambda: node.connection is Connection.REFUSED)

                assert "certificate must be for its name" in node.problem
                assert not np.isfinite(node.measure_time_s)

    asyncio.run(run())


def test_agent_that_is_not_there_is_told_with_its_address(fleet: SmallFleet) -> None:
    async def run() -> None:
        async with fleet.serve():
            config = fleet.config()
            await fleet.stop("node-2")
            async with fleet.controlled(config=config) as (sessions, _):
                node = sessions.sessions["node-2"]
                await until(lambda: bool(node.problem))

                assert f"node agent node-2 at {node.config.address}: not reach" in node.problem
                assert node.connection is Connection.CONNECTING

    asyncio.run(run())


def test_node_with_fewer_gpus_than_the_site_file_is_refused(fleet: SmallFleet) -> None:
    async def run() -> None:
        async with fleet.serve():
            site = fleet.folder / "small.toml"
            text = site.read_text().replace("gpus_per_node = 2", "gpus_per_node = 4")
            site.write_text(text)
            async with fleet.controlled(config=fleet.config()) as (sessions, _):
                node = sessions.sessions["node-1"]
                await until(lambda: node.connection is Connection.REFUSED)

                assert "has no GPU 2, 3; the site file gives this node 4 GPUs" in node.problem

    asyncio.run(run())


@pytest.mark.parametrize("leases", [True, False])
def test_limits_are_narrowed_to_what_agents_carry_out(fleet: SmallFleet, leases: bool) -> None:
    """Leases do not matter while nobody wants them, as in shadow."""

    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        narrowed = plant.narrow(fleet.config().limits)

        assert narrowed.power_cap_min_w.tolist() == [200.0] * 4
        assert narrowed.lever_high[SUPPLY] == 25.0

    play(fleet, scene, leases=leases)


def test_node_without_a_lease_obeys_nobody(fleet: SmallFleet) -> None:
    async def scene(sessions: Fleet, plant: RemotePlant) -> None:
        sessions.sessions["node-1"].lease.lost()
        sessions.keep_leases(caps=True, setpoints=True)

        narrowed = plant.narrow(fleet.config().limits)

        assert narrowed.power_cap_min_w.tolist() == [500.0, 500.0, 200.0, 200.0]

    play(fleet, scene)
