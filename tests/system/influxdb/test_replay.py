"""``coolcap replay`` as people run it, to two databases that are not of one make."""

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from coolcap_agent.sink.memory import MemorySink
from support.influx_server import InfluxServer, free_port, program
from support.logged_site import log_hour

pytestmark = pytest.mark.influxdb


def replay(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "coolcap_agent", "replay", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "telemetry.lp"
    path.write_bytes(b"".join(line + b"\n" for line in log_hour(MemorySink()).lines))
    return path


def test_a_log_replayed_twice_is_stored_once(influx: InfluxServer, log: Path) -> None:
    influx.create("coolcap_test_cli")
    where = ("--url", influx.url, "--bucket", "coolcap_test_cli", "--json")
    sent = log.read_bytes().count(b"\n")
    lines = log.read_bytes().splitlines()
    rows = sum(line.startswith(b"facility,") and b",it_power_w=" in line for line in lines)

    for _ in range(2):
        done = replay(str(log), *where)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"sent": sent, "refused": 0, "torn": []}

    query = 'SELECT count("it_power_w") AS "n" FROM "facility"'
    ((counted,),) = influx.query(query, database="coolcap_test_cli")
    assert counted.columns["n"] == [rows]


def test_refused_lines_are_told_and_the_rest_is_stored(
    influx: InfluxServer, tmp_path: Path
) -> None:
    influx.create("coolcap_test_cli_bad")
    path = tmp_path / "mixed.lp"
    path.write_bytes(b'rack p=1 1\nrack p="odd" 2\nrack p=3 3\n')

    done = replay(str(path), "--url", influx.url, "--bucket", "coolcap_test_cli_bad")

    assert done.returncode == 1
    assert "2 lines sent" in done.stdout
    assert "1 lines of measurement rack refused" in done.stderr
    assert "field type conflict" in done.stderr


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = program("victoria-metrics")
    if path is None:
        pytest.skip("needs Debian's victoria-metrics (scripts/install_test_servers.sh installs it)")
    folder, port = tmp_path_factory.mktemp("victoria"), free_port()
    with (folder / "log").open("wb") as out:
        server = subprocess.Popen(
            [
                path,
                f"-storageDataPath={folder / 'data'}",
                f"-httpListenAddr=127.0.0.1:{port}",
                "-retentionPeriod=100y",
            ],
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1.0).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(20.0)


def test_a_log_arrives_whole_at_victoriametrics(victoria: str, log: Path) -> None:
    """It answers queries in another language, and is an implementation of its own."""
    lines = [line for line in log.read_bytes().splitlines() if line.startswith(b"facility,")]
    for _ in range(2):
        assert replay(str(log), "--url", victoria).returncode == 0
    urllib.request.urlopen(f"{victoria}/internal/force_flush", timeout=10.0).close()

    query = urllib.parse.urlencode({"match[]": "facility_it_power_w", "reduce_mem_usage": "1"})
    with urllib.request.urlopen(f"{victoria}/api/v1/export?{query}", timeout=30.0) as answer:
        found = [json.loads(line) for line in answer.read().splitlines()]

    stamps = {stamp for series in found for stamp in series["timestamps"]}
    sent = {int(line.rsplit(b" ", 1)[1]) // 1_000_000 for line in lines if b"it_power_w=" in line}
    assert stamps == sent
