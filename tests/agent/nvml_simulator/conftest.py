"""A small hall, and processes that see its GPUs through the simulated NVML."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coolcap_agent.nvml_simulator.build import find_compiler
from support.nvml_client import NvmlClient
from support.small_hall import SmallHall

NODE = "node-2"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_compiler() is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs a C compiler: $CC, gcc or cc"))


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


@pytest.fixture
def start_client() -> Iterator[Callable[[Path], NvmlClient]]:
    """Start processes that have loaded the library and not yet initialised it."""
    clients: list[NvmlClient] = []

    def start(hall: Path, node: str = NODE) -> NvmlClient:
        clients.append(NvmlClient(hall, node))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def nvml(small: SmallHall, start_client: Callable[[Path], NvmlClient]) -> NvmlClient:
    """A process in which NVML is initialised on two GPUs of ``small``."""
    client = start_client(small.path)
    client.call("nvmlInit")
    return client
