"""Useful work as the application counts it, for example tokens of an inference server.

Without it work is estimated from utilisation and clock, which cannot tell waiting from working. A
source is a counter in Prometheus' text format or OpenMetrics, served over HTTP or kept in a file by
the job itself::

    [[work]]
    url = "http://127.0.0.1:8000/metrics"      # or file = "/run/training/work.prom"
    counter = "vllm:generation_tokens_total"   # all its series are added up
    uncapped_rate_per_s = 9500.0               # what its GPUs together do uncapped at full demand
    gpus = ["*"]                               # or UUIDs
    period_s = 5.0

A source that does not answer for three periods is replaced by the estimate until it does.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from coolcap_agent.daemon.worker import Worker, WorkerError
from coolcap_agent.logging import FaultLog
from coolcap_agent.node.sampler import GpuSample
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import CoolcapError

ANSWER_BYTES_MAX: Final = 8 << 20
"""Longest answer read; servers of many models show some hundred kilobytes."""
ANSWER_DEADLINE_S: Final = 2.0
STALE_PERIODS: Final = 3.0
"""A rate older than this many periods counts no more."""
SPAN_MAX_S: Final = 60.0
"""Work is not counted over a longer gap between two samples."""


class WorkError(CoolcapError):
    """A source of work does not answer, or not with its counter; says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSource:
    """A counter of useful work; exactly one of ``url`` and ``file`` is not empty."""

    url: str
    file: str
    counter: str
    uncapped_rate_per_s: float
    gpus: tuple[str, ...]
    period_s: float

    @property
    def name(self) -> str:
        """Return where it is."""
        return self.url or self.file

    def measures(self, uuid: str) -> bool:
        """Return whether a GPU does this work."""
        return "*" in self.gpus or uuid in self.gpus


def read_work_sources(root: Table, *, folder: Path) -> tuple[WorkSource, ...]:
    """Read ``[[work]]``; problems are collected in ``root.problems``."""
    return tuple(
        _read_source(table, folder=folder) for table in root.take_tables("work", needed=False)
    )


def _read_source(table: Table, *, folder: Path) -> WorkSource:
    url = table.take_str("url", default="")
    file = table.take_str("file", default="")
    if bool(url) == bool(file):
        table.complain("url", "or file is needed: one of them, not both")
    if url and not url.startswith(("http://", "https://")):
        table.complain("url", f"= {url!r} is not allowed: it must begin with http:// or https://")
    source = WorkSource(
        url=url,
        file=str(folder / file) if file else "",
        counter=table.take_str("counter"),
        uncapped_rate_per_s=table.take_float(
            "uncapped_rate_per_s", low=1e-9, high=1e15, unit="per s"
        ),
        gpus=table.take_strs("gpus", default=("*",)),
        period_s=table.take_float("period_s", low=1.0, high=600.0, unit="s", default=5.0),
    )
    table.finish()
    return source


def count(source: WorkSource) -> float:
    """Return what the counter of a source stands at; blocks. Raises WorkError."""
    # Imported here: an agent without sources need not carry them.
    import urllib.request

    from prometheus_client.parser import text_string_to_metric_families

    try:
        if source.file:
            text = Path(source.file).read_text(encoding="utf-8")
        else:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(source.url, timeout=ANSWER_DEADLINE_S) as answer:
                text = answer.read(ANSWER_BYTES_MAX).decode("utf-8")
        values = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == source.counter
        ]
    except (OSError, ValueError) as error:
        raise WorkError(f"work at {source.name} cannot be read: {error}") from error
    if not values:
        raise WorkError(f"work at {source.name} cannot be read: it has no {source.counter}")
    return math.fsum(values)


@dataclass(slots=True)
class _Seen:
    """What is known of one source."""

    source: WorkSource
    worker: Worker
    asked_s: float = -math.inf
    count: float = math.nan
    count_s: float = math.nan
    rate_ratio: float = math.nan
    rate_s: float = -math.inf
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Gpu:
    """Work of one GPU so far."""

    time_s: float = math.nan
    work_gpu_h: float = 0.0


@dataclass(slots=True)
class WorkSignal:
    """Asks all sources in the background and puts their rates into samples.

    Attributes:
        faults: Where sources that stop answering are noted.
        mono_s: Monotonic clock; the sources count by the host's.
    """

    faults: FaultLog
    mono_s: Callable[[], float]
    _sources: list[_Seen] = field(default_factory=list)
    _gpus: dict[str, _Gpu] = field(default_factory=dict)

    def add(self, source: WorkSource) -> None:
        """Ask one more source from now on."""
        self._sources.append(_Seen(source, Worker(source.name)))

    def close(self) -> None:
        """Ask no more."""
        for seen in self._sources:
            seen.worker.close()
            if seen.task is not None:
                seen.task.cancel()

    def measured(self, gpus: Sequence[GpuSample]) -> Sequence[GpuSample]:
        """Return samples with work as counted; never waits for a source."""
        if not self._sources:
            return gpus
        now_s = self.mono_s()
        for seen in self._sources:
            is_due = now_s - seen.asked_s >= seen.source.period_s
            if is_due and (seen.task is None or seen.task.done()):
                seen.asked_s = now_s
                seen.task = asyncio.create_task(self._ask(seen))
        return [self._with_work(gpu, now_s) for gpu in gpus]

    def _with_work(self, gpu: GpuSample, now_s: float) -> GpuSample:
        mine = [seen for seen in self._sources if seen.source.measures(gpu.info.uuid)]
        if not mine or gpu.reading is None:
            return gpu
        rates = [
            seen.rate_ratio
            for seen in mine
            if now_s - seen.rate_s <= STALE_PERIODS * seen.source.period_s
        ]
        # Several sources on one GPU, for example prompts and answers, each count a part of it.
        rate = math.fsum(rates) if len(rates) == len(mine) else gpu.reading.work_rate_ratio
        known = self._gpus.setdefault(gpu.info.uuid, _Gpu())
        span_s = now_s - known.time_s
        if 0.0 < span_s <= SPAN_MAX_S and not math.isnan(rate):
            known.work_gpu_h += rate * span_s / 3600.0
        known.time_s = now_s
        reading = replace(gpu.reading, work_rate_ratio=rate, work_gpu_h=known.work_gpu_h)
        return replace(gpu, reading=reading, work_measured=len(rates) == len(mine))

    async def _ask(self, seen: _Seen) -> None:
        source = seen.source
        fault = f"work {source.name}"
        try:
            now = await seen.worker.call(lambda: count(source), deadline_s=2.0 * ANSWER_DEADLINE_S)
        except (WorkError, WorkerError) as error:
            self.faults.begin(fault, f"{error}; work is estimated from clocks meanwhile")
            return
        self.faults.end(fault, f"work at {source.name} is counted again")
        now_s = self.mono_s()
        span_s, counted = now_s - seen.count_s, now - seen.count
        if span_s > 0.0 and counted >= 0.0:  # False at first, and after the counter began anew
            seen.rate_ratio = counted / span_s / source.uncapped_rate_per_s
            seen.rate_s = now_s
        seen.count, seen.count_s = now, now_s
