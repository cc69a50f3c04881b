"""``python -m coolcap_agent.nvml_simulator``: run a program that uses NVML on simulated GPUs."""

import argparse
import os
import sys
from pathlib import Path

from coolcap_agent.nvml_simulator.build import BuildError, build_library
from coolcap_agent.nvml_simulator.environment import client_environment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m coolcap_agent.nvml_simulator",
        description="Run COMMAND so that it sees the simulated GPUs of NODE; without COMMAND, "
        "build the library and print where it is.",
    )
    parser.add_argument("--hall", type=Path, help="path of the shared hall")
    parser.add_argument("--node", help="node of the hall whose GPUs the program shall see")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    if arguments.command and (arguments.hall is None or arguments.node is None):
        parser.error("COMMAND needs --hall and --node")
    return arguments


def main() -> int:
    """Become the program asked for; return an exit code only if that cannot be done."""
    arguments = _arguments()
    try:
        if not arguments.command:
            print(build_library())
            return 0
        environment = client_environment(arguments.hall, arguments.node)
        os.execvpe(arguments.command[0], arguments.command, environment)
    except BuildError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{arguments.command[0]} cannot be run: {error.strerror}", file=sys.stderr)
    return 1
