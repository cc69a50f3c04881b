"""Real plant agents: killed with setpoints written, and told to stop."""

import asyncio
import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.plant.server import plant_once, plant_restore
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc
from support.daemons import Agent, DaemonSite, daemon_site, wait_for
from support.small_plant import SUPPLY


@pytest.fixture
def site(tmp_path: Path, pki: certs.Pki) -> Iterator[DaemonSite]:
    with daemon_site(tmp_path, pki) as site:
        yield site


def commanded(site: DaemonSite) -> float:
    """What the hall was told, NaN if its own program decides."""
    controls = site.small.hall.table("lever_control")
    return float(controls["commanded"][PLANT_LEVER_COLUMN[SUPPLY]])


def command(site: DaemonSite, agent: Agent, value: float) -> None:
    """Be a controller that sets the supply air and is then gone without a word."""

    async def play() -> None:
        channel = site.channel(agent)
        client = plant_agent_pb2_grpc.PlantAgentStub(channel)
        lease = await client.AcquireLease(
            common_pb2.AcquireLeaseRequest(holder="control", instance_id="1"), timeout=5
        )
        answer = await client.SetSetpoints(
            plant_agent_pb2.SetSetpointsRequest(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=1,
                setpoints=[plant_agent_pb2.Setpoint(lever=SUPPLY, value=value)],
            ),
            timeout=5,
        )
        assert answer.results[0].outcome == common_pb2.OUTCOME_APPLIED
        await channel.close()

    asyncio.run(play())


def test_agent_that_was_killed_gives_its_orphans_back_when_it_starts_again(
    site: DaemonSite,
) -> None:
    agent = site.plant()
    agent.start()
    command(site, agent, 22.0)
    agent.end(signal.SIGKILL)
    assert commanded(site) == 22.0
    assert json.loads(agent.journal.read_text())["entries"][0]["local"] is True

    agent.start()

    wait_for(lambda: math.isnan(commanded(site)), agent.log.read_text())
    wait_for(lambda: not agent.journal.exists(), "the journal stayed")


def test_controller_that_vanished_has_its_setpoint_given_back(site: DaemonSite) -> None:
    """
    In one step: site time stands still in this hall, and a ramp runs on it.
    """
    agent = site.plant("ramp_back = false")
    agent.start()
    command(site, agent, 22.0)

    wait_for(lambda: math.isnan(commanded(site)), agent.log.read_text())


def test_stopping_gives_setpoints_back_in_one_step(site: DaemonSite) -> None:
    agent = site.plant()
    agent.start()
    command(site, agent, 22.0)

    assert agent.end() == 0

    assert math.isnan(commanded(site))


def test_restore_and_one_reading_work_when_the_daemon_is_dead(site: DaemonSite) -> None:
    agent = site.plant()
    agent.start()
    command(site, agent, 22.0)
    agent.end(signal.SIGKILL)

    levers = {lever["lever"]: lever for lever in plant_once(agent.path)["telemetry"]["levers"]}
    assert levers[SUPPLY]["setpoint_effective"] == 22.0

    assert plant_restore(agent.path)["restored_count"] == 1
    assert math.isnan(commanded(site))
