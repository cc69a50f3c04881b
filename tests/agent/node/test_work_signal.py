"""Work that the application counts takes the place of the estimate, and the other way round."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from coolcap_agent.logging import FaultLog
from coolcap_agent.node.sampler import GpuSample
from coolcap_agent.node.work_signal import (
    WorkError,
    WorkSignal,
    WorkSource,
    count,
    read_work_sources,
)
from coolcap_envs.contract.config import Table
from coolcap_proto.v1 import node_agent_pb2
from support.fake_points import HandClock
from support.samples import node_sample
from support.small_node import SmallNode

TEXT = """# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 1000.0
vllm:generation_tokens_total{engine="1",model_name="m"} 500.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 7.0
"""


def source(path: Path, **changes: object) -> WorkSource:
    fields: dict[str, object] = {
        "url": "",
        "file": str(path),
        "counter": "steps_total",
        "uncapped_rate_per_s": 100.0,
        "gpus": ("*",),
        "period_s": 5.0,
    }
    return WorkSource(**{**fields, **changes})  # type: ignore[arg-type]


@contextmanager
def serving(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()


def test_all_series_of_the_counter_are_added_up(tmp_path: Path) -> None:
    with serving(TEXT) as url:
        asked = source(tmp_path, url=url, file="", counter="vllm:generation_tokens_total")
        assert count(asked) == 1500.0


def test_openmetrics_with_its_end_mark_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "work.prom"
    file.write_text("# TYPE steps counter\nsteps_total 12.0\n# EOF\n")

    assert count(source(file)) == 12.0


@pytest.mark.parametrize("text", ["other_total 1\n", "steps_total many\n", ""])
def test_answer_without_the_counter_is_an_error_that_names_the_source(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "work.prom"
    file.write_text(text)

    with pytest.raises(WorkError, match=r"work at .*work\.prom cannot be read"):
        count(source(file))


class Bench:
    """A signal over one file, with time in the test's hand."""

    def __init__(self, file: Path, **changes: object) -> None:
        self.file, self.clock = file, HandClock(0.0)
        self.faults = FaultLog(logging.getLogger("test"))
        self.signal = WorkSignal(self.faults, self.clock.mono_s)
        self.signal.add(source(file, **changes))

    async def at(self, time_s: float, counted: float | None) -> GpuSample:
        """Let the counter stand at a value and return the sample after it was asked for."""
        self.file.unlink(missing_ok=True)
        if counted is not None:
            self.file.write_text(f"steps_total {counted}\n")
        self.clock.time_s = time_s
        gpus = node_sample().gpus
        self.signal.measured(gpus)
        for seen in self.signal._sources:
            assert seen.task is not None
            await seen.task
        return self.signal.measured(gpus)[0]


def test_rate_is_the_counters_growth_over_what_is_possible(tmp_path: Path) -> None:
    async def play() -> None:
        bench = Bench(tmp_path / "work.prom")
        first = await bench.at(0.0, 1000.0)
        second = await bench.at(10.0, 1600.0)
        third = await bench.at(20.0, 2100.0)
        bench.signal.close()

        assert not first.work_measured
        assert second.reading is not None
        assert third.reading is not None
        assert second.work_measured
        assert second.reading.work_rate_ratio == pytest.approx(0.6)
        assert third.reading.work_rate_ratio == pytest.approx(0.5)
        assert third.reading.work_gpu_h > second.reading.work_gpu_h

    asyncio.run(play())


def test_source_that_is_silent_gives_way_to_the_estimate_and_work_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        bench = Bench(tmp_path / "work.prom")
        await bench.at(0.0, 1000.0)
        measured = await bench.at(10.0, 1600.0)
        estimated = await bench.at(30.0, None)
        assert "estimated from clocks" in next(iter(bench.faults.present.values()))
        await bench.at(40.0, 2000.0)
        again = await bench.at(50.0, 2500.0)
        bench.signal.close()

        assert measured.work_measured
        assert not estimated.work_measured
        assert again.work_measured
        assert measured.reading
        assert estimated.reading
        assert again.reading
        assert estimated.reading.work_rate_ratio == 1.0  # as the sample says
        assert measured.reading.work_gpu_h < estimated.reading.work_gpu_h
        assert estimated.reading.work_gpu_h < again.reading.work_gpu_h
        assert bench.faults.present == {}

    asyncio.run(play())


def test_counter_that_begins_anew_gives_no_negative_work(tmp_path: Path) -> None:
    async def play() -> GpuSample:
        bench = Bench(tmp_path / "work.prom")
        await bench.at(0.0, 1000.0)
        await bench.at(10.0, 1600.0)
        sample = await bench.at(20.0, 5.0)
        bench.signal.close()
        return sample

    sample = asyncio.run(play())

    assert sample.reading is not None
    assert sample.reading.work_rate_ratio == pytest.approx(0.6)


def test_gpu_of_no_source_keeps_the_estimate(tmp_path: Path) -> None:
    async def play() -> GpuSample:
        bench = Bench(tmp_path / "work.prom", gpus=("GPU-other",))
        await bench.at(0.0, 1000.0)
        sample = await bench.at(10.0, 1600.0)
        bench.signal.close()
        return sample

    assert not asyncio.run(play()).work_measured


def test_telemetry_says_where_the_work_rate_is_from(node: SmallNode) -> None:
    file = node.folder / "work.prom"
    file.write_text("steps_total 0\n")
    limits = (
        '[limits]\n[[work]]\nfile = "work.prom"\ncounter = "steps_total"\n'
        "uncapped_rate_per_s = 10.0\nperiod_s = 1.0\n"
    )

    async def play() -> None:
        async with node.serve(node.config(limits=limits)) as served:
            told = (await served.telemetry()).gpus[0].work_rate_source
            assert told == node_agent_pb2.WORK_RATE_SOURCE_CLOCK_NORMALISED
            step = 0
            while told != node_agent_pb2.WORK_RATE_SOURCE_APPLICATION:
                step += 1
                file.write_text(f"steps_total {5 * step}\n")
                node.mono.time_s += 1.0
                told = (await served.telemetry()).gpus[0].work_rate_source
                await asyncio.sleep(0.01)  # a thread reads the file meanwhile

    asyncio.run(play())


def test_all_mistakes_of_a_source_are_told_at_once(tmp_path: Path) -> None:
    root = Table(
        {"work": [{"url": "ftp://x", "file": "y", "period_s": 0.1, "typo": 1}]},
        path="",
        problems=[],
    )

    read_work_sources(root, folder=tmp_path)

    text = "\n".join(root.problems)
    for part in ("both", "http://", "counter", "uncapped_rate_per_s", "period_s", "typo"):
        assert part in text
