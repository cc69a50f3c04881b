"""Recorded work in place of the generator's: one table for all groups, or courses by class.

A replay lays recorded demand over the blocks the generator drew, so that what a recording does not
say (how classes it does not know behave) stays as the generator has it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray

Classes = NDArray[np.int8]


class Replay(Protocol):
    """A recording as one episode sees it."""

    def lay(self, demand: FloatArray, classes: Classes, *, first_step: int) -> None:
        """Put recorded values over a block of ``[T, N]`` that begins ``first_step`` steps in."""
        ...

    def jobs(self, step: int) -> NDArray[np.int16] | None:
        """Return the job of each group at a step, -1 for one of its own; None if all are."""
        ...


class Trace(Protocol):
    """A recording; immutable, shared by all episodes."""

    def start(self, rng: np.random.Generator) -> Replay:
        """Return it as one episode sees it, from a place that is drawn."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableTrace:
    """Demand and class of every group at every step; it begins again when it ends.

    Attributes:
        demand: Load offered, NaN where the generator decides, shape ``[T, N]``.
        classes: Class, -1 where the generator decides, shape ``[T, N]``.
        job: Which groups run one synchronous job, -1 for none, shape ``[T, N]``; None for none.
        is_from_start: Whether episodes begin at its first step; else at one that is drawn.
    """

    demand: NDArray[np.float32]
    classes: Classes
    job: NDArray[np.int16] | None = None
    is_from_start: bool = False

    def start(self, rng: np.random.Generator) -> "TableReplay":
        """Return the table from its first step or a drawn one on."""
        return TableReplay(self, 0 if self.is_from_start else int(rng.integers(len(self.demand))))


class TableReplay:
    """A table of demand from a step on."""

    def __init__(self, trace: TableTrace, offset: int) -> None:
        self._trace = trace
        self._offset = offset

    def _at(self, step: int, count: int) -> NDArray[np.int64]:
        return (self._offset + step + np.arange(count)) % len(self._trace.demand)

    def lay(self, demand: FloatArray, classes: Classes, *, first_step: int) -> None:
        """Put recorded values over a block."""
        at = self._at(first_step, len(demand))
        rows, kinds = self._trace.demand[at], self._trace.classes[at]
        np.copyto(demand, rows, where=~np.isnan(rows))
        np.copyto(classes, kinds, where=kinds >= 0)

    def jobs(self, step: int) -> NDArray[np.int16] | None:
        """Return the job of each group at a step."""
        job = self._trace.job
        return None if job is None else job[self._at(step, 1)[0]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CourseTrace:
    """A course of load for some classes; every group that runs one follows it at its own place.

    Replicas of one class do not see the same moment of the recording: each stands for the service
    of another tenant. What they see has the statistics of the recording, group by group.

    Attributes:
        courses: Load offered at each step by class, shape ``[T]`` each.
        groups: Number of control groups.
    """

    courses: dict[int, FloatArray]
    groups: int

    def start(self, rng: np.random.Generator) -> "CourseReplay":
        """Return the courses with a drawn place for each group."""
        length = len(next(iter(self.courses.values())))
        return CourseReplay(self, rng.integers(length, size=self.groups))


class CourseReplay:
    """Courses by class, each group at its own place."""

    def __init__(self, trace: CourseTrace, offsets: NDArray[np.int64]) -> None:
        self._trace = trace
        self._offsets = offsets

    def lay(self, demand: FloatArray, classes: Classes, *, first_step: int) -> None:
        """Put recorded load where the generator has a class that the recording knows."""
        steps = first_step + np.arange(len(demand))
        for work_class, course in self._trace.courses.items():
            at = (steps[:, None] + self._offsets) % len(course)
            np.copyto(demand, course[at], where=classes == work_class)

    def jobs(self, step: int) -> None:
        """Return None: replicas do not wait for each other."""
        del step


class WideJobs:
    """Generated jobs that each run on several neighbouring groups, which work in step.

    All groups of a job have the class and the load the generator drew for the first of them.

    Args:
        groups: Number of control groups.
        groups_per_job: How many a job takes; the last one takes what is left.
    """

    def __init__(self, groups: int, *, groups_per_job: int) -> None:
        number = np.arange(groups) // groups_per_job
        self._first = number * groups_per_job
        self._job: NDArray[np.int16] = number.astype(np.int16)

    def lay(self, demand: FloatArray, classes: Classes, *, first_step: int) -> None:
        """Put the first group's work into all of its job."""
        del first_step
        demand[:] = demand[:, self._first]
        classes[:] = classes[:, self._first]

    def jobs(self, step: int) -> NDArray[np.int16]:
        """Return the job of each group."""
        del step
        return self._job


def slowest_pace(time_ratio: FloatArray, job: NDArray[np.int16]) -> FloatArray:
    """Return the highest work rate of each group: of a synchronous job, its slowest group's.

    All groups of a training job exchange gradients after each step, so every one waits for the
    slowest. Groups outside jobs have none.

    Args:
        time_ratio: Time per unit of work over that at the highest clock, shape ``[N]``.
        job: Number of each group's job, -1 for none, shape ``[N]``.
    """
    pace = np.full(time_ratio.shape, np.inf)
    members = np.flatnonzero(job >= 0)
    if len(members):
        slowest = np.zeros(int(job.max()) + 1)
        np.maximum.at(slowest, job[members], time_ratio[members])
        pace[members] = 1.0 / np.maximum(slowest[job[members]], 1e-9)
    return pace
