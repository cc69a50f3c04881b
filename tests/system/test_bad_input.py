"""Wrong input to real processes: one clear error naming the thing, and nothing is written."""

import subprocess
import sys
from pathlib import Path

import pytest

from coolcap_agent.demo.configs import CONTROL, Files, write_configs
from coolcap_agent.demo.processes import free_port
from coolcap_envs.safety.site_limits import load_site_limits
from support.running_demo import running_demo, scenario
from support.tiny_bundle import write_tiny_bundle

COMMANDS = {"sim": "sim", "node-01": "node", "plant": "plant", CONTROL: "control"}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_configs(tmp_path / "run", scenario(), *load_site_limits("lab-16"))


def run(command: str, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coolcap_agent", command, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_a_daemon_with_an_unknown_key_does_not_start(files: Files, name: str, command: str) -> None:
    config = files.configs[name]
    config.write_text('colour = "blue"\n' + config.read_text())
    ended = run(command, config)
    assert ended.returncode == 1
    assert f"{config}: unknown key 'colour'" in ended.stderr
    assert not files.hall.exists()
    assert not (files.folder / "state" / name / "journal.json").exists()


def test_a_controller_with_a_bundle_of_another_schema_does_not_start(
    files: Files, tmp_path: Path
) -> None:
    write_tiny_bundle(tmp_path / "bundle", schema_hash="0123456789abcdef")
    config = files.configs[CONTROL]
    text = config.read_text().replace('policy = "rule"', f'policy = "{tmp_path / "bundle"}"')
    config.write_text(text)
    ended = run("control", config)
    assert ended.returncode == 1
    assert "schema 0123456789abcdef of the bundle is not" in ended.stderr
    assert "retrain, or install the version that made it" in ended.stderr


@pytest.mark.slow
def test_a_second_controller_is_refused_by_every_agent_and_changes_nothing(tmp_path: Path) -> None:
    with running_demo(tmp_path, scenario()) as demo:
        first = demo.files.configs[CONTROL]
        second = first.with_name("second.toml")
        port = free_port()
        text = first.read_text().replace("state/control", "state/second")
        second.write_text(text.replace(f":{demo.files.control_port}", f":{port}"))
        demo.processes.start("second", "control", "--config", str(second))
        log = demo.files.folder / "logs" / "second.log"
        agents = [name for name in demo.files.configs if name not in ("sim", CONTROL)]

        def refused_by_all() -> bool:
            lines = [
                line for line in log.read_text().splitlines() if "one writer at a time" in line
            ]
            return all(any(agent in line for line in lines) for agent in agents)

        assert demo.wait(refused_by_all, timeout_s=30.0) < 30.0, log.read_text()
        assert demo.processes.alive(CONTROL)
        demo.processes.stop("second")
        assert min(demo.changed_count()) > 0
