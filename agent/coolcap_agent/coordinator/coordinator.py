"""Keeps the halls' budgets together below the site's: first lower, then raise.

A hall counts with the most it may be using: the budget it was last known to have, or the one on its
way to it, whichever is larger. Only what is free then is given to others, so that the sum stays
below the site's budget whichever call is lost and whichever hall falls silent. A hall never heard
of counts with its ceiling.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Protocol

from coolcap_agent.coordinator.divide import Claim, divide

log = logging.getLogger(__name__)

STEP_MIN_RATIO: Final = 0.005
"""A raise smaller than this share of the hall's budget is not worth a call."""
BINDS_RATIO: Final = 0.97
"""Above this share of its budget a hall's bound on power is held down by it."""
GROWTH: Final = 1.2
"""A hall that is held down is offered this much more next time."""
HEADROOM: Final = 1.05
"""A hall that is not held down wants this much more than its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HallState:
    """What a hall's controller says: its budget in force and the most it can draw under it, W."""

    budget_w: float
    power_bound_w: float


class Hall(Protocol):
    """One hall. ``RemoteHall`` implements it."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def floor_w(self) -> float:
        """Return the least it is given."""
        ...

    @property
    def ceiling_w(self) -> float:
        """Return the most it is given, which counts while nothing is known of it."""
        ...

    @property
    def priority(self) -> int:
        """Return its priority; higher gets what it wants first."""
        ...

    async def read(self) -> HallState | None:
        """Return what its controller says, None if none answers."""
        ...

    async def set_budget(self, budget_w: float, *, reason: str) -> bool:
        """Set its budget; return whether that is confirmed."""
        ...


class Coordinator:
    """Divides the site's budget.

    Args:
        halls: All halls of the site.
        budget_w: IT power of all halls together.
    """

    def __init__(self, halls: Sequence[Hall], *, budget_w: float) -> None:
        self._halls = tuple(halls)
        self.budget_w = budget_w
        self._reserved_w = {hall.name: hall.ceiling_w for hall in halls}

    @property
    def reserved_w(self) -> float:
        """Return the most all halls together may be using by their budgets."""
        return sum(self._reserved_w.values())

    async def step(self) -> None:
        """Read all halls, divide, lower where that is due, then raise what is free."""
        states = await asyncio.gather(*(hall.read() for hall in self._halls))
        heard = [
            (hall, state)
            for hall, state in zip(self._halls, states, strict=True)
            if state is not None
        ]
        for hall, state in heard:
            self._reserved_w[hall.name] = min(state.budget_w, hall.ceiling_w)
        silent_w = self.reserved_w - sum(self._reserved_w[hall.name] for hall, _ in heard)
        shares = divide(self.budget_w - silent_w, [_claim(hall, state) for hall, state in heard])
        wanted = [(hall, share) for (hall, _), share in zip(heard, shares, strict=True)]
        await asyncio.gather(*(self._lower(hall, share) for hall, share in wanted))
        for hall, share in wanted:
            await self._raise(hall, share)
        if self.reserved_w > self.budget_w * (1.0 + 1e-9):
            log.warning(
                "halls may use %.0f W, the site's budget is %.0f W: some do not answer, or floors "
                "are too high",
                self.reserved_w,
                self.budget_w,
            )

    async def _lower(self, hall: Hall, share_w: float) -> None:
        if share_w < self._reserved_w[hall.name] - 1.0 and await self._set(hall, share_w):
            self._reserved_w[hall.name] = share_w

    async def _raise(self, hall: Hall, share_w: float) -> None:
        now_w = self._reserved_w[hall.name]
        share_w = min(share_w, now_w + self.budget_w - self.reserved_w)
        if share_w <= now_w * (1.0 + STEP_MIN_RATIO):
            return
        # Counted before it is sent: an answer that is lost may hide that it was carried out.
        self._reserved_w[hall.name] = share_w
        await self._set(hall, share_w)

    async def _set(self, hall: Hall, share_w: float) -> bool:
        done = await hall.set_budget(share_w, reason=f"share of the site's {self.budget_w:.0f} W")
        log.info("%s: budget %.0f W%s", hall.name, share_w, "" if done else " not confirmed")
        return done


def _claim(hall: Hall, state: HallState) -> Claim:
    """Return what a hall needs, wants and could take."""
    bound_w = state.power_bound_w if isfinite(state.power_bound_w) else hall.ceiling_w
    held_down = bound_w >= BINDS_RATIO * state.budget_w
    wanted_w = bound_w * (GROWTH if held_down else HEADROOM)
    return Claim(
        floor_w=hall.floor_w,
        wanted_w=min(max(wanted_w, hall.floor_w), hall.ceiling_w),
        ceiling_w=hall.ceiling_w,
        priority=hall.priority,
    )
