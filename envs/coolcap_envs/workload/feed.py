"""Feeds the demand of a batch of plants, step by step, from blocks drawn ahead."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.batch import Batch
from coolcap_envs.physics.records import SUBSTEP_S
from coolcap_envs.workload.demand import BLOCK_STEPS, DEMAND_STEP_S, DemandGenerator
from coolcap_envs.workload.trace import Replay, slowest_pace

SUBSTEPS_PER_DEMAND: Final = round(DEMAND_STEP_S / SUBSTEP_S)
_BLOCK_SUBSTEPS: Final = BLOCK_STEPS * SUBSTEPS_PER_DEMAND
_HOUR_S: Final = 3600.0


class DemandFeed:
    """Demand of B plants of N groups; each plant has a generator and a position of its own.

    Args:
        table: See :func:`coolcap_envs.workload.demand.class_table`; of the site.
        plants: Number of plants.
        groups: Number of control groups of each.
    """

    def __init__(self, table: FloatArray, *, plants: int, groups: int) -> None:
        self._table = table
        self._generators: list[DemandGenerator | None] = [None] * plants
        self._replays: dict[int, Replay] = {}
        self._demand = np.zeros((plants, BLOCK_STEPS, groups))
        self._classes = np.zeros((plants, BLOCK_STEPS, groups), dtype=np.int8)
        self._substep = np.zeros(plants, dtype=np.int64)
        self._start_hour = np.zeros(plants)
        self._members = np.arange(plants)

    def start(
        self,
        member: int,
        rng: np.random.Generator,
        *,
        local_hour: float,
        table: FloatArray | None = None,
        replay: Replay | None = None,
    ) -> None:
        """Begin anew for one plant.

        Args:
            member: The plant.
            rng: Source of the generator's randomness.
            local_hour: Local hour of the day.
            table: In place of the site's.
            replay: Recorded work to lay over what is generated.
        """
        own = self._table if table is None else table
        self._generators[member] = DemandGenerator(own, self._demand.shape[2], rng)
        self._replays.pop(member, None)
        if replay is not None:
            self._replays[member] = replay
        self._start_hour[member] = local_hour
        self._substep[member] = 0
        self._draw(member)

    def _draw(self, member: int) -> None:
        generator = self._generators[member]
        if generator is None:
            raise RuntimeError(f"demand of plant {member} was never started")
        elapsed_h = self._substep[member] * SUBSTEP_S / _HOUR_S
        generator.fill(
            self._demand[member],
            self._classes[member],
            local_hour=float(self._start_hour[member] + elapsed_h) % 24.0,
        )
        if replay := self._replays.get(member):
            first_step = int(self._substep[member]) // SUBSTEPS_PER_DEMAND
            replay.lay(self._demand[member], self._classes[member], first_step=first_step)

    def write(self, batch: Batch) -> int:
        """Write the demand of now; return for how many substeps it holds for every plant."""
        at = (self._substep % _BLOCK_SUBSTEPS) // SUBSTEPS_PER_DEMAND
        batch.set("group_inputs", "demand_ratio", self._demand[self._members, at])
        batch.set("group_inputs", "work_class", self._classes[self._members, at])
        return int((SUBSTEPS_PER_DEMAND - self._substep % SUBSTEPS_PER_DEMAND).min())

    @property
    def is_at_a_step(self) -> bool:
        """Return whether a new demand begins now for every plant."""
        return not (self._substep % SUBSTEPS_PER_DEMAND).any()

    def now(self) -> tuple[FloatArray, NDArray[np.int8], NDArray[np.int64]]:
        """Return the blocks of demand and classes, ``[B, steps, N]``, and the place of now."""
        at = (self._substep % _BLOCK_SUBSTEPS) // SUBSTEPS_PER_DEMAND
        return self._demand, self._classes, at

    def pace(self, batch: Batch) -> FloatArray | None:
        """Return the highest work rate of each group, that of its job's slowest, ``[B, N]``.

        None while no job runs over several groups, infinite for groups of their own.
        """
        at = self._substep // SUBSTEPS_PER_DEMAND
        jobs = {b: job for b, r in self._replays.items() if (job := r.jobs(int(at[b]))) is not None}
        if not jobs:
            return None
        time_ratio = batch.get("groups", "time_ratio")
        pace = np.full(time_ratio.shape, np.inf)
        for b, job in jobs.items():
            pace[b] = slowest_pace(time_ratio[b], job)
        return pace

    def advance(self, substeps: int) -> None:
        """Move on by ``substeps``, at most as many as :meth:`write` returned."""
        self._substep += substeps
        for member in np.flatnonzero(self._substep % _BLOCK_SUBSTEPS == 0):
            self._draw(int(member))

    def copy_member(self, target: int, other: "DemandFeed", source: int) -> None:
        """Let plant ``target`` see the demand plant ``source`` of ``other`` will see."""
        theirs = other._generators[source]
        if theirs is None:
            raise RuntimeError(f"demand of plant {source} was never started")
        mine = DemandGenerator(self._table, self._demand.shape[2], np.random.default_rng(0))
        mine.copy_from(theirs)
        self._generators[target] = mine
        self._replays.pop(target, None)
        if source in other._replays:
            self._replays[target] = other._replays[source]
        self._demand[target] = other._demand[source]
        self._classes[target] = other._classes[source]
        self._substep[target] = other._substep[source]
        self._start_hour[target] = other._start_hour[source]
