"""The soak: a controller as one runs it, over a simulated fleet, with its cost and delays measured.

Simulated are GPUs, plant and (see ``light_node``) journals of the agents. Real are the controller's
process with its whole loop, decisions, log and metrics; one gRPC server with a certificate of its
own per node, or per relay with its nodes in the same process; mutual TLS; leases; all on the
loopback interface.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from coolcap_agent.controller.pulse import quantile_s
from coolcap_agent.demo.processes import free_port
from coolcap_agent.soak.fleet_site import FleetShape, write_config, write_events, write_folder
from coolcap_envs.contract.errors import CoolcapError

START_PATIENCE_S: Final = 180.0
SETTLE_S: Final = 30.0
"""Left out at the start: connecting, first leases, caches."""
LOOK_PERIOD_S: Final = 15.0
COMMAND_P99_MAX_S: Final = 0.1
CPU_MAX_RATIO: Final = 0.6
MEMORY_MAX_MB: Final = 400.0
GROWTH_MAX_MB_PER_H: Final = 10.0
"""Below this a run of minutes cannot tell growth from noise of the allocator."""


class SoakError(CoolcapError):
    """The fleet or the controller did not come up, or ended early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakResult:
    """What the soak measured, after the start.

    Attributes:
        shape: The fleet.
        span_s: How long was measured.
        cpu_ratio: CPU time of the controller over time; 1 is one core.
        cpu_s: The same in seconds.
        memory_max_mb: Most memory it had.
        growth_mb_per_h: Slope of its memory, least squares.
        tick_count: Ticks made.
        missed_count: Fast ticks that did not take place.
        tick_p99_s: Bound on the 99th percentile of a tick's duration.
        command_count: Commands answered by agents.
        command_p99_s: Bound on the 99th percentile from reading telemetry to the agent's answer.
        unanswered_count: Commands without an answer in time.
        connected_min: Fewest agents connected at any look.
        host_cpu_ratio: CPU of the process that hosts the fleet.
        load: Mean load of the machine, all processes.
    """

    shape: FleetShape
    span_s: float
    cpu_ratio: float
    cpu_s: float
    memory_max_mb: float
    growth_mb_per_h: float
    tick_count: int
    missed_count: int
    tick_p99_s: float
    command_count: int
    command_p99_s: float
    unanswered_count: int
    connected_min: int
    host_cpu_ratio: float
    load: float

    def misses(self) -> list[str]:
        """Return which targets were not reached, in words."""
        found = []
        if self.missed_count:
            found.append(f"{self.missed_count} fast ticks did not take place (none may)")
        if not self.command_p99_s <= COMMAND_P99_MAX_S:
            found.append(
                f"commands: p99 {self.command_p99_s:g} s (at most {COMMAND_P99_MAX_S:g} s)"
            )
        if self.cpu_ratio > CPU_MAX_RATIO:
            found.append(f"CPU {self.cpu_ratio:.0%} of a core (at most {CPU_MAX_RATIO:.0%})")
        if self.memory_max_mb > MEMORY_MAX_MB:
            found.append(f"memory {self.memory_max_mb:.0f} MB (at most {MEMORY_MAX_MB:.0f} MB)")
        allowed_mb = GROWTH_MAX_MB_PER_H * max(1.0, 3600.0 / self.span_s)
        if self.growth_mb_per_h > allowed_mb:
            found.append(f"memory grows {self.growth_mb_per_h:.1f} MB/h (at most {allowed_mb:.0f})")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One look at the two processes."""

    mono_s: float
    cpu_s: float
    host_cpu_s: float
    memory_mb: float
    counters: dict[str, float]
    buckets: dict[str, list[tuple[float, int]]]


def run_fleet(
    folder: Path,
    shape: FleetShape,
    *,
    span_s: float,
    policy: str,
    settle_s: float = SETTLE_S,
    progress: Callable[[str], None] = lambda text: None,
) -> SoakResult:
    """Run a fleet and its controller for a while and measure.

    Args:
        folder: Empty folder for everything they write.
        shape: How large the fleet is.
        span_s: How long is measured.
        policy: Folder of a bundle, or ``rule``.
        settle_s: Left out at the start.
        progress: Told what happens.

    Raises:
        SoakError: If either process fails.
    """
    write_folder(folder, shape)
    told = json.dumps({"node_count": shape.node_count, "relay_size": shape.relay_size})
    module = "coolcap_agent.soak.host"
    with _process(folder / "host.log", "-m", module, str(folder), told) as host:
        fleet_file = folder / "fleet.toml"
        _wait("the fleet", fleet_file.exists, (host,))
        agents = tomllib.loads(fleet_file.read_text(encoding="utf-8"))["agents"]
        plant = next(agent for agent in agents if agent["kind"] == "plant")
        port = free_port()
        config = write_config(
            folder,
            policy=policy,
            plant_port=int(plant["address"].rsplit(":", 1)[1]),
            metrics_port=port,
        )
        arguments = ("-m", "coolcap_agent", "control", "--config", str(config))
        with _process(folder / "control.log", *arguments) as control:
            wanted = shape.node_count + 1

            def ready() -> bool:
                counters = _counters(port)
                return counters.get("coolcap_agents_leased", 0.0) >= wanted

            _wait("every lease", ready, (host, control))
            write_events(folder, shape, start_time_s=time.time(), span_s=settle_s + span_s)
            progress(f"{wanted} agents are connected and leased; settling for {settle_s:g} s")
            time.sleep(settle_s)
            looks = [_look(control, host, port)]
            loads = []
            while (rest_s := looks[0].mono_s + span_s - time.monotonic()) > 0.0:
                time.sleep(min(LOOK_PERIOD_S, rest_s))
                if control.poll() is not None or host.poll() is not None:
                    raise SoakError(f"a process ended; logs are in {folder}")
                looks.append(_look(control, host, port))
                loads.append(os.getloadavg()[0])
                if len(looks) % 4 == 0:
                    progress(f"{looks[-1].mono_s - looks[0].mono_s:.0f} s of {span_s:.0f} s")
    return _result(shape, looks, sum(loads) / len(loads))


def _result(shape: FleetShape, looks: list[_Seen], load: float) -> SoakResult:
    first, last = looks[0], looks[-1]
    span_s = last.mono_s - first.mono_s
    times_h = [(look.mono_s - first.mono_s) / 3600.0 for look in looks]

    def counted(name: str) -> int:
        return int(last.counters[name] - first.counters[name])

    def spread(name: str) -> list[tuple[float, int]]:
        return [
            (bound_s, count - before)
            for (bound_s, count), (_, before) in zip(
                last.buckets[name], first.buckets[name], strict=True
            )
        ]

    commands = spread("coolcap_command_seconds")
    return SoakResult(
        shape=shape,
        span_s=span_s,
        cpu_ratio=(last.cpu_s - first.cpu_s) / span_s,
        cpu_s=last.cpu_s - first.cpu_s,
        memory_max_mb=max(look.memory_mb for look in looks),
        growth_mb_per_h=_slope(times_h, [look.memory_mb for look in looks]),
        tick_count=counted("coolcap_ticks_total"),
        missed_count=counted("coolcap_ticks_missed_total"),
        tick_p99_s=quantile_s(spread("coolcap_tick_seconds"), 0.99),
        command_count=commands[-1][1],
        command_p99_s=quantile_s(commands, 0.99),
        unanswered_count=counted("coolcap_commands_unanswered_total"),
        connected_min=int(min(look.counters["coolcap_agents_connected"] for look in looks)),
        host_cpu_ratio=(last.host_cpu_s - first.host_cpu_s) / span_s,
        load=load,
    )


def _slope(times: list[float], values: list[float]) -> float:
    time_mean, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - time_mean) ** 2 for t in times)
    if spread == 0.0:
        return 0.0
    return sum((t - time_mean) * (v - mean) for t, v in zip(times, values, strict=True)) / spread


@contextlib.contextmanager
def _process(log_path: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRPC_VERBOSITY": "ERROR"}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(
    what: str, ready: Callable[[], bool], processes: tuple["subprocess.Popen[bytes]", ...]
) -> None:
    end_s = time.monotonic() + START_PATIENCE_S
    while not ready():
        if any(process.poll() is not None for process in processes):
            raise SoakError(f"a process ended while {what} was waited for; see its log")
        if time.monotonic() > end_s:
            raise SoakError(f"{what} took longer than {START_PATIENCE_S:g} s")
        time.sleep(0.5)


def _look(control: "subprocess.Popen[bytes]", host: "subprocess.Popen[bytes]", port: int) -> _Seen:
    counters, buckets = _scrape(port)
    return _Seen(
        mono_s=time.monotonic(),
        cpu_s=_cpu_s(control.pid),
        host_cpu_s=_cpu_s(host.pid),
        memory_mb=_memory_mb(control.pid),
        counters=counters,
        buckets=buckets,
    )


def _counters(port: int) -> dict[str, float]:
    try:
        return _scrape(port)[0]
    except OSError:
        return {}


def _scrape(port: int) -> tuple[dict[str, float], dict[str, list[tuple[float, int]]]]:
    """Return plain samples by name, and cumulated buckets by family."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60.0) as answer:
        text = answer.read().decode()
    counters: dict[str, float] = {}
    buckets: dict[str, list[tuple[float, int]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound_s = float(sample.labels["le"])
                buckets.setdefault(family.name, []).append((bound_s, int(sample.value)))
            elif len(sample.labels) == 1:
                counters[sample.name] = sample.value
    return counters, buckets


def _cpu_s(pid: int) -> float:
    """Return CPU time of a process, all threads: fields 14 and 15 of proc(5) stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """Return resident memory of a process: field 2 of proc(5) statm, in pages."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
