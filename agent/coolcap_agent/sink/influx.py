"""InfluxDB 1.8+, 2.x and 3.x through ``influxdb-client``, with a durable spool in front.

The client is used in its synchronous mode only, one call per batch of bytes, from one thread. Its
batching mode keeps lines in memory: those are lost when the interpreter ends by any way but an
explicit ``write_api.close()`` (its own exit hook comes too late, see influxdb-client-python issue
644), and after five failed attempts. The synchronous mode holds nothing back; what was not
confirmed is in the spool and is sent after the next start.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from coolcap_agent.sink.base import SinkStatus
from coolcap_agent.sink.delivery import Answer, Delivery
from coolcap_agent.sink.spare import SpareSpool
from coolcap_agent.sink.spool import Spool, SpoolError

if TYPE_CHECKING:
    from influxdb_client.client.write_api import WriteApi

LINES_PER_REQUEST: Final = 5000
"""What InfluxDB's documentation recommends for a batch."""
BACK_OFF_FIRST_S: Final = 0.5
BACK_OFF_MAX_S: Final = 10.0
"""Bounds the time dashboards stay empty after an outage."""
CLOSE_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxTarget:
    """Where lines go.

    Attributes:
        url: For example ``http://127.0.0.1:8086``.
        org: Organisation; anything for versions without them.
        bucket: Bucket, or ``database/retention`` before 2.x.
        token: API token, ``user:password`` before 2.x.
        timeout_s: Longest wait for an answer.
    """

    url: str
    org: str
    bucket: str
    token: str
    timeout_s: float = 10.0


class Post(Protocol):
    """Sends lines to the database and tells what it answered."""

    def __call__(self, body: bytes) -> Answer:
        """Send lines; never raises for what a server or network does."""
        ...


class InfluxSink:
    """Spools lines and sends them from a thread of its own.

    Args:
        post: From :func:`influx_post`.
        spool: Where lines wait.
        name: The destination, for messages.
        jitter: Random factor on waits, 0 to 1 of them; injected by tests.
    """

    def __init__(
        self,
        post: Post,
        spool: Spool,
        *,
        name: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._spool = SpareSpool(spool)
        self._delivery = Delivery(post, self._spool)
        self._name = name
        self._jitter = jitter
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._read_problem = ""
        self._wait_s = 0.0
        self._thread = threading.Thread(target=self._run, name="influx-sender", daemon=True)
        self._thread.start()

    def write(self, body: bytes) -> None:
        """Put lines into the spool, or into memory while the disk takes nothing."""
        if body:
            self._spool.put(body)
            self._wake.set()

    def status(self) -> SinkStatus:
        """Return how delivery is doing."""
        delivery = self._delivery
        problems = [self._spool.problem, self._read_problem, delivery.problem]
        return SinkStatus(
            written=delivery.written,
            waiting=self._spool.waiting,
            dropped=self._spool.dropped + delivery.refusals.count,
            problem="; ".join(f"{self._name}: {problem}" for problem in problems if problem),
        )

    def close(self) -> None:
        """Send what can be sent in a moment; the rest stays in the spool for the next start."""
        self._stop.set()
        self._wake.set()
        self._thread.join(CLOSE_WITHIN_S + 1.0)
        if not self._thread.is_alive():
            self._spool.close()

    def _run(self) -> None:
        newest = False
        deadline = float("inf")
        while time.monotonic() < deadline:
            if self._stop.is_set() and deadline == float("inf"):
                deadline = time.monotonic() + CLOSE_WITHIN_S
            # Alternating ends: after an outage a dashboard is current at once and whole later.
            newest = not newest
            try:
                batches = self._spool.take(newest=newest, line_count_max=LINES_PER_REQUEST)
                wanted_s = self._delivery.send(batches) if batches else None
            except SpoolError as error:
                self._read_problem = str(error)
                wanted_s, batches = 0.0, []
            else:
                self._read_problem = ""
            if wanted_s is not None:
                if not self._back_off(wanted_s):
                    return
            elif batches:
                self._wait_s = 0.0
            else:
                if self._stop.is_set():
                    return
                self._wake.wait()
                self._wake.clear()

    def _back_off(self, wanted_s: float) -> bool:
        """Wait, longer each time in a row; return False if the sink is closed meanwhile."""
        self._wait_s = min(max(2.0 * self._wait_s, BACK_OFF_FIRST_S), BACK_OFF_MAX_S)
        return not self._stop.wait(max(wanted_s, self._wait_s * (0.5 + 0.5 * self._jitter())))


def influx_post(target: InfluxTarget) -> Post:
    """Return a function that sends lines with ``influxdb-client``. Connects with its first call."""
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException
    from urllib3 import Retry
    from urllib3.exceptions import HTTPError

    client = InfluxDBClient(
        url=target.url,
        token=target.token,
        org=target.org,
        timeout=int(target.timeout_s * 1000),
        enable_gzip=True,
        retries=Retry(0),
    )
    api: WriteApi = client.write_api(write_options=SYNCHRONOUS)

    def post(body: bytes) -> Answer:
        try:
            api.write(bucket=target.bucket, record=body)
        except ApiException as error:
            headers = cast("Mapping[str, str]", error.headers or {})
            return Answer(
                status=int(error.status or 0),
                message=str(error.message or error.body or error.reason or ""),
                retry_after_s=_retry_after_s(headers.get("Retry-After", "")),
            )
        except (HTTPError, OSError) as error:
            return Answer(status=0, message=str(error))
        return Answer(status=204, message="")

    return post


def _retry_after_s(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def open_influx_sink(target: InfluxTarget, *, spool_path: Path, spool_bytes_max: int) -> InfluxSink:
    """Return a sink to ``target``; the server may be away. Raises SpoolError."""
    spool = Spool(spool_path, bytes_max=spool_bytes_max)
    return InfluxSink(influx_post(target), spool, name=f"InfluxDB {target.url}")
