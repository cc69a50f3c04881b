"""A daemon starts without the command line's library, and every other command with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from coolcap_agent.start import daemon_asked_for


@pytest.mark.parametrize(
    "words",
    [
        ["node", "--config", "x.toml"],
        ["node", "-c", "x.toml"],
        ["node", "--config=x.toml"],
    ],
)
def test_daemon_and_its_config_are_recognised(words: list[str]) -> None:
    assert daemon_asked_for(words) == ("node", Path("x.toml"))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["node"],
        ["node", "--help"],
        ["node", "--config", "x.toml", "--once"],
        ["node", "restore", "--config", "x.toml"],
        ["check", "-c", "x.toml"],
    ],
)
def test_everything_else_is_left_to_the_command_line(words: list[str]) -> None:
    assert daemon_asked_for(words) is None


def test_daemon_tells_what_is_wrong_with_its_config(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "node", "--config", tmp_path / "none.toml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "none.toml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["typer", "rich", "cryptography", "numpy", "prometheus_client"])
def test_node_agent_does_not_carry(module: str) -> None:
    """Each is some megabytes of resident memory; what needs it imports it then."""
    code = (
        "import sys, coolcap_agent.start, coolcap_agent.node.server, coolcap_agent.drivers.nvml\n"
        f"print({module!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
