"""Speed on this machine: environment steps, training samples, and the policy's latency."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from coolcap_envs.contract.policy import Policy, PolicyBundle
from coolcap_envs.gym.vector import DataCenterVectorEnv
from coolcap_envs.physics import hall
from coolcap_training.checkpoint import new_policy
from coolcap_training.config import read_config
from coolcap_training.export import export
from coolcap_training.train import train

GROUP_COUNT: Final = 1250
"""Groups of the largest hall the policy's latency is promised for: 10,000 GPUs, 8 to a group."""
BATCHES: Final = {"lab-16": 1024, "air-1mw": 256, "dlc-rack-scale": 256}
"""Sites that are timed, with the episodes side by side."""
MEMORY_BATCH: Final = 1024
"""Episodes side by side whose memory is measured."""
REPEATS: Final = 5
"""Each speed is the median of as many measurements."""
TRAINING: Final[dict[str, Any]] = {
    "duration_s": 21_600.0,
    "randomise_ratio": 1.0,
    "any_hour": True,
    "work_value": (1.0, 4.0),
}
"""Episodes as training has them; the plants of ended ones are drawn anew within the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSpeed:
    """What one site's environment costs, under random actions.

    Attributes:
        batch_size: Episodes side by side.
        threads: Threads they share.
        steps_per_s: Control steps of one episode per second of wall-clock time.
        steps_per_cpu_s: The same per second of one core, whatever else the machine does.
        physics_us: CPU time of a step that goes into the plant, of all substeps.
        control_us: Into decoding, shield, sensors, rule, observation and reward.
        python_us: Into everything around the compiled step, starts of episodes included.
        first_call_s: Time to make and reset an environment and step it once in a process that has
            imported it, with compiled code in the cache.
        memory_mb: Memory of that process at ``MEMORY_BATCH`` episodes, everything included.
    """

    batch_size: int
    threads: int
    steps_per_s: float
    steps_per_cpu_s: float
    physics_us: float
    control_us: float
    python_us: float
    first_call_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What :func:`bench` measured.

    Attributes:
        env_steps_per_s: Control steps of ``lab-16`` per second, all cores.
        env_steps_per_s_by_site: The same for each of ``BATCHES``.
        env: What the steps cost, by site.
        train_steps_per_s: Samples per second of training, rollouts and updates together.
        policy_p50_ms: Median time from observation to action at ``GROUP_COUNT`` groups.
        policy_p99_ms: 99th percentile of the same.
        cores: Cores of this machine.
        load: Runnable processes, mean over the minute before.
    """

    env_steps_per_s: float
    env_steps_per_s_by_site: dict[str, float]
    env: dict[str, EnvSpeed]
    train_steps_per_s: float
    policy_p50_ms: float
    policy_p99_ms: float
    cores: int
    load: float

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return asdict(self)


