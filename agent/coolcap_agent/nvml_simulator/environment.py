"""The environment in which a program finds the simulated GPUs of a node instead of real ones."""

import os
from collections.abc import Mapping
from pathlib import Path

from coolcap_agent.nvml_simulator.build import build_library


def client_environment(
    hall: Path, node: str, *, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment for a program that loads ``libnvidia-ml.so.1``.

    It must be there when the program starts: the dynamic linker reads it only then.

    Args:
        hall: The shared hall.
        node: The node of the hall whose GPUs the program shall see.
        base: Environment to add to; the present one by default.

    Raises:
        BuildError: If the library has to be built and cannot be.
    """
    environment = dict(os.environ if base is None else base)
    folders = [str(build_library().parent), environment.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(folder for folder in folders if folder)
    environment["COOLCAP_HALL"] = str(hall.absolute())
    environment["COOLCAP_NODE"] = node
    return environment
