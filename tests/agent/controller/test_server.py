"""The controller as a process, among real agents."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.audit import verify
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.demo.configs import CONTROL, LEASE_TTL_S, OPERATOR
from coolcap_agent.rpc.address import Address
from support.running_demo import RunningDemo, running_demo, scenario
from support.small_fleet import NODES, SmallFleet


def coolcap(demo: RunningDemo, *arguments: str) -> "subprocess.CompletedProcess[str]":
    files = demo.files
    where = ["--controller", f"127.0.0.1:{files.control_port}", "--as", OPERATOR]
    command = [sys.executable, "-m", "coolcap_agent", *arguments, *where]
    return subprocess.run(
        [*command, "--tls", str(files.folder / "pki")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_operator_steers_a_running_controller_and_sigterm_hands_everything_back(
    tmp_path: Path,
) -> None:
    with running_demo(tmp_path, scenario()) as demo:
        seen = json.loads(coolcap(demo, "status", "--json").stdout)
        assert seen["mode"] == "MODE_AUTO"
        assert all(agent["lease_held"] for agent in seen["agents"])

        told = coolcap(demo, "explain", "--group", "node-01/0")
        assert "the feedback rule" in told.stdout, told.stderr

        held = coolcap(demo, "mode", "hold", "--reason", "a test looks on")
        assert held.stdout == "mode hold (was auto): a test looks on\n", held.stderr
        assert verify(demo.files.folder / "state" / "control" / "audit.jsonl").count == 1
        assert min(demo.changed_count()) >= 2

        demo.processes.stop(CONTROL)

        took_s = demo.wait(lambda: demo.changed_count() == (0, 0), timeout_s=LEASE_TTL_S)
        assert took_s < 0.5 * LEASE_TTL_S
        demo.processes.check()


def control(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "control", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def written_config(fleet: SmallFleet) -> Path:
    """Write a controller's config for agents that do not run."""
    for number, name in enumerate((*NODES, "plant"), start=1):
        fleet.addresses[name] = Address(host="127.0.0.1", port=number)
    return fleet.config().path


def test_state_dir_in_use_is_told_with_the_process(fleet: SmallFleet) -> None:
    path = written_config(fleet)

    with StateDir(fleet.folder / "state-control"):
        done = control(path)

    assert done.returncode == 1
    assert f"process id {os.getpid()}" in done.stderr


def test_expired_certificate_ends_the_start_with_dates(fleet: SmallFleet) -> None:
    path = written_config(fleet)
    old = certs.make_pki(
        fleet.folder / "old",
        agents=[],
        days=30,
        now=datetime.now(UTC) - timedelta(days=40),
    )
    path.write_text(path.read_text().replace(str(fleet.pki.directory), str(old.directory)))

    done = control(path)

    assert done.returncode == 1
    assert f"certificate {old.directory / 'control.crt'} has expired" in done.stderr
    assert "Traceback" not in done.stderr