def _timed(run: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of a call, mean over calls that take ``seconds``."""
    calls = 0
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    while calls == 0 or time.perf_counter() - wall_s < seconds:
        run()
        calls += 1
    return (time.perf_counter() - wall_s) / calls, (time.process_time() - cpu_s) / calls


def env_speed(site: str, *, batch_size: int, threads: int, seconds: float) -> EnvSpeed:
    """Return what the environment of a site costs under random actions.

    Args:
        site: Its name.
        batch_size: Episodes side by side.
        threads: Threads they share.
        seconds: Time spent measuring.
    """
    env = DataCenterVectorEnv(batch_size, site, threads=threads, **TRAINING)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    turn = iter(range(10**12))

    def step() -> None:
        env.step(actions[next(turn) % len(actions)])

    plant = env.episodes.plant
    groups = np.zeros((batch_size, plant.layout.group_count))
    levers = np.zeros((batch_size, plant.layout.plant_levers.size))
    engine = env.episodes.engine
    step()
    whole = [_timed(step, seconds / (2 * REPEATS)) for _ in range(REPEATS)]
    kernel = [
        _timed(lambda: engine.step(groups, levers, is_action=True), seconds / (4 * REPEATS))
        for _ in range(REPEATS)
    ]
    physics = [
        _timed(lambda: hall.advance(plant.batch, substeps=6), seconds / (4 * REPEATS))
        for _ in range(REPEATS)
    ]
    to_us = 1e6 / batch_size
    wall_s = statistics.median(w for w, _ in whole)
    whole_s, kernel_s, physics_s = (
        statistics.median(cpu for _, cpu in part) for part in (whole, kernel, physics)
    )
    first_call_s, memory_mb = _in_new_process(site)
    return EnvSpeed(
        batch_size=batch_size,
        threads=threads,
        steps_per_s=batch_size / wall_s,
        steps_per_cpu_s=batch_size / whole_s,
        physics_us=physics_s * to_us,
        control_us=(kernel_s - physics_s) * to_us,
        python_us=(whole_s - kernel_s) * to_us,
        first_call_s=first_call_s,
        memory_mb=memory_mb,
    )


_FIRST_CALL: Final = """
import json, resource, sys, time
from coolcap_envs.gym.vector import DataCenterVectorEnv
started_s = time.perf_counter()
env = DataCenterVectorEnv(1, sys.argv[1])
env.reset(seed=0)
env.step(env.action_space.sample())
first_s = time.perf_counter() - started_s
env = DataCenterVectorEnv(int(sys.argv[2]), sys.argv[1])
env.reset(seed=0)
env.step(env.action_space.sample())
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
print(json.dumps([first_s, peak_mb]))
"""


def _in_new_process(site: str) -> tuple[float, float]:
    """Return the time of the first call, s, and the peak of memory at ``MEMORY_BATCH``, MB."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_CALL, site, str(MEMORY_BATCH)],
        capture_output=True,
        text=True,
        check=True,
    )
    first_call_s, memory_mb = json.loads(done.stdout)
    return float(first_call_s), float(memory_mb)


def train_steps_per_s(*, samples: int) -> float:
    """Return samples per second of a short run with the smoke settings."""
    config = replace(read_config("smoke"), n_timesteps=samples)
    with tempfile.TemporaryDirectory() as folder:
        return train(config, seed=0, folder=Path(folder)).steps_per_s


def latencies_ms(policy: Policy, *, group_count: int, calls: int) -> list[float]:
    """Return the time of each call of ``policy`` on a random observation of a site."""
    random = np.random.default_rng(0)

    def draw(features: tuple[object, ...], *lead: int) -> np.ndarray:
        return random.random((*lead, len(features)))

    observation = Observation(groups=draw(GROUP_FEATURES, group_count), plant=draw(PLANT_FEATURES))
    act: Callable[[Observation], object] = policy.act
    for _ in range(20):
        act(observation)
    times: list[float] = []
    for _ in range(calls):
        started_s = time.perf_counter()
        act(observation)
        times.append(1000.0 * (time.perf_counter() - started_s))
    return times


def bench(*, seconds: float, samples: int, calls: int) -> Speed:
    """Measure everything; the policy is an untrained one of the shipped size.

    Args:
        seconds: Time spent measuring each site's environment.
        samples: Samples of the training run.
        calls: Calls of the policy.
    """
    cores = len(os.sched_getaffinity(0))
    env = {
        site: env_speed(site, batch_size=count, threads=cores, seconds=seconds)
        for site, count in BATCHES.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        bundle: PolicyBundle = export(
            new_policy(read_config("smoke").net_width),
            Path(folder),
            name="untrained",
            sites=(),
            training={},
            metrics={},
        )
    times = latencies_ms(bundle, group_count=GROUP_COUNT, calls=calls)
    return Speed(
        env_steps_per_s=env["lab-16"].steps_per_s,
        env_steps_per_s_by_site={site: speed.steps_per_s for site, speed in env.items()},
        env=env,
        train_steps_per_s=train_steps_per_s(samples=samples),
        policy_p50_ms=float(np.quantile(times, 0.5)),
        policy_p99_ms=float(np.quantile(times, 0.99)),
        cores=cores,
        load=os.getloadavg()[0],
    )
