"""The tutorial's commands run as they stand, with fewer samples and scenarios."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coolcap_envs.contract.policy import PolicyBundle

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "train-your-own-policy.md"
SHORTER = {"n_timesteps: 2_500_000": "n_timesteps: 20_000", "lab-16: 48": "lab-16: 4"} | {
    "novelty_s: 86_400.0": "novelty_s: 3_600.0"
}
FEWER = re.compile(r"--scenarios (?:6|24)")


def blocks() -> list[tuple[str, str]]:
    """Return language and text of each block that is to be run."""
    found = re.findall(
        r"^```(sh|python)\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE
    )
    return [(language, text) for language, text in found]


@pytest.mark.slow
def test_the_tutorial_ends_with_a_bundle_and_a_report(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    said = []
    for language, text in blocks():
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        shell = ["sh", "-e", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, FEWER.sub("--scenarios 2", text)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)

    assert "reward per step" in said[0]
    assert PolicyBundle.load(tmp_path / "runs" / "bundle").name == "mine"
    assert (tmp_path / "runs" / "report" / "report.md").exists()
    assert "C2+B3" in said[-1]


def test_every_setting_of_the_tutorial_is_shortened_for_this_test() -> None:
    text = TUTORIAL.read_text()

    assert all(long in text for long in SHORTER)
    assert len(FEWER.findall(text)) == 2
