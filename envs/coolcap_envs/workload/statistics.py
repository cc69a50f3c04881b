"""Statistics of recorded work, and the generator's parameters that have the same ones.

A course of load is cut into pauses, bursts and the rest by two thresholds relative to its mean;
each of the generator's parameters is estimated from one of the parts. How well that describes the
recording is seen by drawing from the generator and taking the same statistics.
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import BoolArray, FloatArray
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.workload.alibaba import Jobs
from coolcap_envs.workload.azure import Requests
from coolcap_envs.workload.demand import BLOCK_STEPS, DEMAND_STEP_S, DemandGenerator

_PAUSE_BELOW: Final = 0.1
_BURST_ABOVE: Final = 2.0
_SIZED_QUANTILE: Final = 0.95
"""Replicas are sized so that the load of 95 % of all steps fits them. Assumption."""
_HOUR_S: Final = 3600.0
_SIMULATED_H: Final = 24
_SIMULATED_GROUPS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a course of load is like; loads are relative to its mean.

    Attributes:
        variation_ratio: Standard deviation over mean.
        correlation: Of neighbouring steps of 30 s.
        pause_share: Share of steps below a tenth of the mean.
        burst_share: Share of steps above twice the mean.
        median: Load that half of all steps exceed.
        high: Load that 5 % of all steps exceed.
        top: Load that 1 % of all steps exceed.
    """

    variation_ratio: float
    correlation: float
    pause_share: float
    burst_share: float
    median: float
    high: float
    top: float

    @classmethod
    def of(cls, loads: FloatArray) -> "Course":
        """Return the statistics of courses, shape ``[T]`` or ``[T, N]``."""
        relative = np.atleast_2d(loads.T).T / loads.mean()
        before, after = relative[:-1].ravel(), relative[1:].ravel()
        median, high, top = np.quantile(relative, (0.5, _SIZED_QUANTILE, 0.99))
        return cls(
            variation_ratio=float(relative.std()),
            correlation=float(np.corrcoef(before, after)[0, 1]),
            pause_share=float((relative < _PAUSE_BELOW).mean()),
            burst_share=float((relative > _BURST_ABOVE).mean()),
            median=float(median),
            high=float(high),
            top=float(top),
        )

    def items(self) -> dict[str, float]:
        """Return every statistic by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _run_steps(where: BoolArray) -> float:
    """Return the mean length of unbroken runs, in steps; 0 if there are none."""
    edges = np.diff(np.concatenate([[0], where.astype(np.int8), [0]]))
    return float(where.sum()) / max(int((edges == 1).sum()), 1)


def _generated_run(steps: float) -> tuple[float, float]:
    """Return the generator's parameter for runs of a mean length, and the length it then makes.

    A run lasts ``1 + ceil(X/30 s)`` steps with X exponential of mean m: ``1 + 1/(1 - exp(-30/m))``
    on average, and never below two.
    """
    wanted = max(steps, 2.05)
    mean_s = -DEMAND_STEP_S / np.log(1.0 - 1.0 / (wanted - 1.0))
    return float(mean_s), wanted


def _starts_per_h(share: float, *, steps: float) -> float:
    """Return how often the generator must start runs of ``steps`` that take a share of all steps.

    In each step outside a run one starts with probability p, so ``(1 - p)/p`` steps lie between
    two, and ``share = steps/(steps + (1 - p)/p)``.
    """
    if share <= 0.0:
        return 0.0
    chance = 1.0 / (1.0 + steps * (1.0 - share) / share)
    return chance * _HOUR_S / DEMAND_STEP_S


def _below(value: float, *, mean: float, deviation: float) -> float:
    """Return the chance of a normal number to be below ``value``."""
    if deviation <= 0.0:
        return float(mean < value)
    return 0.5 * (1.0 + math.erf((value - mean) / (deviation * math.sqrt(2.0))))


def fit_course(relative: FloatArray) -> dict[str, float]:
    """Return the generator's parameters for a course of load with mean 1, shape ``[T]``.

    What it returns scales the course so that ``_SIZED_QUANTILE`` of its steps fit a GPU.
    """
    scale = 1.0 / float(np.quantile(relative, _SIZED_QUANTILE))
    is_pause, is_burst = relative < _PAUSE_BELOW, relative > _BURST_ABOVE
    is_base = ~is_pause & ~is_burst
    base = float(relative[is_base].mean())
    pairs = is_base[:-1] & is_base[1:]
    noise = float(relative[is_base].std()) / base
    correlation = (
        float(np.corrcoef(relative[:-1][pairs], relative[1:][pairs])[0, 1])
        if pairs.sum() > 2
        else 0
    )
    fitted = {
        "load_mean_ratio": base * scale,
        "noise_ratio": min(noise, 1.0),
        "noise_time_s": -DEMAND_STEP_S / np.log(np.clip(correlation, 0.01, 0.99)),
    }
    # Noise alone dips into what counts as a pause; a burst within a pause is silent.
    dips = _below(_PAUSE_BELOW / base, mean=1.0, deviation=noise)
    pause_share = max(float(is_pause.mean()) - dips, 0.0) / (1.0 - dips)
    burst_share = float(is_burst.mean()) / max(1.0 - float(is_pause.mean()), 1e-9)
    for name, part, share in (("burst", is_burst, burst_share), ("pause", is_pause, pause_share)):
        mean_s, steps = _generated_run(_run_steps(part))
        fitted[f"{name}_mean_s"] = mean_s
        fitted[f"{name}_per_h"] = _starts_per_h(share, steps=steps)
    if is_burst.any():
        fitted["burst_ratio"] = (float(relative[is_burst].mean()) - base) * scale
    if is_pause.any():
        fitted["pause_load_ratio"] = float(relative[is_pause].mean()) / base
    return {name: float(value) for name, value in fitted.items()}


def fit_requests(requests: Requests) -> dict[str, dict[str, float]]:
    """Return the parameters of the two classes an LLM service consists of."""
    return {
        "prefill": fit_course(requests.per_step(requests.context_tokens)),
        "decode": fit_course(requests.per_step(requests.generated_tokens)),
    }


def fit_jobs(jobs: Jobs) -> dict[str, dict[str, float]]:
    """Return share of GPU time and mean duration of the classes a cluster's jobs belong to."""
    gpu_h = jobs.run_s * jobs.gpu_count / _HOUR_S
    fitted: dict[str, dict[str, float]] = {}
    for k, name in enumerate(WORKLOAD_CLASSES):
        of_class = jobs.work_class == k
        if of_class.any():
            fitted[name] = {
                "share_ratio": float(gpu_h[of_class].sum() / gpu_h.sum()),
                "job_mean_h": max(
                    float(gpu_h[of_class].sum() / jobs.gpu_count[of_class].sum()), 0.1
                ),
            }
    return fitted


