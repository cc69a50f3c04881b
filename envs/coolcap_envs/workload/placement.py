"""Jobs of a recording on the control groups of a site: first come, first served.

Each recorded GPU stands for one control group, whatever its size. A cluster is larger or smaller
than the site, so jobs are thinned or repeated at other times until they ask for the wanted share of
its groups. A job waits until enough are free; meanwhile no other starts. Jobs over several groups
are synchronous.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.workload.alibaba import Jobs
from coolcap_envs.workload.demand import DEMAND_STEP_S
from coolcap_envs.workload.trace import TableTrace

_SPARSE_RATIO: Final = 0.1
"""Recordings begin with few long jobs: the first tenth of arrivals only fills the site."""
_SHIFT_S: Final = 43_200.0
_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where and when a job runs."""

    job: int
    begin_s: float
    finish_s: float
    groups: tuple[int, ...]


def place(
    jobs: Jobs,
    *,
    group_count: int,
    load_of_class: FloatArray,
    busy_ratio: float = 0.9,
) -> TableTrace:
    """Return which job each group runs at each step.

    Args:
        jobs: What was recorded.
        group_count: Control groups of the site.
        load_of_class: Load a whole GPU is offered by a job of each class, shape ``[classes]``.
        busy_ratio: Share of the site's groups that jobs ask for.
    """
    begin_s = float(np.quantile(jobs.arrival_s, _SPARSE_RATIO))
    end_s = float(jobs.arrival_s[-1])
    needs = np.minimum(jobs.gpu_count, group_count)
    last_s = jobs.arrival_s + jobs.run_s
    inside_s = np.clip(last_s, begin_s, end_s) - np.clip(jobs.arrival_s, begin_s, end_s)
    asked = float((inside_s * needs).sum()) / (end_s - begin_s)
    rng = np.random.default_rng(_SEED)
    times = _times(jobs, busy_ratio * group_count / asked, rng, begin_s=begin_s, end_s=end_s)
    steps = int((end_s - begin_s) // DEMAND_STEP_S)
    demand = np.zeros((steps, group_count), dtype=np.float32)
    classes = np.full((steps, group_count), -1, dtype=np.int8)
    job = np.full((steps, group_count), -1, dtype=np.int16)
    gangs = 0
    for placed in first_come(times, needs.tolist(), group_count=group_count):
        if placed.begin_s >= end_s:
            break
        first, last = (
            int((t - begin_s) // DEMAND_STEP_S) for t in (placed.begin_s, placed.finish_s)
        )
        rows, taken, k = slice(first, last + 1), list(placed.groups), placed.job
        work_class = int(jobs.work_class[k])
        demand[rows, taken] = jobs.share_ratio[k] * load_of_class[work_class]
        classes[rows, taken] = work_class
        if len(taken) > 1:
            job[rows, taken] = gangs % np.iinfo(np.int16).max
            gangs += 1
    return TableTrace(demand=demand, classes=classes, job=job if gangs else None)


def first_come(
    arrivals: Sequence[tuple[float, int, float]], needs: Sequence[int], *, group_count: int
) -> Iterator[Placed]:
    """Serve jobs in the order of arrival, each as soon as its groups are free.

    Args:
        arrivals: Time, job and how long it runs, in order of time.
        needs: Groups each job takes.
        group_count: Groups there are; no job may need more.
    """
    free = list(range(group_count))
    running: list[tuple[float, int]] = []
    now_s = -np.inf
    for arrival_s, k, run_s in arrivals:
        now_s = max(now_s, arrival_s)
        while running and (running[0][0] <= now_s or len(free) < needs[k]):
            ended_s, group = heapq.heappop(running)
            now_s = max(now_s, ended_s)
            heapq.heappush(free, group)
        finish_s = now_s + max(run_s, DEMAND_STEP_S)
        taken = tuple(heapq.heappop(free) for _ in range(needs[k]))
        for group in taken:
            heapq.heappush(running, (finish_s, group))
        yield Placed(job=k, begin_s=now_s, finish_s=finish_s, groups=taken)


def _times(
    jobs: Jobs, copies: float, rng: np.random.Generator, *, begin_s: float, end_s: float
) -> list[tuple[float, int, float]]:
    """Return when which job arrives and how long it runs, each ``copies`` times on average."""
    present = np.flatnonzero((jobs.arrival_s + jobs.run_s > begin_s) & (jobs.arrival_s < end_s))
    whole = int(copies)
    times: list[tuple[float, int, float]] = []
    for k in present.tolist():
        count = whole + int(rng.random() < copies - whole)
        arrival_s = max(float(jobs.arrival_s[k]), begin_s)
        run_s = float(jobs.arrival_s[k] + jobs.run_s[k]) - arrival_s
        for copy in range(count):
            shift_s = float(rng.uniform(-_SHIFT_S, _SHIFT_S)) if copy else 0.0
            shifted_s = begin_s + (arrival_s + shift_s - begin_s) % (end_s - begin_s)
            times.append((shifted_s, k, run_s))
    return sorted(times)
