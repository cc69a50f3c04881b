"""Trials give the same results in this process, in others, and on a Ray cluster of two nodes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coolcap_training.trials import TrialError, run_trials

JOBS = [3, 1, 2]


def square(job: int) -> int:
    return job * job


def test_results_come_with_the_number_of_their_job() -> None:
    assert dict(run_trials(square, JOBS)) == {0: 9, 1: 1, 2: 4}


def test_several_processes_give_the_same_results() -> None:
    assert dict(run_trials(abs, [-3, -1, -2], workers=2)) == {0: 3, 1: 1, 2: 2}


def test_a_failed_trial_is_named_with_its_job() -> None:
    with pytest.raises(
        TrialError, match=r"trial 2 of 2 failed: ValueError: invalid literal.*\(job: one\)"
    ):
        dict(run_trials(int, ["1", "one"], workers=2))


NAMESPACE = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"']


def can_isolate() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*NAMESPACE, "sh", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_isolate(), reason="needs unshare and ip to give Ray its own network")
def test_a_ray_cluster_of_two_nodes_gives_the_same_results() -> None:
    """Ray takes the machine's outer address for its own, so it gets a network of its own."""
    pytest.importorskip("ray")
    script = Path(__file__).parent / "two_node_ray.py"

    done = subprocess.run(
        [*NAMESPACE, "sh", sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "{0: 3, 1: 1, 2: 2} on 2 nodes"
