"""A real InfluxDB with an hour of a site in it, written through the sink as in operation."""

from collections.abc import Iterator

import pytest

from support.filled_influx import FilledInflux, filled_influx
from support.influx_server import HOW_TO_GET


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilledInflux]:
    with filled_influx(tmp_path_factory.mktemp("influx")) as found:
        if found is None:
            pytest.skip(HOW_TO_GET)
        yield found
