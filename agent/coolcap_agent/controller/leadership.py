"""Which of several controllers of one hall acts: the one that holds most agents' leases.

::

    standby ──► candidate ──► leading
       ▲            │             │
       └────────────┴─────────────┘   too few leases, or the elector chose another: release all

An agent grants one lease at a time, so that two controllers can never both hold a majority. Whoever
leads checks before each command that a majority of its leases outlives the command. The elector, if
there is one, only decides who may try: safety rests on the leases alone.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from coolcap_agent.controller.elector import Elector
from coolcap_agent.controller.fleet import Fleet, Session

log = logging.getLogger(__name__)

STEP_S: Final = 0.1
"""How often a standby looks for leases that have ended."""


class LeadershipState(StrEnum):
    """What this controller does; the API's ``LeadershipState``."""

    ALONE = "alone"
    LEADING = "leading"
    CANDIDATE = "candidate"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipView:
    """Leadership as operators see it."""

    state: LeadershipState
    held_count: int
    needed_count: int
    agent_count: int
    leader: str
    elector: str
    message: str


class Leadership(Protocol):
    """What the loop needs of it. ``MajorityLeadership`` implements it."""

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Acquire and renew leases if this controller may have them, or release them."""
        ...

    def leads(self, *, margin_s: float) -> bool:
        """Return whether this controller may command for ``margin_s``. Safe in any thread."""
        ...


class MajorityLeadership:
    """Leads while it holds a majority of the leases. Runs in the fleet's event loop.

    Args:
        fleet: Sessions with all agents.
        elector: Decides who may try; None: whoever finds a majority of the agents free.
        lease_ttl_s: Time to live of leases.
        mono_s: The host's monotonic clock.
        rng: Draws the pause after a lost election.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        elector: Elector | None,
        lease_ttl_s: float,
        mono_s: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._fleet = fleet
        self._elector = elector
        self._lease_ttl_s = lease_ttl_s
        self._mono_s = mono_s
        self._rng = rng or random.Random()
        self._state = LeadershipState.STANDBY
        self._message = "has not looked yet"
        self._wanted = False
        self._setpoints = False
        self._pause_end_mono_s = 0.0
        self._try_end_mono_s = 0.0
        self._releasing: asyncio.Task[object] | None = None
        self._asking: asyncio.Future[None] | None = None
        self.ask_peers: Callable[[], Awaitable[None]] | None = None
        """Learns from the other controllers whether people want this hall led at all."""

    @property
    def needed_count(self) -> int:
        """Return how many leases make a majority."""
        return len(self._fleet.sessions) // 2 + 1

    def leads(self, *, margin_s: float) -> bool:
        """Return whether a majority of the leases lives for another ``margin_s``."""
        if self._state is not LeadershipState.LEADING:
            return False
        if self._elector is not None and not self._elector.may_lead:
            return False
        return self._secure_count(margin_s) >= self.needed_count

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Take in what the loop wants, and renew what is held; called with each fast tick."""
        self._wanted, self._setpoints = caps, setpoints
        self.step()
        leads = self._state is LeadershipState.LEADING
        tries = self._state is LeadershipState.CANDIDATE
        self._fleet.keep_leases(caps=leads or tries, setpoints=tries or (leads and setpoints))

    async def run(self) -> None:
        """Look for leases that have ended, between the ticks too, until cancelled."""
        while True:
            if self._state is not LeadershipState.LEADING:
                before = self._state
                self.step()
                if self._state is LeadershipState.CANDIDATE is not before:
                    self._fleet.keep_leases(caps=True, setpoints=True)
            await asyncio.sleep(STEP_S)

    def step(self) -> None:
        """Move on in the diagram above."""
        if self._elector is not None:
            self._elector.want(self._wanted)
        may = self._elector is None or self._elector.may_lead
        held, needed = self._secure_count(0.0), self.needed_count
        if self._state is LeadershipState.LEADING:
            if not self._wanted:
                self._stand_by("the mode writes nothing", pause=False)
            elif not may:
                self._stand_by("the elector chose another controller", pause=True)
            elif held < needed:
                self._stand_by(f"held {held} leases, {needed} are needed", pause=True)
        elif self._state is LeadershipState.CANDIDATE:
            if not self._wanted or not may:
                self._stand_by("no longer wanted", pause=False)
            elif held >= needed:
                # Peers are asked once more: a person may have switched the hall off meanwhile.
                if self._peers_asked():
                    text = f"holds {held} leases, {needed} are needed"
                    self._enter(LeadershipState.LEADING, text)
            elif self._mono_s() >= self._try_end_mono_s:
                if held > self._rival_count() and held + self._free_count() >= needed:
                    self._try_end_mono_s = self._mono_s() + self._lease_ttl_s
                else:
                    self._stand_by(f"got {held} leases, {needed} are needed", pause=True)
        else:
            self._consider(may=may)

    def view(self) -> LeadershipView:
        """Return leadership as operators see it."""
        return LeadershipView(
            state=self._state,
            held_count=self._secure_count(0.0),
            needed_count=self.needed_count,
            agent_count=len(self._fleet.sessions),
            leader=self._leader(),
            elector="leases" if self._elector is None else self._elector.name,
            message=self._message,
        )

    def _consider(self, *, may: bool) -> None:
        """As a standby, try once most agents are free."""
        if self._releasing is not None and not self._releasing.done():
            return
        free = self._free_count()
        if not self._wanted:
            self._message = "the mode writes nothing"
        elif not may:
            self._message = "the elector chose another controller"
        elif free < self.needed_count:
            self._message = (
                f"{free} of {len(self._fleet.sessions)} agents are free, {self.needed_count} are "
                f"needed; leader: {self._leader() or 'not known'}"
            )
        elif self._mono_s() < self._pause_end_mono_s:
            self._message = "lets the others go first"
        elif self._peers_asked():
            self._try_end_mono_s = self._mono_s() + self._lease_ttl_s
            self._enter(LeadershipState.CANDIDATE, f"{free} agents are free")

    def _peers_asked(self) -> bool:
        """Ask the other controllers; return whether they have been, at the next step."""
        if self.ask_peers is None:
            return True
        if self._asking is None:
            self._message = "asks the other controllers"
            self._asking = asyncio.ensure_future(self.ask_peers())
            return False
        if not self._asking.done():
            return False
        self._asking = None
        return True

    def _enter(self, state: LeadershipState, message: str) -> None:
        log.info("leadership: %s: %s", state, message)
        self._asking = None
        self._state, self._message = state, message

    def _stand_by(self, message: str, *, pause: bool) -> None:
        self._enter(LeadershipState.STANDBY, message)
        if pause:
            # The other one shall have time to win, and two shall not meet again and again.
            pause_s = self._lease_ttl_s * self._rng.uniform(0.5, 1.5)
            self._pause_end_mono_s = self._mono_s() + pause_s
        self._releasing = asyncio.create_task(self._fleet.release_all())

    def _sessions(self) -> list[Session]:
        return list(self._fleet.sessions.values())

    def _secure_count(self, margin_s: float) -> int:
        return sum(session.lease.secure(margin_s) for session in self._sessions())

    def _free_count(self) -> int:
        """Return the agents that, by their last word, could be leased now."""
        return sum(
            s.connected and not s.leased_elsewhere and not s.lease.secure(0.0)
            for s in self._sessions()
        )

    def _rival_count(self) -> int:
        """Return the most leases another controller holds, by the agents' last word."""
        others = Counter(
            s.lease_seen.holder for s in self._sessions() if s.connected and s.leased_elsewhere
        )
        return max(others.values(), default=0)

    def _leader(self) -> str:
        """Return the holder most agents name."""
        held = Counter(s.lease_seen.holder for s in self._sessions() if s.lease_seen.holder)
        return held.most_common(1)[0][0] if held else ""
