"""Measure what the telemetry log of 10,000 GPUs costs the controller: CPU and memory.

The real loop decides over a hall in memory; recorder, spool and sender write to a real InfluxDB
in a process of its own, site time running as fast as it goes. What the hall and the loop themselves
take is timed apart and left out. ``make bench-telemetry`` prints CPU seconds per second of site
time and the memory of the process, every ten minutes of site time.
"""

import argparse
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from coolcap_agent.console.history import History
from coolcap_agent.console.view import HISTORY_NAMES, history_row
from coolcap_agent.sink.influx import InfluxTarget, open_influx_sink
from coolcap_agent.telemetry_log.recorder import AgentSeen, Recorder
from support.big_hall import GPUS_PER_NODE, BigHall, big_loop, tick
from support.influx_server import HOW_TO_GET, LocalInfluxServer, can_start, free_port

DATABASE = "coolcap_test_bench"
REPORT_EVERY_S = 600
PAGE_BYTES = resource.getpagesize()


def rss_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


DISCARDING = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
    def log_message(self, format, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class DiscardingServer:
    """Takes everything and keeps nothing, in a process of its own."""

    def __init__(self) -> None:
        port = free_port()
        self._target = InfluxTarget(
            url=f"http://127.0.0.1:{port}", org="coolcap", bucket=DATABASE, token=""
        )
        self._process = subprocess.Popen([sys.executable, "-c", DISCARDING, str(port)])

    def create(self, database: str) -> None:
        """Wait until it listens."""
        host, _, port = self._target.url.removeprefix("http://").partition(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1.0).close()
                return
            except OSError:
                time.sleep(0.05)

    def target(self, database: str) -> InfluxTarget:
        """Return where to write to."""
        return self._target

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def measure(
    server: LocalInfluxServer | DiscardingServer, folder: Path, *, nodes: int, seconds: int
) -> dict[str, object]:
    """Run it; returns the figures."""
    server.create(DATABASE)
    hall = BigHall(nodes)
    sink = open_influx_sink(
        server.target(DATABASE), spool_path=folder / "spool.sqlite", spool_bytes_max=2_000_000_000
    )
    recorder = Recorder(hall.layout, [sink])
    history = History(HISTORY_NAMES)
    loop = big_loop(hall, on_decision=(records := []).append)
    agents = [
        AgentSeen(name=node, kind="node", connected=True, lease_held=True, age_s=0.5)
        for node in hall.layout.nodes
    ]
    beside_s = 0.0
    rows = []
    begun_s, before_s = time.process_time(), 0.0
    for second in range(seconds):
        thread_s = time.thread_time()
        state = tick(hall, loop, second)
        beside_s += time.thread_time() - thread_s
        for record in records:
            recorder.decision(record)
        records.clear()
        recorder.record(state, agents, gpus=hall.gpus)
        history.add(float(state.telemetry.time_s), history_row(state.telemetry, hall.layout))
        # The database is slower than a clock that runs this fast: wait, as real time would.
        while sink.status().waiting > 200_000:
            time.sleep(0.05)
        if (second + 1) % REPORT_EVERY_S == 0:
            used_s = time.process_time() - begun_s - beside_s
            row = {
                "site_s": second + 1,
                "cpu_ratio": (used_s - before_s) / REPORT_EVERY_S,
                "rss_mb": rss_mb(),
            }
            before_s = used_s
            rows.append(row)
            say(
                f"{second + 1:6d} s of site time: {100.0 * row['cpu_ratio']:5.2f} % of a core, "
                f"{row['rss_mb']:.0f} MB, {sink.status().waiting} lines wait"
            )
    while sink.status().waiting:
        time.sleep(0.05)
    used_s = time.process_time() - begun_s - beside_s
    status = sink.status()
    sink.close()
    return {
        "gpu_count": nodes * GPUS_PER_NODE,
        "site_s": seconds,
        "cpu_s_per_site_s": used_s / seconds,
        "points_per_s": status.written / seconds,
        "written": status.written,
        "dropped": status.dropped,
        "rss_mb": rss_mb(),
        "rss_growth_mb": rows[-1]["rss_mb"] - rows[0]["rss_mb"] if len(rows) > 1 else None,
        "rows": rows,
    }


def main() -> int:
    """Measure and print; returns 0 if it stays below a quarter of a core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1250, help="servers of eight GPUs")
    parser.add_argument("--seconds", type=int, default=3600, help="site time")
    parser.add_argument(
        "--discard", action="store_true", help="send to a server that keeps nothing: no database"
    )
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    chosen = parser.parse_args()
    if not chosen.discard and not can_start():
        parser.exit(2, f"bench: {HOW_TO_GET}\n")
    with tempfile.TemporaryDirectory(prefix="coolcap-bench-") as name:
        server = DiscardingServer() if chosen.discard else LocalInfluxServer(Path(name))
        try:
            found = measure(server, Path(name), nodes=chosen.nodes, seconds=chosen.seconds)
        finally:
            server.stop()
    if chosen.json:
        say(json.dumps(found, indent=2))
    else:
        say(
            f"{found['gpu_count']} GPUs: {found['points_per_s']:.0f} points/s, "
            f"{100.0 * found['cpu_s_per_site_s']:.2f} % of a core, {found['rss_mb']:.0f} MB, "
            f"{found['rss_growth_mb']} MB more than after the first ten minutes; "
            f"{found['written']} lines written, {found['dropped']} dropped"
        )
    return 0 if found["cpu_s_per_site_s"] < 0.25 else 1


if __name__ == "__main__":
    sys.exit(main())
