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


@pytest.fixture(scope="module")
def hall_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "hall"


@pytest.fixture
def small(hall_path: Path) -> SmallHall:
    """A new hall under the same path, as after a restart of the host."""
    hall_path.unlink(missing_ok=True)
    return SmallHall.create(hall_path)


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


@pytest.fixture(scope="module")
def process(hall_path: Path) -> Iterator[NvmlClient]:
    """One process for all tests of a module: starting one takes longer than most tests."""
    client = NvmlClient(hall_path, NODE)
    yield client
    client.close()


@pytest.fixture
def nvml(small: SmallHall, process: NvmlClient) -> Iterator[NvmlClient]:
    """A process in which NVML is initialised on two GPUs of ``small``."""
    process.call("nvmlInit")
    yield process
    while process.code("nvmlShutdown") == 0:  # as often as the test initialised it
        pass
