"""Entry of ``coolcap``: starts a daemon at once, and loads the command line for everything else.

The library behind the command line is 10 MB of resident memory, which an agent would keep for as
long as it runs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

DAEMONS: Final = ("node", "plant")
CONFIG_OPTIONS: Final = ("--config", "-c")


def main() -> None:
    """Do what the command line asks for, and end the process."""
    daemon = daemon_asked_for(sys.argv[1:])
    if daemon is None:
        from coolcap_agent.cli import main as command_line

        command_line()
    else:
        sys.exit(_run(*daemon))


def daemon_asked_for(words: Sequence[str]) -> tuple[str, Path] | None:
    """Return which daemon to run with which config, None if the words say anything else."""
    match words:
        case [daemon, option, config] if daemon in DAEMONS and option in CONFIG_OPTIONS:
            return daemon, Path(config)
        case [daemon, option] if daemon in DAEMONS and option.startswith("--config="):
            return daemon, Path(option.removeprefix("--config="))
        case _:
            return None


def _run(daemon: str, config: Path) -> int:
    from coolcap_agent.terminal import complain
    from coolcap_envs.contract.errors import CoolcapError

    try:
        if daemon == "node":
            from coolcap_agent.node.server import run_node

            return run_node(config)
        from coolcap_agent.plant.server import run_plant

        return run_plant(config)
    except CoolcapError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
