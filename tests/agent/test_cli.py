"""The command line: exit status, one line for each error, one object for --json."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from coolcap_agent import cli
from coolcap_agent.certs import make_pki
from coolcap_agent.demo import run as demo_run
from coolcap_agent.node import server as node_server
from support.small_site import SMALL_SITE


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def coolcap(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Coolcap":
    return Coolcap(monkeypatch, capsys)


class Coolcap:
    """Runs the command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["coolcap", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = self._capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ran(end.value.code, captured.out, captured.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["--colour"],
        ["node"],
        ["control"],
        ["node", "--config", "x.toml", "--json"],
        ["mode", "auto"],
        ["mode", "fly", "--reason", "test"],
        ["budget", "site", "--reason", "test"],
        ["budget", "site", "5", "--lift", "--reason", "test"],
        ["budget", "site", "many", "--reason", "test"],
        ["explain"],
        ["explain", "--group", "a", "--lever", "b"],
        ["explain", "--group", "a", "--at", "yesterday"],
    ],
)
def test_wrong_usage_is_2_and_one_line(coolcap: Coolcap, arguments: list[str]) -> None:
    ran = coolcap(*arguments)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("coolcap: ")
    assert ran.err.count("\n") == 1
    assert "--help" in ran.err


def test_help_is_no_failure(coolcap: Coolcap) -> None:
    ran = coolcap("--help")

    assert ran.status == 0
    assert all(name in ran.out for name in ("node", "plant", "control", "status", "explain"))


@pytest.mark.parametrize("daemon", ["node", "plant", "control", "sim"])
def test_daemon_with_an_unusable_config_is_1_and_one_line(
    coolcap: Coolcap, tmp_path: Path, daemon: str
) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text("colour = 'red'\n")

    ran = coolcap(daemon, "--config", path)

    assert ran.status == 1
    assert ran.err.startswith(f"coolcap: {path}: ")
    assert "unknown key 'colour'" in ran.err
    assert ran.err.count("\n") == 1


def test_exit_code_of_a_daemon_is_passed_on(
    coolcap: Coolcap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_server, "run_node", lambda path: 7)

    assert coolcap("node", "--config", "node.toml").status == 7


def test_reading_once_gives_one_object(coolcap: Coolcap, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"telemetry": {"gpus": [{"power_w": 400.0}]}}
    monkeypatch.setattr(node_server, "node_once", lambda path: data)

    as_json = coolcap("node", "--config", "node.toml", "--once", "--json")
    in_words = coolcap("node", "--config", "node.toml", "--once")

    assert json.loads(as_json.out) == data
    assert "power_w: 400.0" in in_words.out
    assert as_json.status == in_words.status == 0


def test_check_says_all_problems_and_is_1(coolcap: Coolcap, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SMALL_SITE)
    good = coolcap("check", path)
    assert (good.status, good.out, good.err) == (0, f"{path}: site: ok\n", "")

    path.write_text(SMALL_SITE.replace("1200.0", "-1.0").replace("count = 2", "count = 0"))
    bad = coolcap("check", path)

    assert (bad.status, bad.out) == (1, "")
    assert bad.err.count("\n") >= 2
    told = json.loads(coolcap("check", path, "--json").out)
    assert (told["kind"], told["ok"]) == ("site", False)
    assert len(told["problems"]) == bad.err.count("\n")


def test_certs_are_made_for_the_nodes_of_a_site(coolcap: Coolcap, tmp_path: Path) -> None:
    site = tmp_path / "small.toml"
    site.write_text(SMALL_SITE)

    ran = coolcap("certs", tmp_path / "pki", "--site", site, "--json")

    assert ran.status == 0
    assert set(json.loads(ran.out)["names"]) == {
        "node-1",
        "node-2",
        "plant",
        "control",
        "operator",
        "viewer",
    }
    again = coolcap("certs", tmp_path / "pki", "--site", site)
    assert again.status == 1
    assert "allow overwriting" in again.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["mode", "auto", "--reason", "test"],
        ["budget", "site", "5000", "--reason", "test"],
        ["release", "--reason", "test"],
        ["explain", "--group", "node-1/0"],
    ],
)
def test_controller_that_is_not_there_is_told_with_address_and_advice(
    coolcap: Coolcap, tmp_path: Path, arguments: list[str]
) -> None:
    make_pki(tmp_path, agents=["node-1"])

    ran = coolcap(*arguments, "--controller", "127.0.0.1:1", "--tls", tmp_path)

    assert (ran.status, ran.out) == (1, "")
    assert "controller control at 127.0.0.1:1 is not reachable" in ran.err
    assert "start it with `coolcap control --config FILE`" in ran.err
    assert ran.err.count("\n") == 1


def test_missing_identity_is_told_with_its_files(coolcap: Coolcap, tmp_path: Path) -> None:
    ran = coolcap("status", "--tls", tmp_path, "--as", "nobody")

    assert ran.status == 1
    assert str(tmp_path / "nobody.crt") in ran.err


def test_demo_is_passed_what_was_asked(
    coolcap: Coolcap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, object] = {}

    def run_demo(**options: object) -> int:
        asked.update(options)
        return 0

    monkeypatch.setattr(demo_run, "run_demo", run_demo)

    options = ("--site", "air-1mw", "--duration", "2", "--plant", "modbus", "--fault", "hang=5")
    ran = coolcap("demo", *options, "--out", tmp_path, "--json")

    assert ran.status == 0
    assert asked == {
        "site": "air-1mw",
        "duration_h": 2.0,
        "speed": 0.0,
        "keep_running": False,
        "plant": "modbus",
        "fault": "hang=5",
        "out": tmp_path,
        "as_json": True,
    }


def test_command_starts_without_what_it_does_not_need() -> None:
    """Typing ``coolcap --help`` must not load gRPC, numpy or a plant model."""
    code = "import sys, coolcap_agent.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    heavy = {"grpc", "numpy", "numba", "torch", "gymnasium", "onnxruntime", "influxdb_client"}
    assert not heavy.intersection(done.stdout.split())


def test_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0
