"""The sink against a server on loopback that speaks the write API, and against a real one."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from coolcap_agent.sink.influx import InfluxSink, InfluxTarget, influx_post, open_influx_sink
from coolcap_agent.sink.spool import Spool
from support.influx_server import HOW_TO_GET, LocalInfluxServer, can_start

TOKEN = "secret"


class WriteServer:
    """Keeps rows by series and time, as InfluxDB does; fails as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.status = 204
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, list[str]]] = []
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status = outer.status
                if self.headers.get("Authorization") != f"Token {TOKEN}":
                    status = 401
                with outer.changed:
                    outer.requests.append(parse_qs(urlsplit(self.path).query))
                    if status == 204:
                        for row in body.splitlines():
                            key, fields, time = row.rsplit(b" ", 2)
                            outer.rows[key + b" " + time] = fields
                    outer.changed.notify_all()
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, rows: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.rows) >= rows, timeout=20.0)

    def wait_requests(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.requests) >= count, timeout=20.0)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[WriteServer]:
    running = WriteServer()
    yield running
    running.stop()


def target(url: str, *, token: str = TOKEN) -> InfluxTarget:
    return InfluxTarget(url=url, org="coolcap", bucket="site", token=token, timeout_s=5.0)


def open_sink(url: str, folder: Path, *, token: str = TOKEN) -> InfluxSink:
    return open_influx_sink(
        target(url, token=token), spool_path=folder / "spool.sqlite", spool_bytes_max=10_000_000
    )


def row(number: int) -> bytes:
    return f"plant,site=small it_power_w={number} {number}\n".encode()


def test_lines_arrive_with_org_bucket_and_precision(server: WriteServer, tmp_path: Path) -> None:
    sink = open_sink(server.url, tmp_path)

    sink.write(row(1) + row(2))

    assert server.wait(2)
    assert server.requests[0] == {"org": ["coolcap"], "bucket": ["site"], "precision": ["ns"]}
    sink.close()
    assert (
        sink.status().written,
        sink.status().waiting,
        sink.status().dropped,
        sink.status().problem,
    ) == (2, 0, 0, "")


def test_outage_loses_nothing_and_each_row_is_stored_once(
    server: WriteServer, tmp_path: Path
) -> None:
    sink = open_sink(server.url, tmp_path)
    server.status = 503
    for number in range(50):
        sink.write(row(number))
    assert server.wait_requests(1)

    server.status = 204

    assert server.wait(50)
    sink.close()
    assert {row(n).split()[1] for n in range(50)} == set(server.rows.values())
    assert (sink.status().written, sink.status().waiting) == (50, 0)


def test_lines_of_a_process_that_died_are_sent_by_the_next(
    server: WriteServer, tmp_path: Path
) -> None:
    """What a killed process leaves is the spool file, never closed."""
    spool = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    for number in range(3):
        spool.put(row(number))

    sink = open_sink(server.url, tmp_path)

    assert server.wait(3)
    sink.close()
    spool.close()


def test_server_that_is_not_there_does_not_hold_up_the_writer(tmp_path: Path) -> None:
    gone = WriteServer()
    gone.stop()
    sink = open_sink(gone.url, tmp_path)

    for number in range(100):
        sink.write(row(number))

    sink.close()
    again = Spool(tmp_path / "spool.sqlite", bytes_max=10_000_000)
    assert again.waiting == 100
    again.close()


def test_refused_token_keeps_lines_and_says_so(server: WriteServer, tmp_path: Path) -> None:
    sink = open_sink(server.url, tmp_path, token="wrong")

    sink.write(row(1))
    assert server.wait_requests(1)
    sink.close()

    assert "the token is refused; correct `token_file`" in sink.status().problem
    assert server.rows == {}


def test_answer_tells_how_long_to_wait(server: WriteServer) -> None:
    server.status, server.headers = 429, {"Retry-After": "12"}

    answer = influx_post(target(server.url))(row(1))

    assert (answer.status, answer.retry_after_s) == (429, 12.0)


@pytest.mark.influxdb
def test_real_server_stores_each_row_once_although_it_was_down(tmp_path: Path) -> None:
    if not can_start():
        pytest.skip(HOW_TO_GET)
    folder = tmp_path / "server"
    folder.mkdir()
    influx = LocalInfluxServer(folder)
    influx.create("coolcap_test_spooled")
    influx.stop_database()
    sink = open_influx_sink(
        influx.target("coolcap_test_spooled"),
        spool_path=tmp_path / "spool.sqlite",
        spool_bytes_max=10_000_000,
    )
    try:
        for number in range(200):
            sink.write(row(1_700_000_000_000_000_000 + number))
        influx.start_database()
        pause = threading.Event()
        while sink.status().waiting:
            pause.wait(0.05)
        counted = influx.query(
            "SELECT COUNT(it_power_w) FROM plant", database="coolcap_test_spooled"
        )
    finally:
        sink.close()
        influx.stop()

    assert counted[0][0].columns["count"] == [200]
    assert (sink.status().written, sink.status().dropped) == (200, 0)
