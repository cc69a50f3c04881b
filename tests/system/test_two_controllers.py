"""Two controllers of one hall as real processes: killed, stopped, cut off, switched off.

Afterwards the agents' own records say who wrote when.
"""

import logging
import os
import random
import signal
import time
from pathlib import Path

import pytest

from coolcap_agent.demo.configs import LEASE_TTL_S
from support.two_controllers import FIRST, SECOND, TwoControllers, two_controllers

log = logging.getLogger(__name__)

SLACK_S = 2.0
"""For a sample, a tick, asking a peer that does not answer, and a busy machine."""
PATIENCE_S = 30.0


def takeover_s(two: TwoControllers, name: str) -> float:
    """Return the time until ``name`` leads."""
    return two.demo.wait(lambda: two.leads(name), timeout_s=PATIENCE_S)


@pytest.mark.slow
def test_killed_leader_is_followed_within_a_lease_and_stands_by_when_it_comes_back(
    tmp_path: Path,
) -> None:
    with two_controllers(tmp_path) as two:
        assert takeover_s(two, FIRST) < PATIENCE_S

        for killed, heir in ((FIRST, SECOND), (SECOND, FIRST)):
            os.kill(two.demo.processes.pid(killed), signal.SIGKILL)
            took_s = takeover_s(two, heir)
            log.info("%s leads %.2f s after the kill; leases live %g s", heir, took_s, LEASE_TTL_S)
            assert took_s <= 3.0 * LEASE_TTL_S + SLACK_S
            two.start(killed)
            two.demo.wait(lambda: False, timeout_s=2.0 * LEASE_TTL_S)
            assert two.leads(heir)

        assert two.check_history() == 2


@pytest.mark.slow
def test_leader_cut_off_from_a_random_half_releases_all_and_a_stopped_one_is_fenced(
    tmp_path: Path,
) -> None:
    rng = random.Random(int(time.time()))
    with two_controllers(tmp_path) as two:
        assert takeover_s(two, FIRST) < PATIENCE_S
        agents = list(two.relays[FIRST])

        half = rng.sample(agents, len(agents) // 2 + 1)
        two.cut(FIRST, half)
        assert takeover_s(two, SECOND) < PATIENCE_S, half
        two.mend(FIRST)
        two.demo.wait(lambda: False, timeout_s=LEASE_TTL_S)
        assert two.leads(SECOND)

        os.kill(two.demo.processes.pid(SECOND), signal.SIGSTOP)
        assert takeover_s(two, FIRST) < PATIENCE_S
        os.kill(two.demo.processes.pid(SECOND), signal.SIGCONT)
        two.demo.wait(lambda: False, timeout_s=2.0 * LEASE_TTL_S)
        assert two.leads(FIRST)

        assert two.check_history() == 2


@pytest.mark.slow
def test_hall_that_a_person_switched_off_is_not_taken_over(tmp_path: Path) -> None:
    with two_controllers(tmp_path) as two:
        assert takeover_s(two, FIRST) < PATIENCE_S
        limited = two.call(FIRST, "budget", "site", "16000", "--reason", "a test")
        assert limited.returncode == 0, limited.stderr
        two.demo.wait(lambda: False, timeout_s=LEASE_TTL_S)
        budgets = {b["name"]: b["budget_w"] for b in two.status(SECOND)["budgets"]}
        assert budgets["site"] == 16000.0

        assert two.call(FIRST, "release", "--reason", "a test").returncode == 0
        two.demo.wait(lambda: False, timeout_s=2.0 * LEASE_TTL_S)

        assert two.status(SECOND)["mode"] == "MODE_OFF"
        assert two.demo.changed_count() == (0, 0)

        on = two.call(SECOND, "mode", "auto", "--reason", "a test")
        assert on.returncode == 0, on.stderr
        assert (
            two.demo.wait(lambda: min(two.demo.changed_count()) >= 2, timeout_s=PATIENCE_S)
            < PATIENCE_S
        )
        two.check_history()
