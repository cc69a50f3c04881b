"""Real node agents: killed, stopped, cut off from their controller, started twice."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from coolcap_agent import certs
from coolcap_agent.daemon.state_dir import StateDirError
from coolcap_agent.node.server import node_once, node_restore, run_node
from coolcap_agent.rpc.tls import TlsFiles
from coolcap_agent.sim.hall_layout import Fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc
from support.daemons import TTL_S, Agent, DaemonSite, daemon_site, wait_for
from support.small_node import acquire_request


@pytest.fixture
def site(tmp_path: Path, pki: certs.Pki) -> Iterator[DaemonSite]:
    with daemon_site(tmp_path, pki) as site:
        yield site


def cap(site: DaemonSite, agent: Agent, *watts: float) -> None:
    """Be a controller that caps the first GPUs and is then gone without a word."""

    async def play() -> None:
        channel = site.channel(agent)
        client = node_agent_pb2_grpc.NodeAgentStub(channel)
        lease = await client.AcquireLease(acquire_request(), timeout=5)
        telemetry = await client.GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=5)
        answer = await client.SetPowerCaps(
            node_agent_pb2.SetPowerCapsRequest(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=1,
                power_caps=[
                    node_agent_pb2.PowerCap(gpu_uuid=gpu.gpu_uuid, power_cap_w=cap_w)
                    for gpu, cap_w in zip(telemetry.gpus, watts, strict=False)
                ],
            ),
            timeout=5,
        )
        assert {common_pb2.OUTCOME_APPLIED} == {result.outcome for result in answer.results}
        await channel.close()

    asyncio.run(play())


def test_caps_of_a_controller_that_vanished_are_restored_within_the_lease(
    site: DaemonSite,
) -> None:
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0, 250.0)
    assert site.power_limits_w()[:2] == [300.0, 250.0]
    begin_s = time.monotonic()

    wait_for(lambda: site.power_limits_w()[:2] == [500.0, 500.0], agent.log.read_text())

    assert time.monotonic() - begin_s < TTL_S + 0.5
    wait_for(lambda: not agent.journal.exists(), "the journal stayed")
    assert agent.end() == 0
    assert "expired" in agent.log.read_text()


def test_agent_that_was_killed_restores_when_it_starts_again(site: DaemonSite) -> None:
    site.small.hall.table("gpu_control")["power_limit_requested_w"][0] = 480.0
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0, 250.0)
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL
    time.sleep(TTL_S)
    assert site.power_limits_w()[:2] == [300.0, 250.0]
    assert len(json.loads(agent.journal.read_text())["entries"]) == 2

    agent.start()

    assert site.power_limits_w()[:2] == [480.0, 500.0]
    assert not agent.journal.exists()


def test_agent_that_is_told_to_stop_restores_before_it_ends(site: DaemonSite) -> None:
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0)

    assert agent.end(signal.SIGTERM) == 0

    assert site.power_limits_w()[0] == 500.0
    assert not agent.journal.exists()


def test_agent_that_was_stopped_in_time_writes_nothing_late(site: DaemonSite) -> None:
    """
    A process that slept through the end of its lease must restore first when it goes on.
    """
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0)
    assert agent.process is not None
    agent.process.send_signal(signal.SIGSTOP)
    time.sleep(TTL_S)
    assert site.power_limits_w()[0] == 300.0
    agent.process.send_signal(signal.SIGCONT)

    wait_for(lambda: site.power_limits_w()[0] == 500.0, agent.log.read_text())


def test_agent_waits_for_hardware_that_comes_after_it(site: DaemonSite) -> None:
    agent = site.node()
    hall, away = site.folder / "hall.bin", site.folder / "away.bin"
    hall.rename(away)
    agent.launch()
    wait_for(lambda: "trying again for 30 s" in agent.log.read_text(), "it does not say so")
    away.rename(hall)

    agent.wait_until_it_serves()


def test_epochs_go_on_over_a_kill(site: DaemonSite) -> None:
    agent = site.node()
    epochs: list[int] = []

    async def acquire() -> None:
        channel = site.channel(agent)
        client = node_agent_pb2_grpc.NodeAgentStub(channel)
        epochs.append((await client.AcquireLease(acquire_request(), timeout=5)).epoch)
        await channel.close()

    for _ in range(2):
        agent.start()
        asyncio.run(acquire())
        agent.end(signal.SIGKILL)

    assert epochs == [1, 2]


def test_value_that_cannot_be_restored_stays_in_the_journal_and_fails_the_exit(
    site: DaemonSite,
) -> None:
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0, 250.0)
    site.small.hall.table("gpu_fault")["flags"][1] = Fault.LOST

    assert agent.end() == 1

    assert site.power_limits_w()[0] == 500.0
    assert [entry["value"] for entry in json.loads(agent.journal.read_text())["entries"]] == [500.0]
    assert "1 values are not restored" in agent.log.read_text()


def test_restore_command_works_when_the_daemon_is_dead_and_not_before(site: DaemonSite) -> None:
    agent = site.node()
    agent.start()
    cap(site, agent, 300.0)
    with pytest.raises(StateDirError, match="in use by the agent with process id"):
        node_restore(agent.path)
    agent.end(signal.SIGKILL)

    told = node_restore(agent.path)

    assert (told["restored_count"], told["failed_count"]) == (1, 0)
    assert site.power_limits_w()[0] == 500.0
    assert node_restore(agent.path)["results"] == []


def test_one_reading_needs_no_daemon(site: DaemonSite) -> None:
    told = node_once(site.node().path)

    assert [gpu["power_limit_max_w"] for gpu in told["capabilities"]["gpus"]] == [500.0, 500.0]
    assert [gpu["power_w"] for gpu in told["telemetry"]["gpus"]] == [400.0, 400.0]
    assert told["rights"] == {"missing": "", "foreign_managers": []}
    json.dumps(told)


def test_second_agent_on_one_state_dir_is_refused(site: DaemonSite) -> None:
    agent = site.node()
    agent.start()
    assert agent.process is not None

    twin = site.node()
    twin.start_expecting_failure()

    assert f"process id {agent.process.pid}" in twin.log.read_text()


def test_agent_with_an_expired_certificate_does_not_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    spoiled = certs.make_pki(tmp_path / "old", agents=["node-1"], days=30, now=long_ago)
    with daemon_site(tmp_path, spoiled) as site:
        assert run_node(site.node().path) == 1
    assert "node-1.crt has expired" in capfd.readouterr().err


def test_controller_with_an_expired_certificate_gets_no_connection(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    pki = certs.make_pki(tmp_path / "pki", agents=["node-1"], days=300, now=long_ago)
    certs.make_pki(
        pki.directory, agents=(), controllers=["late"], operators=(), viewers=(), days=30,
        now=long_ago,
    )  # fmt: skip
    late = pki.files("late")

    async def code_of(agent: Agent, files: TlsFiles) -> grpc.StatusCode:
        channel = grpc.aio.secure_channel(
            str(agent.address),
            grpc.ssl_channel_credentials(
                files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
            ),
            options=[("grpc.ssl_target_name_override", "node-1")],
        )
        call = node_agent_pb2_grpc.NodeAgentStub(channel).AcquireLease(acquire_request(), timeout=5)
        code = await call.code()
        await channel.close()
        return code

    with daemon_site(tmp_path, pki) as site:
        agent = site.node()
        agent.start()
        assert asyncio.run(code_of(agent, pki.files("control"))) is grpc.StatusCode.OK
        assert asyncio.run(code_of(agent, late)) is grpc.StatusCode.UNAVAILABLE
