"""The lease of an agent as its metrics show it."""

from dataclasses import dataclass
from math import nan

from coolcap_agent.daemon.guard import Guard, GuardState


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """Whether the agent may be written to, and the time left of a lease held, else NaN."""

    guard: GuardState
    remaining_s: float = nan


def lease_seen(guard: Guard) -> LeaseSeen:
    """Return what holds now; call it where the guard lives, not from the scraper's thread."""
    lease = guard.leases.live()
    remaining_s = nan if lease is None else guard.leases.remaining_s(lease)
    return LeaseSeen(guard=guard.state, remaining_s=remaining_s)
