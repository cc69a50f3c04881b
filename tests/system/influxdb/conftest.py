"""A real InfluxDB for the sink: one that lives, and one to stop and to kill."""

from collections.abc import Iterator

import pytest

from support.filled_influx import running_influx
from support.influx_server import HOW_TO_GET, InfluxServer, LocalInfluxServer, can_start


@pytest.fixture(scope="package")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        if server is None:
            pytest.skip(HOW_TO_GET)
        if server.bucket:
            pytest.skip("needs databases of its own, and COOLCAP_INFLUX_BUCKET names one bucket")
        yield server


@pytest.fixture
def mortal_influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalInfluxServer]:
    if not can_start():
        pytest.skip("stops and kills the server: " + HOW_TO_GET.split(" or ")[0])
    server = LocalInfluxServer(tmp_path_factory.mktemp("mortal"))
    try:
        yield server
    finally:
        server.stop()
