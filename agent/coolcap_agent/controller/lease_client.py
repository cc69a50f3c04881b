"""The client's side of a lease: when it surely ends, and the order of commands under it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

RENEW_AFTER_RATIO: Final = 1.0 / 6.0
"""Part of the time to live after which a renewal is worth its message."""
RENEW_SPREAD: Final = 0.5
"""A renewal may come earlier by up to this share, at random: leases that a fleet granted in one
instant are soon not renewed in one instant any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """A lease this controller was granted.

    ``end_mono_s`` counts from when the grant was asked for, so that it lies before the agent's.
    """

    lease_id: str
    epoch: int
    ttl_s: float
    end_mono_s: float


class LeaseClient:
    """Holds at most one lease.

    Args:
        mono_s: The host's monotonic clock.
    """

    def __init__(self, mono_s: Callable[[], float]) -> None:
        self._mono_s = mono_s
        self._lease: HeldLease | None = None
        self._renew_sent_mono_s = float("-inf")
        self._renew_after_s = 0.0
        self._sequence = 0
        self.epoch = 0

    @property
    def live(self) -> HeldLease | None:
        """Return the lease, None if there is none that surely lives."""
        if self._lease is not None and self._mono_s() >= self._lease.end_mono_s:
            self._lease = None
        return self._lease

    def secure(self, margin_s: float) -> bool:
        """Return whether there is a lease with more than ``margin_s`` left; safe in any thread."""
        lease = self._lease
        return lease is not None and self._mono_s() + margin_s < lease.end_mono_s

    @property
    def remaining_s(self) -> float:
        """Return the time left, 0 without a lease."""
        lease = self.live
        return 0.0 if lease is None else lease.end_mono_s - self._mono_s()

    @property
    def renewal_due(self) -> bool:
        """Return whether there is a lease and its last renewal is a while ago."""
        lease = self.live
        if lease is None:
            return False
        return self._mono_s() - self._renew_sent_mono_s >= self._renew_after_s

    def granted(self, *, lease_id: str, epoch: int, ttl_s: float, asked_mono_s: float) -> None:
        """Note a grant."""
        self.epoch = epoch
        self._renew_after_s = RENEW_AFTER_RATIO * ttl_s * (1.0 - random.uniform(0.0, RENEW_SPREAD))
        self._renew_sent_mono_s = max(self._renew_sent_mono_s, asked_mono_s)
        self._lease = HeldLease(
            lease_id=lease_id, epoch=epoch, ttl_s=ttl_s, end_mono_s=asked_mono_s + ttl_s
        )

    def renewal_sent(self) -> None:
        """Note that a renewal goes out now."""
        self._renew_sent_mono_s = self._mono_s()

    def renewed(self, *, lease_id: str, epoch: int, ttl_s: float) -> None:
        """Note the answer to a renewal; one for an earlier lease is ignored."""
        if self._lease is not None and self._lease.lease_id == lease_id:
            self.granted(
                lease_id=lease_id, epoch=epoch, ttl_s=ttl_s, asked_mono_s=self._renew_sent_mono_s
            )

    def lost(self) -> None:
        """Note that the agent says the lease is not live."""
        self._lease = None

    def next_sequence(self) -> int:
        """Return the sequence of the next command; it grows over all leases of this process."""
        self._sequence += 1
        return self._sequence
