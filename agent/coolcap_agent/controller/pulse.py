"""How the controller keeps time: fast ticks made and missed, and how long commands take."""

from bisect import bisect_left
from typing import Final

BOUNDS_S: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the classes of delays; closest around the 0.1 s a command should take at most."""


class Delays:
    """A histogram of delays. Writers are one thread; readers may be any."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0
        self.max_s = 0.0

    @property
    def count(self) -> int:
        """Return how many delays there have been."""
        return sum(self.counts)

    def add(self, delay_s: float) -> None:
        """Take in a delay; a negative one counts as 0."""
        delay_s = max(delay_s, 0.0)
        self.counts[bisect_left(BOUNDS_S, delay_s)] += 1
        self.sum_s += delay_s
        self.max_s = max(self.max_s, delay_s)

    def cumulated(self) -> list[tuple[float, int]]:
        """Return bounds and how many delays were at or below each; the last bound is infinite."""
        found: list[tuple[float, int]] = []
        total = 0
        for bound_s, count in zip((*BOUNDS_S, float("inf")), self.counts, strict=True):
            total += count
            found.append((bound_s, total))
        return found


def quantile_s(cumulated: list[tuple[float, int]], ratio: float) -> float:
    """Return the upper bound of the class that holds the ``ratio`` quantile, NaN without delays."""
    total = cumulated[-1][1]
    if not total:
        return float("nan")
    return next(bound_s for bound_s, count in cumulated if count >= ratio * total)


class Pulse:
    """What is counted since the start of the controller.

    Attributes:
        tick_count: Fast and policy ticks made.
        missed_count: Fast ticks that did not take place.
        ticks: Time each tick took.
        commands: Time from reading the telemetry that a command answers to each agent's answer.
        unanswered_count: Commands without an answer within their deadline.
    """

    def __init__(self) -> None:
        self.tick_count = 0
        self.missed_count = 0
        self.ticks = Delays()
        self.commands = Delays()
        self.unanswered_count = 0
