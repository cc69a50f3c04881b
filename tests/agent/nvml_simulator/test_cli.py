"""The command for people: run a program on simulated GPUs, set and clear faults."""

import subprocess
import sys
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.build import build_library
from coolcap_agent.nvml_simulator.cli import main
from coolcap_agent.sim.faults import FAULTS
from coolcap_agent.sim.hall_layout import Fault
from support.small_hall import SmallHall


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coolcap_agent.nvml_simulator", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_program_becomes_a_client_of_the_simulated_gpus(small: SmallHall) -> None:
    script = "import pynvml; pynvml.nvmlInit(); print(pynvml.nvmlDeviceGetCount())"
    words = ("--hall", small.path, "--node", "node-1", sys.executable, "-c", script)

    done = run("run", *words)

    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_program_that_is_not_there_is_named(small: SmallHall) -> None:
    done = run("run", "--hall", small.path, "--node", "node-1", "no-such-program")

    assert done.returncode == 1
    assert done.stderr == "no-such-program cannot be run: No such file or directory\n"


def test_fault_begins_and_ends(small: SmallHall, capsys: pytest.CaptureFixture[str]) -> None:
    flags = small.hall.table("gpu_fault")["flags"]
    hall = ["--hall", str(small.path)]

    codes = [main(["fault", *hall, "node-2/0", "hang", "--value", "3"])]
    hanging = (flags.tolist(), float(small.hall.table("gpu_fault")["call_delay_s"][2]))
    codes.append(main(["clear", *hall, "node-2/0"]))

    assert codes == [0, 0]
    assert hanging == ([0, 0, Fault.HANG, 0], 3.0)
    assert flags.tolist() == [0, 0, 0, 0]
    assert capsys.readouterr().out.splitlines()[1] == "node-2/0: no faults"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["fault", "--hall", "{hall}", "node-9/0", "hang"], 1, "no GPU 'node-9/0'"),
        (["fault", "--hall", "{hall}", "node-1/0", "mig", "--value", "1"], 1, "takes no value"),
        (["clear", "--hall", "missing", "node-1/0"], 1, "cannot be opened"),
        (["run", "--hall", "{hall}", "--node", "node-1"], 2, "no program"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    small: SmallHall,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    assert main([word.format(hall=small.path) for word in words]) == code

    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_unknown_fault_is_wrong_usage_and_names_the_known_ones(
    small: SmallHall, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fault", "--hall", str(small.path), "node-1/0", "fire"])

    assert caught.value.code == 2
    assert "gpu-lost" in capsys.readouterr().err


def test_every_fault_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)


def test_path_of_the_library_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build"]) == 0
    assert capsys.readouterr().out == f"{build_library()}\n"


def test_guide_explains_every_fault() -> None:
    guide = Path(__file__).parents[3] / "docs" / "how-to" / "simulate-gpus.md"
    rows = [line.split("`")[1] for line in guide.read_text().splitlines() if line[:3] == "| `"]

    assert [name for name in rows if name in FAULTS] == list(FAULTS)
