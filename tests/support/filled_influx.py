"""A real InfluxDB with the hour of :mod:`support.logged_site` in it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_agent.sink.influx import InfluxSink, influx_post
from coolcap_agent.sink.spool import Spool
from support.influx_server import InfluxServer, LocalInfluxServer, can_start, given_server
from support.logged_site import log_hour

DATABASE: Final = "coolcap_test"
WRITTEN_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledInflux:
    """The server and the lines that were written."""

    server: InfluxServer
    database: str
    lines: tuple[bytes, ...]


@contextlib.contextmanager
def running_influx(folder: Path) -> Iterator[InfluxServer | None]:
    """Give the server the environment names, or one started in ``folder``; None without either."""
    given = given_server()
    if given is not None:
        yield given
    elif not can_start():
        yield None
    else:
        server = LocalInfluxServer(folder)
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def filled_influx(folder: Path) -> Iterator[FilledInflux | None]:
    """Give a server with the hour in it, written by the sink; None where there is no server."""
    with running_influx(folder) as server:
        if server is None:
            yield None
            return
        server.create(DATABASE)
        spool = Spool(folder / "spool.sqlite", bytes_max=100_000_000)
        sink = InfluxSink(influx_post(server.target(DATABASE)), spool, name="test")
        lines = log_hour(sink).lines
        wait_until_written(sink)
        sink.close()
        yield FilledInflux(server=server, database=DATABASE, lines=tuple(lines))


def wait_until_written(sink: InfluxSink, *, within_s: float = WRITTEN_WITHIN_S) -> None:
    """Wait until the sink has nothing left to send."""
    deadline = time.monotonic() + within_s
    while sink.status().waiting:
        assert time.monotonic() < deadline, sink.status()
        time.sleep(0.02)
