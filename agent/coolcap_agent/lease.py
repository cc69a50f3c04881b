"""Who may write: one lease at a time, fenced by an epoch that survives restarts of the agent.

A lease runs on the monotonic clock, so no clock setting extends one. It is live until its time is
over: no task has to notice the end first. What happens to the devices then is the guard's affair.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from coolcap_agent.durable import write_durably
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2

log = logging.getLogger(__name__)

NAME_BYTES_MAX = 256
"""Longest holder and instance id, as the API promises for strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Sole write authority until ``end_mono_s``."""

    lease_id: str
    epoch: int
    holder: str
    instance_id: str
    ttl_s: float
    end_mono_s: float


class LeaseKeeper:
    """Grants, renews and ends the lease of one agent.

    Args:
        agent: Name of the agent, for messages.
        epoch_path: File the newest epoch is kept in.
        ttl_default_s: Granted when no time is asked for.
        ttl_max_s: Longest time granted.
        mono_s: Monotonic clock.
    """

    def __init__(
        self,
        *,
        agent: str,
        epoch_path: Path,
        ttl_default_s: float,
        ttl_max_s: float,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._epoch_path = epoch_path
        self._ttl_default_s = ttl_default_s
        self._ttl_max_s = ttl_max_s
        self._mono_s = mono_s
        self._lease: Lease | None = None
        self._epoch = self._stored = read_epoch(epoch_path)

    @property
    def epoch(self) -> int:
        """Return the epoch of the newest grant, 0 before the first."""
        return self._epoch

    def live(self) -> Lease | None:
        """Return the lease if there is one and its time is not over. Safe in any thread."""
        lease = self._lease
        return lease if lease is not None and self._mono_s() < lease.end_mono_s else None

    def may_write(self, epoch: int) -> bool:
        """Return whether the lease of ``epoch`` is live. Safe in any thread."""
        lease = self.live()
        return lease is not None and lease.epoch == epoch

    def remaining_s(self, lease: Lease) -> float:
        """Return the time ``lease`` has left, >= 0."""
        return max(0.0, lease.end_mono_s - self._mono_s())

    def acquire(self, *, holder: str, instance_id: str, ttl_s: float | None) -> Lease:
        """Grant a lease, or renew the live one of the same holder and instance.

        Raises:
            RefusedError: LEASE_HELD while another's lease is live, INVALID for an unusable field,
                NOT_READY if the new epoch cannot be stored.
        """
        _check_name("holder", holder)
        _check_name("instance_id", instance_id)
        if ttl_s is not None and not (math.isfinite(ttl_s) and ttl_s > 0.0):
            raise _invalid(f"ttl {ttl_s:g} s is not allowed: a finite time > 0 s is needed")
        ttl_s = min(self._ttl_default_s if ttl_s is None else ttl_s, self._ttl_max_s)
        live = self.live()
        if live is not None:
            if (live.holder, live.instance_id) != (holder, instance_id):
                raise self._held(live)
            self._lease = replace(live, ttl_s=ttl_s, end_mono_s=self._mono_s() + ttl_s)
            return self._lease
        self.store_next_epoch()
        self._epoch = self._stored
        self._lease = Lease(
            lease_id=secrets.token_hex(16),
            epoch=self._epoch,
            holder=holder,
            instance_id=instance_id,
            ttl_s=ttl_s,
            end_mono_s=self._mono_s() + ttl_s,
        )
        log.info("lease granted to %s, epoch %d, for %.3g s", holder, self._epoch, ttl_s)
        return self._lease

    def store_next_epoch(self) -> None:
        """Put the epoch of the next grant on disk, unless it is there already; blocks on the disk.

        ``acquire`` does it by itself; a caller that must not block does it in a thread before.

        Raises:
            RefusedError: NOT_READY if the disk refuses.
        """
        if self._stored > self._epoch:
            return
        try:
            write_durably(self._epoch_path, f"{self._epoch + 1}\n".encode())
        except OSError as error:
            raise RefusedError(
                common_pb2.REFUSAL_REASON_NOT_READY,
                f"{self._agent} cannot grant a lease: its epoch cannot be stored in "
                f"{self._epoch_path} ({error}); mend the disk of the agent's state_dir",
            ) from error
        self._stored = self._epoch + 1

    def require(self, *, lease_id: str, epoch: int) -> Lease:
        """Return the live lease if it is the one named.

        Raises:
            RefusedError: STALE_EPOCH if a newer lease was granted, NO_LEASE if this one is over.
        """
        if 0 < epoch < self._epoch:
            raise RefusedError(
                common_pb2.REFUSAL_REASON_STALE_EPOCH,
                f"epoch {epoch} is older than {self._epoch}, the newest that {self._agent} granted;"
                " another controller took over: stop commanding this agent",
            )
        live = self.live()
        if (
            live is None
            or live.epoch != epoch
            or not secrets.compare_digest(live.lease_id.encode(), lease_id.encode())
        ):
            raise RefusedError(
                common_pb2.REFUSAL_REASON_NO_LEASE,
                f"{self._agent} has no live lease of this id and epoch {epoch}: it was never "
                "granted, is over or was released, and what it wrote is restored; acquire a "
                "lease and start again from fresh telemetry",
            )
        return live

    def renew(self, *, lease_id: str, epoch: int) -> Lease:
        """Give the named lease its full time from now.

        Raises:
            RefusedError: As ``require``.
        """
        live = self.require(lease_id=lease_id, epoch=epoch)
        self._lease = replace(live, end_mono_s=self._mono_s() + live.ttl_s)
        return self._lease

    def release(self, *, lease_id: str, epoch: int) -> bool:
        """End the named lease; return whether it was live.

        Raises:
            RefusedError: STALE_EPOCH if a newer lease was granted.
        """
        try:
            live = self.require(lease_id=lease_id, epoch=epoch)
        except RefusedError as refused:
            if refused.reason == common_pb2.REFUSAL_REASON_NO_LEASE:
                return False
            raise
        self.revoke()
        log.info("lease of %s, epoch %d, released", live.holder, live.epoch)
        return True

    def revoke(self) -> None:
        """End whatever lease there is, for example because the agent stops."""
        self._lease = None

    def _held(self, live: Lease) -> RefusedError:
        return RefusedError(
            common_pb2.REFUSAL_REASON_LEASE_HELD,
            f"{self._agent} is leased to {live.holder!r} for another {self.remaining_s(live):.1f} s"
            f" (epoch {live.epoch}) and takes one writer at a time; try again after that, or stop "
            "the other controller",
        )


def read_epoch(path: Path) -> int:
    """Return the stored epoch, 0 if there is none.

    Epochs must only grow. If the file is damaged, counting goes on from the Unix time in seconds,
    which is above any number of grants made so far.

    Raises:
        OSError: If the file exists and cannot be read.
    """
    try:
        epoch = int(path.read_bytes())
        if epoch >= 0:
            return epoch
    except FileNotFoundError:
        return 0
    except ValueError:
        pass
    log.error("%s is damaged; epochs go on from the present time", path)
    return int(time.time())


def _check_name(field: str, value: str) -> None:
    if not 0 < len(value.encode()) <= NAME_BYTES_MAX:
        raise _invalid(f"{field} must be a text of 1 to {NAME_BYTES_MAX} bytes")


def _invalid(message: str) -> RefusedError:
    return RefusedError(common_pb2.REFUSAL_REASON_INVALID, message)
