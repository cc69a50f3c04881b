"""Speed on this machine: environment steps, training samples, and the policy's latency."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from coolcap_envs.contract.policy import Policy, PolicyBundle
from coolcap_envs.gym.vector import DataCenterVectorEnv
from coolcap_training.checkpoint import new_policy
from coolcap_training.config import read_config
from coolcap_training.export import export
from coolcap_training.train import train

GROUP_COUNT: Final = 1250
"""Groups of the largest hall the policy's latency is promised for: 10,000 GPUs, 8 to a group."""
BATCHES: Final = {"lab-16": 256, "air-1mw": 64}
"""Sites that are timed, with the episodes side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What :func:`bench` measured.

    Attributes:
        env_steps_per_s: Control steps of ``lab-16`` per second, one core.
        env_steps_per_s_by_site: The same for each of ``BATCHES``.
        train_steps_per_s: Samples per second of training, rollouts and updates together.
        policy_p50_ms: Median time from observation to action at ``GROUP_COUNT`` groups.
        policy_p99_ms: 99th percentile of the same.
    """

    env_steps_per_s: float
    env_steps_per_s_by_site: dict[str, float]
    train_steps_per_s: float
    policy_p50_ms: float
    policy_p99_ms: float

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return asdict(self)


def env_steps_per_s(site: str, *, batch_size: int, seconds: float) -> float:
    """Return control steps per second of a batch under random actions."""
    env = DataCenterVectorEnv(batch_size, site, duration_s=3600.0)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    env.step(actions[0])
    steps = 0
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < seconds:
        env.step(actions[steps % len(actions)])
        steps += 1
    return steps * batch_size / (time.perf_counter() - started_s)


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
        seconds: Time spent on each site's environment.
        samples: Samples of the training run.
        calls: Calls of the policy.
    """
    by_site = {
        site: env_steps_per_s(site, batch_size=count, seconds=seconds)
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
        env_steps_per_s=by_site["lab-16"],
        env_steps_per_s_by_site=by_site,
        train_steps_per_s=train_steps_per_s(samples=samples),
        policy_p50_ms=float(np.quantile(times, 0.5)),
        policy_p99_ms=float(np.quantile(times, 0.99)),
    )
