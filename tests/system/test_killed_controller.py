"""A controller that dies leaves nothing behind, shown on real processes."""

import os
import signal
from pathlib import Path

import pytest

from coolcap_agent.demo.configs import CONTROL, LEASE_TTL_S
from support.running_demo import running_demo, scenario

SLACK_S = 1.0
"""For the restore itself and a busy machine."""


@pytest.mark.slow
def test_kill_9_of_the_controller_restores_every_cap_and_setpoint_within_the_lease(
    tmp_path: Path,
) -> None:
    with running_demo(tmp_path, scenario()) as demo:
        os.kill(demo.processes.pid(CONTROL), signal.SIGKILL)
        took_s = demo.wait(lambda: demo.changed_count() == (0, 0), timeout_s=3.0 * LEASE_TTL_S)
        assert took_s <= LEASE_TTL_S + SLACK_S


@pytest.mark.slow
def test_a_killed_agent_restores_at_its_next_start(tmp_path: Path) -> None:
    with running_demo(tmp_path, scenario()) as demo:
        os.kill(demo.processes.pid(CONTROL), signal.SIGKILL)
        os.kill(demo.processes.pid("plant"), signal.SIGKILL)
        demo.wait(lambda: demo.changed_count()[0] == 0, timeout_s=3.0 * LEASE_TTL_S)
        assert demo.changed_count()[1] > 0
        demo.processes.start("plant", "plant", "--config", str(demo.files.configs["plant"]))
        assert demo.wait(lambda: demo.changed_count() == (0, 0), timeout_s=20.0) < 20.0
