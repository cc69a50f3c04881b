"""The node agent as a process of its own, unmodified, with its NVML driver on simulated GPUs."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.sim.faults import set_fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc
from support.daemons import Agent, DaemonSite, daemon_site, wait_for
from support.small_node import acquire_request

SIMULATED = 'name = "simulated"\n[driver.simulated]\nhall = "hall.bin"\n'
NVML = 'name = "nvml"\n[driver.nvml]\nassume_rights = true\n'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(
        tmp_path_factory.mktemp("pki"), agents=["node-1"], controllers=["control"]
    )


@pytest.fixture
def site(tmp_path: Path, pki: certs.Pki, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonSite]:
    environment = client_environment(tmp_path / "hall.bin", "node-1")
    for name in ("LD_LIBRARY_PATH", "COOLCAP_HALL", "COOLCAP_NODE"):
        monkeypatch.setenv(name, environment[name])  # for processes started from here
    with daemon_site(tmp_path, pki) as site:
        yield site


@pytest.fixture
def agent(site: DaemonSite) -> Agent:
    agent = site.node()
    config = agent.path.read_text()
    assert SIMULATED in config
    agent.path.write_text(config.replace(SIMULATED, NVML))
    return agent


async def _set_caps(site: DaemonSite, agent: Agent, watts: tuple[float, ...]) -> list[int]:
    channel = site.channel(agent)
    client = node_agent_pb2_grpc.NodeAgentStub(channel)
    lease = await client.AcquireLease(acquire_request(), timeout=5)
    telemetry = await client.GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=5)
    caps = [
        node_agent_pb2.PowerCap(gpu_uuid=gpu.gpu_uuid, power_cap_w=cap_w)
        for gpu, cap_w in zip(telemetry.gpus, watts, strict=False)
    ]
    request = node_agent_pb2.SetPowerCapsRequest(
        lease_id=lease.lease_id, epoch=lease.epoch, sequence=1, power_caps=caps
    )
    answer = await client.SetPowerCaps(request, timeout=5)
    await channel.close()
    return [result.outcome for result in answer.results]


def test_inventory_and_readings_are_those_of_the_hall(site: DaemonSite, agent: Agent) -> None:
    site.small.advance(30.0)
    done = subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "node", "--config", agent.path, "--once", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    gpus = json.loads(done.stdout)["telemetry"]["gpus"]

    assert [gpu["power_limit_enforced_w"] for gpu in gpus] == [500.0, 500.0]
    assert [gpu["power_w"] for gpu in gpus] == [400.0, 400.0]


def test_caps_reach_the_hall_and_are_restored_after_the_agent_was_killed(
    site: DaemonSite, agent: Agent
) -> None:
    site.small.hall.table("gpu_control")["power_limit_requested_w"][0] = 480.0
    agent.start()
    outcomes = asyncio.run(_set_caps(site, agent, (300.0, 250.0)))
    assert outcomes == [common_pb2.OUTCOME_APPLIED] * 2
    assert site.power_limits_w()[:2] == [300.0, 250.0]
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL

    agent.start()

    wait_for(lambda: site.power_limits_w()[:2] == [480.0, 500.0], agent.log.read_text())


def test_set_that_is_silently_ignored_is_not_reported_as_applied(
    site: DaemonSite, agent: Agent
) -> None:
    agent.start()
    set_fault(site.small.hall, "node-1/0", "ignored-set")

    outcomes = asyncio.run(_set_caps(site, agent, (300.0, 250.0)))

    assert outcomes[0] != common_pb2.OUTCOME_APPLIED
    assert outcomes[1] == common_pb2.OUTCOME_APPLIED
