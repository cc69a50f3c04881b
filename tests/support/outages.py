"""The outage campaign: a writer that is killed, a database that fails in every way it can.

The writer is a process of its own with the real sink. It writes seconds of site time, a number of
points each, and notes each second once the sink has it. Killed, it is started again and goes on
with the second it was at; what it writes twice is the same point. Between it and a real InfluxDB
stands a server that answers for the database as the plan says. In the end every row that was sent
must be in the database, once, with its value, but for those that are counted as refused.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from support.influx_server import LocalInfluxServer

DATABASE: Final = "coolcap_test_outages"
START_S: Final = 1_767_571_200
TOKEN: Final = "writer:secret"
WINDOW_S: Final = 60
COUNT_WITHIN_S: Final = 1800.0
"""Ten million rows of ten thousand series, on a machine that may do other things, too."""
BAD_EVERY_S: Final = 20
"""Each so many seconds of site time one point has a text where numbers belong."""

WRITER: Final = """
import json, os, resource, signal, sys, time
from pathlib import Path
from coolcap_agent.sink.influx import InfluxTarget, open_influx_sink

folder, url, points, rate, count = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
database, start_s, bad_every = sys.argv[6], int(sys.argv[7]), int(sys.argv[8])
disk_limit = int(sys.argv[9])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
target = InfluxTarget(url=url, org="coolcap", bucket=database, token="writer:secret", timeout_s=5.0)
sink = open_influx_sink(target, spool_path=folder / "spool.sqlite", spool_bytes_max=2_000_000_000)
keys = ["gpu,gpu=n%d/%d,site=a gpu_power_w=" % (i // 8, i % 8) for i in range(points)]
progress = folder / "progress"
first = int(progress.read_text()) if progress.exists() else 0
begun = time.monotonic() - (first / rate if rate else 0)
limited = False

def report():
    state = sink.status()
    text = json.dumps({"written": state.written, "waiting": state.waiting,
                       "dropped": state.dropped, "problem": state.problem})
    (folder / "status.new").write_text(text)
    os.replace(folder / "status.new", folder / "status")

for second in range(first, count):
    # A disk that is full for a while: no file of this process may grow any more.
    full = disk_limit and (folder / "disk-full").exists()
    if full != limited:
        limited = full
        limit = disk_limit if full else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    end = " %d000000000\\n" % (start_s + second)
    body = "".join([key + str(second % 997) + end for key in keys])
    if bad_every and second % bad_every == bad_every - 1:
        body += 'gpu,gpu=n0/0,site=a gpu_power_w="odd" %d500000000\\n' % (start_s + second)
    sink.write(body.encode())
    # While the disk is full lines wait in memory, which a kill takes: they are not done yet.
    for name in ("now",) if limited else ("now", "progress"):
        (folder / "new").write_text(str(second + 1))
        os.replace(folder / "new", folder / name)
    report()
    if rate:
        time.sleep(max(0.0, begun + (second + 1) / rate - time.monotonic()))
while sink.status().waiting:
    report()
    time.sleep(0.05)
sink.close()
report()
(folder / "done").touch()
"""


@dataclass(slots=True)
class Faults:
    """What the server in between does with requests now; ``pass`` is to do nothing."""

    kind: str = "pass"
    answers: Counter[str] = field(default_factory=Counter)


class FaultyServer:
    """Answers for the database, or lets it answer.

    Args:
        behind: Address of the real one.
        faults: Says what to do; may change at any time.
    """

    def __init__(self, behind: str, faults: Faults) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = faults.kind
                if kind == "pass" and self.headers.get("Authorization") != f"Token {TOKEN}":
                    kind = "401"
                faults.answers[kind] += 1
                if kind in ANSWERS:
                    status, headers, text = ANSWERS[kind]
                    self._answer(status, headers, text)
                    return
                if kind == "slow":
                    time.sleep(0.3)
                request = urllib.request.Request(
                    behind + self.path, data=body, headers=dict(self.headers), method="POST"
                )
                try:
                    with urllib.request.urlopen(request, timeout=30.0) as answer:
                        status, content = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    with error:
                        status, content = error.code, error.read()
                except OSError as error:
                    status, content = 502, str(error).encode()
                if kind == "lost answer":
                    # Stored, but the client never learns: it will send the same again.
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(status, {"Content-Type": "application/json"}, content)

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: a killed writer hangs up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


ANSWERS: Final[dict[str, tuple[int, dict[str, str], bytes]]] = {
    "502": (502, {}, b"bad gateway"),
    "429": (429, {"Retry-After": "1"}, b'{"message":"rate limit"}'),
    "500": (500, {}, b'{"error":"write: no space left on device"}'),
    "401": (401, {}, b'{"code":"unauthorized","message":"unauthorized access"}'),
}
PLAN: Final = (
    "pass",
    "lost answer",
    "slow",
    "502",
    "429",
    "500",
    "401",
    "disk full",
    "down",
    "disk full, down",
)
"""What happens, one after the other; "down" is the real database, killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What came of a campaign."""

    points: int
    seconds: int
    rows_sent: int
    rows_stored: int
    values_wrong: int
    bad_sent: int
    refused: int
    dropped: int
    kills: int
    answers: dict[str, int]
    problems: tuple[str, ...]
    down_s: float
    took_s: float

    def lines(self) -> list[str]:
        """Return them for people."""
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(self.answers.items()))
        return [
            f"{self.points} points per second of site time for {self.seconds} s, in "
            f"{self.took_s:.0f} s",
            f"rows sent       {self.rows_sent}",
            f"rows stored     {self.rows_stored} (minutes with wrong values: {self.values_wrong})",
            f"refused         {self.refused} of {self.bad_sent} sent with a text for a number",
            f"dropped         {self.dropped}",
            f"kill -9         {self.kills} of the writer; database away for {self.down_s:.0f} s",
            f"answers         {told}",
            *(f"problem told    {problem}" for problem in self.problems),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How hard it is.

    Attributes:
        points: Points per second of site time.
        phase_s: Site seconds of each part of the plan but the longest.
        down_s: Site seconds the database is away.
        rate: Site seconds per second of the host; 0: as fast as it goes.
        kills: How often the writer is killed, at random moments.
        seed: Of the moments.
    """

    points: int
    phase_s: int
    down_s: int
    rate: int
    kills: int
    seed: int = 1

    def schedule(self) -> list[tuple[int, str]]:
        """Return the site second each part begins at."""
        found: list[tuple[int, str]] = []
        at = 0
        for kind in PLAN:
            found += [(at, kind), (at + self._length(kind), "pass")]
            at += self._length(kind) + self.phase_s
        return found

    def _length(self, kind: str) -> int:
        return self.down_s if kind == "down" else self.phase_s

    @property
    def seconds(self) -> int:
        """Return the length in site seconds."""
        return self.schedule()[-1][0] + self.phase_s


def run(
    campaign: Campaign, server: LocalInfluxServer, folder: Path, *, say: Callable[[str], None]
) -> Counts:
    """Carry out a campaign; returns what came of it."""
    server.create(DATABASE)
    begun_s = time.monotonic()
    faults = Faults()
    between = FaultyServer(server.url, faults)
    draw = random.Random(campaign.seed)
    kill_at = sorted(draw.uniform(0.02, 0.98) * campaign.seconds for _ in range(campaign.kills))
    refused = dropped = kills = 0
    problems: dict[str, str] = {}
    schedule = campaign.schedule()
    writer = _start(campaign, between.url, folder)
    down_since_s: float | None = None
    down_s = 0.0
    try:
        while not (folder / "done").exists():
            time.sleep(0.01)
            if writer.poll() is not None and not (folder / "done").exists():
                raise RuntimeError(f"the writer ended by itself with {writer.returncode}")
            second = _progress(folder)
            while schedule and second >= schedule[0][0]:
                kind = schedule.pop(0)[1]
                say(f"second {second}: {kind}")
                if "down" in kind and down_since_s is None:
                    server.stop_database(kill=True)
                    down_since_s = time.monotonic()
                if "down" not in kind and down_since_s is not None:
                    server.start_database()
                    down_s += time.monotonic() - down_since_s
                    down_since_s = None
                (folder / "disk-full").touch() if "disk full" in kind else (
                    folder / "disk-full"
                ).unlink(missing_ok=True)
                faults.kind = "pass" if kind in ("down", "disk full, down", "disk full") else kind
            _note(folder, problems)
            if kill_at and second >= kill_at[0]:
                kill_at.pop(0)
                time.sleep(draw.uniform(0.0, 0.05))
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                kills += 1
                say(f"second {second}: kill -9")
                writer = _start(campaign, between.url, folder)
        writer.wait(60.0)
    finally:
        if writer.poll() is None:
            writer.kill()
            writer.wait()
        between.stop()
    dropped = int(str(_status(folder)["dropped"]))
    refused = _refused(folder)
    stored, wrong = _stored(campaign, server)
    bad = campaign.seconds // BAD_EVERY_S
    return Counts(
        points=campaign.points,
        seconds=campaign.seconds,
        rows_sent=campaign.points * campaign.seconds,
        rows_stored=stored,
        values_wrong=wrong,
        bad_sent=bad,
        refused=refused,
        dropped=dropped,
        kills=kills,
        answers=dict(faults.answers),
        problems=tuple(problems.values()),
        down_s=down_s,
        took_s=time.monotonic() - begun_s,
    )


def _start(campaign: Campaign, url: str, folder: Path) -> "subprocess.Popen[bytes]":
    arguments = [
        *(str(folder), url),
        *(str(n) for n in (campaign.points, campaign.rate, campaign.seconds)),
        *(DATABASE, str(START_S), str(BAD_EVERY_S), "200000"),
    ]
    with (folder / "writer.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def _progress(folder: Path) -> int:
    path = folder / "now"
    return int(path.read_text() or 0) if path.exists() else 0


def _status(folder: Path) -> dict[str, object]:
    path = folder / "status"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _note(folder: Path, problems: dict[str, str]) -> None:
    """Keep one problem of each kind, as an operator would read it."""
    text = str(_status(folder).get("problem", ""))
    for mark in ("502", "429", "401", "no space left", "refused", "in memory"):
        if mark in text and mark not in problems:
            problems[mark] = text[:400]


def _refused(folder: Path) -> int:
    """Return how many different lines were kept aside as refused."""
    from coolcap_agent.sink.spool import Spool

    spool = Spool(folder / "spool.sqlite", bytes_max=10**9)
    lines = {line for _, line in spool.refused()}
    spool.close()
    return len(lines)


def _stored(campaign: Campaign, server: LocalInfluxServer) -> tuple[int, int]:
    """Return the rows in the database, and for how many windows the values do not add up."""
    end = START_S + campaign.seconds
    query = (
        'SELECT count("gpu_power_w") AS n, sum("gpu_power_w") AS total FROM "gpu" '
        f"WHERE time >= {START_S}s AND time < {end}s GROUP BY time({WINDOW_S}s)"
    )
    ((series,),) = server.query(query, database=DATABASE, timeout_s=COUNT_WITHIN_S)
    stored = wrong = 0
    for i, time_ms in enumerate(series.columns["time"]):
        begin = max(0, time_ms // 1000 - START_S)
        seconds = range(begin, min(time_ms // 1000 - START_S + WINDOW_S, campaign.seconds))
        stored += int(series.columns["n"][i])
        # Whole numbers, so that their sum is exact.
        expected = campaign.points * sum(second % 997 for second in seconds)
        wrong += (series.columns["total"][i] or 0) != expected
    return stored, wrong
