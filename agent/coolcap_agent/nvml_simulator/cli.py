"""``python -m coolcap_agent.nvml_simulator``: run programs on simulated GPUs, set faults."""

import argparse
import os
import sys
from pathlib import Path

from coolcap_agent.nvml_simulator.build import build_library
from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.sim.faults import FAULTS, clear_faults, set_fault
from coolcap_agent.sim.hall_file import open_hall
from coolcap_envs.contract.errors import CoolcapError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m coolcap_agent.nvml_simulator",
        description="Show the GPUs of a simulated hall to programs that use NVML.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a program so that it sees the GPUs of a node")
    run.add_argument("--hall", type=Path, required=True, help="path of the shared hall")
    run.add_argument("--node", required=True, help="node of the hall")
    run.add_argument("program", nargs=argparse.REMAINDER, help="the program and its arguments")
    run.set_defaults(carry_out=_run)

    fault = commands.add_parser("fault", help="let a fault of a GPU begin")
    fault.add_argument("--hall", type=Path, required=True, help="path of the shared hall")
    fault.add_argument("gpu", help="UUID, or node and index as in node-01/0")
    fault.add_argument("fault", choices=FAULTS, metavar="fault", help="a name that `faults` lists")
    fault.add_argument("--value", type=float, help="what the fault takes, else its default")
    fault.set_defaults(carry_out=_fault)

    clear = commands.add_parser("clear", help="let all faults of a GPU end")
    clear.add_argument("--hall", type=Path, required=True, help="path of the shared hall")
    clear.add_argument("gpu", help="UUID, or node and index as in node-01/0")
    clear.set_defaults(carry_out=_clear)

    faults = commands.add_parser("faults", help="list the faults by name")
    faults.set_defaults(carry_out=_faults)

    build = commands.add_parser("build", help="build the library and print where it is")
    build.set_defaults(carry_out=_build)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    program: list[str] = arguments.program
    if not program:
        print("no program to run was given", file=sys.stderr)
        return 2
    environment = client_environment(arguments.hall, arguments.node)
    try:
        os.execvpe(program[0], program, environment)
    except OSError as error:
        print(f"{program[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 1


def _fault(arguments: argparse.Namespace) -> int:
    hall = open_hall(arguments.hall, writable=True)
    set_fault(hall, arguments.gpu, arguments.fault, value=arguments.value)
    print(f"{arguments.gpu}: {FAULTS[arguments.fault].summary}")
    return 0


def _clear(arguments: argparse.Namespace) -> int:
    clear_faults(open_hall(arguments.hall, writable=True), arguments.gpu)
    print(f"{arguments.gpu}: no faults")
    return 0


def _faults(_arguments: argparse.Namespace) -> int:
    for name, kind in FAULTS.items():
        print(f"{name:18} {kind.summary}{f' [{kind.value}]' if kind.value else ''}")
    return 0


def _build(_arguments: argparse.Namespace) -> int:
    print(build_library())
    return 0


def main(words: list[str] | None = None) -> int:
    """Do what ``words``, else the command line, ask for; return the exit code."""
    arguments = _parser().parse_args(words)
    try:
        return int(arguments.carry_out(arguments))
    except CoolcapError as error:
        print(error, file=sys.stderr)
        return 1
