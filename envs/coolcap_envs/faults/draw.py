"""From a plan to the events of one episode, decided by its seed alone."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.faults.kinds import FaultKind, targets
from coolcap_envs.faults.plan import FaultEvent, FaultPlan

GRID_S: Final = 30.0
"""Faults begin and end at multiples of this."""
_DAY_S: Final = 86_400.0


class FaultDraw:
    """The events of one episode, a day at a time, for as long as it goes on.

    The events of a day depend on seed and day only, so that an episode may be of any length.

    Args:
        plan: What may go wrong.
        layout: The site's layout.
        seed: Of the episode's faults.
    """

    def __init__(self, plan: FaultPlan, layout: Layout, seed: np.random.SeedSequence) -> None:
        self._plan = plan
        self._targets = {kind: targets(kind, layout) for kind in FaultKind}
        self._seed = seed

    def day(self, number: int) -> list[FaultEvent]:
        """Return the events that begin on day ``number`` of the episode, in order of time."""
        rng = np.random.default_rng(self._of_day(number))
        low_s, high_s = number * _DAY_S, (number + 1) * _DAY_S
        events = [*self._planned(low_s, high_s, rng), *self._random(low_s, rng)]
        return sorted(events, key=lambda event: event.start_s)

    def _of_day(self, number: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._seed.entropy, spawn_key=(*self._seed.spawn_key, number))

    def _pick(self, kind: FaultKind, target: str, rng: np.random.Generator) -> str:
        allowed = self._targets[kind]
        return target or allowed[int(rng.integers(len(allowed)))]

    def _planned(
        self, low_s: float, high_s: float, rng: np.random.Generator
    ) -> Iterator[FaultEvent]:
        for event in self._plan.events:
            if low_s <= event.start_s < high_s:
                yield _on_grid(event, target=self._pick(event.kind, event.target, rng))

    def _random(self, low_s: float, rng: np.random.Generator) -> Iterator[FaultEvent]:
        for rate in self._plan.rates:
            for _ in range(int(rng.poisson(rate.per_day))):
                event = FaultEvent(
                    kind=rate.kind,
                    start_s=low_s + float(rng.uniform(0.0, _DAY_S - GRID_S)),
                    duration_s=float(rng.exponential(rate.mean_s)),
                    value=float(rng.uniform(rate.low, rate.high)),
                )
                yield _on_grid(event, target=self._pick(rate.kind, rate.target, rng))


def _on_grid(event: FaultEvent, *, target: str) -> FaultEvent:
    """Return an event with a target that begins and ends at multiples of ``GRID_S``."""
    return FaultEvent(
        kind=event.kind,
        start_s=float(np.ceil(event.start_s / GRID_S)) * GRID_S,
        duration_s=max(round(event.duration_s / GRID_S), 1) * GRID_S,
        target=target,
        value=event.value,
    )