def arrivals(jobs: Jobs) -> dict[str, float]:
    """Return what the generator does not have: how jobs arrive, and how unequal they are."""
    busy = jobs.arrival_s >= np.quantile(jobs.arrival_s, 0.1)
    hour = (jobs.arrival_s[busy] // _HOUR_S).astype(np.int64)
    per_hour = np.bincount(hour - hour.min()).astype(np.float64)
    angle = 2.0 * np.pi * hour / 24.0
    run_h = jobs.run_s / _HOUR_S
    return {
        "per_hour": float(per_hour.mean()),
        "variation_ratio": float(per_hour.std() / per_hour.mean()),
        "daily_swing_ratio": float(2.0 * np.abs(np.exp(1j * angle).mean())),
        "run_mean_h": float(run_h.mean()),
        "run_median_h": float(np.median(run_h)),
        "several_gpus_share": float((jobs.gpu_count > 1).mean()),
    }


def generated(table: FloatArray, work_class: int) -> Course:
    """Return the statistics of a class as the generator draws it.

    Args:
        table: See :func:`coolcap_envs.workload.demand.class_table`.
        work_class: Index into ``WORKLOAD_CLASSES``.
    """
    alone = table.copy()
    alone[:, 0] = 0.0  # share_ratio: nothing but this class
    alone[work_class, 0] = 1.0
    generator = DemandGenerator(alone, _SIMULATED_GROUPS, np.random.default_rng(0))
    demand = np.zeros((_SIMULATED_H, BLOCK_STEPS, _SIMULATED_GROUPS))
    classes: NDArray[np.int8] = np.zeros(demand.shape, dtype=np.int8)
    for hour in range(_SIMULATED_H):
        generator.fill(demand[hour], classes[hour], local_hour=float(hour))
    return Course.of(demand.reshape(-1, _SIMULATED_GROUPS))
