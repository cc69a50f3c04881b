"""Trials side by side: the same function over many jobs, in processes here or on a Ray cluster.

A job is independent of all others and of where it runs, so results do not depend on the number of
workers. Jobs and results must be picklable; the function must be importable by name.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any, TypeVar, cast

from coolcap_envs.contract.errors import CoolcapError

Job = TypeVar("Job")
Result = TypeVar("Result")

_ONE_THREAD: dict[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""A trial is one thread; several beside each other would wait for one another otherwise."""


class TrialError(CoolcapError):
    """A trial failed, or there is nowhere to run it."""


def run_trials(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    ray_address: str | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield each job's number and result as they come in.

    Args:
        work: Does one job.
        jobs: What is to be done.
        workers: Processes on this machine; 1 works in this very process.
        ray_address: Cluster to run on in place of this machine, as ``ray.init`` takes it;
            "local" starts one here.

    Raises:
        TrialError: If a job fails elsewhere, Ray is not installed, or its cluster cannot be
            reached. What a job raises in this very process is passed on.
    """
    if ray_address is not None:
        yield from _on_ray(work, jobs, address=ray_address)
    elif workers == 1 or len(jobs) == 1:
        for i, job in enumerate(jobs):
            yield i, work(job)
    else:
        yield from _in_processes(work, jobs, workers=workers)


def _in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int
) -> Iterator[tuple[int, Result]]:
    # Not forked: a child would inherit locks of torch's and numba's threads.
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
            numbers = {pool.submit(work, job): i for i, job in enumerate(jobs)}
            for future in as_completed(numbers):
                yield numbers[future], _result(future.result, numbers[future], jobs)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _on_ray(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, address: str
) -> Iterator[tuple[int, Result]]:
    try:
        import ray
    except ImportError as error:
        raise TrialError(
            "trials were asked to run on Ray, which is not installed: pip install 'coolcap[ray]'"
        ) from error
    try:
        ray.init(
            address=None if address == "local" else address,
            runtime_env={"env_vars": _ONE_THREAD},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise TrialError(
            f"cannot join the Ray cluster at {address}: {error}; start one with "
            "`ray start --head`, or leave out --ray to use this machine"
        ) from error
    try:
        task: Any = ray.remote(num_cpus=1, max_retries=1)(_do)
        numbers: dict[Any, int] = {task.remote(work, job): i for i, job in enumerate(jobs)}
        pending = list(numbers)
        while pending:
            (done,), pending = ray.wait(pending, num_returns=1)
            get = cast("Callable[[], Result]", partial(ray.get, done))
            yield numbers[done], _result(get, numbers[done], jobs)
    finally:
        ray.shutdown()


def _do(work: Callable[[Job], Result], job: Job) -> Result:
    return work(job)


def _result(get: Callable[[], Result], number: int, jobs: Sequence[object]) -> Result:
    try:
        return get()
    except Exception as error:  # a job may raise anything, a worker may die
        raise TrialError(
            f"trial {number + 1} of {len(jobs)} failed: {type(error).__name__}: {error} "
            f"(job: {jobs[number]})"
        ) from error
