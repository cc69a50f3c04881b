"""A run that was killed goes on from its checkpoint to the weights it would have had anyway."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from coolcap_training import train as training
from coolcap_training.checkpoint import CHECKPOINT, Checkpoint
from coolcap_training.config import TrainConfig, read_config
from coolcap_training.train import RunError, train

KILLED = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from training.test_resume import short, train, training
training.SEGMENT_UPDATES = 1
train(short(), seed=3, folder=Path(sys.argv[1]))
"""


def short() -> TrainConfig:
    """Settings of a run of six segments when a segment is one update."""
    settings = replace(
        read_config("smoke"), sites={"lab-16": 2}, n_steps=8, n_minibatches=2, novelty_s=3600.0
    )
    return replace(settings, n_timesteps=6 * 8 * 2 * 17)


@pytest.fixture
def uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    monkeypatch.setattr(training, "SEGMENT_UPDATES", 1)
    return train(short(), seed=3, folder=tmp_path / "whole").policy.state_dict()


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    folder = tmp_path / "killed"
    path = [str(Path(__file__).parents[1]), *sys.path]
    child = subprocess.Popen([sys.executable, "-c", KILLED.format(path=path), str(folder)])
    deadline_s = time.monotonic() + 60.0
    while not (folder / CHECKPOINT).exists():
        assert child.poll() is None, "the run ended before it left a checkpoint"
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left_at = Checkpoint.load(folder / CHECKPOINT).num_timesteps

    resumed = train(short(), seed=3, folder=folder)

    assert 0 < left_at < short().n_timesteps
    assert resumed.num_timesteps == short().n_timesteps
    weights = resumed.policy.state_dict()
    assert all(torch.equal(weights[key], uninterrupted[key]) for key in weights)


def test_starting_a_finished_run_again_changes_nothing(
    tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    again = train(short(), seed=3, folder=tmp_path / "whole").policy.state_dict()

    assert all(torch.equal(again[key], uninterrupted[key]) for key in again)


def test_a_run_is_not_continued_with_other_settings(
    tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(RunError, match="holds a run with other gamma, seed"):
        train(replace(short(), gamma=0.9), seed=4, folder=tmp_path / "whole")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(b"not a checkpoint")

    with pytest.raises(ValueError, match=r"checkpoint\.pt: is no checkpoint"):
        Checkpoint.load(path)
