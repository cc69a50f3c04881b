"""The dead man's switch of an agent: lease, journal, and putting back what was written.

An entry of the journal whose lever is not *held* (written under the live lease) is an orphan, and
orphans are restored: when a lease ends, when the agent starts after a crash, and again and again
while a device refuses. Each device stands for itself, so one that fails never stops the others.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.worker import Worker, WorkerError
from coolcap_agent.journal import Entry, Journal, JournalDamaged, JournalError, Key, name_of
from coolcap_agent.lease import Lease, LeaseKeeper
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2

log = logging.getLogger(__name__)

TICK_S: Final = 0.1
"""How often the end of a lease is looked for."""
RETRY_S: Final = 5.0
"""Pause before a device that refused is tried again."""
DISK_DEADLINE_S: Final = 5.0
"""Longest wait for the journal's disk."""


class GuardState(StrEnum):
    """Whether the agent may be written to; the API's ``LeaseState``."""

    FREE = "free"
    HELD = "held"
    RESTORING = "restoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of one journaled value."""

    entry: Entry
    outcome: Outcome
    message: str = ""


class Restorer(Protocol):
    """Puts values back; each daemon has its own."""

    async def put_back(self, entry: Entry, *, at_once: bool) -> Restored:
        """Write the value of ``entry`` and read it back; never raises for a device's sake.

        ``RESTORED`` if it is in force again, ``RESTORING`` if a ramp needs more calls, anything
        else is a failure with its message. ``at_once`` forbids ramps.
        """
        ...

    async def adopt(self, entries: Iterable[Entry]) -> None:
        """Tell the devices what an earlier process had written; never raises for one's sake."""
        ...

    def values_without_journal(self) -> Sequence[Entry]:
        """Return what to restore when the journal was damaged (documented in the reference)."""
        ...


class Guard:
    """Owns lease and journal of one agent. Everything runs in one event loop."""

    def __init__(
        self,
        *,
        leases: LeaseKeeper,
        journal: Journal,
        restorer: Restorer,
        faults: FaultLog,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leases = leases
        self.faults = faults
        self._journal = journal
        self._restorer = restorer
        self._mono_s = mono_s
        self._disk = Worker("disk of state_dir")
        self._granting = asyncio.Lock()
        self._journaling = asyncio.Lock()
        self._locks: dict[Key, asyncio.Lock] = {}
        self._held: dict[Key, int] = {}
        self._active: set[Key] = set()
        self._failing: dict[Key, float] = {}
        self._ramping: set[Key] = set()
        self._watched: Lease | None = None
        self._closed = False
        self.veto = ""
        """Why no lease is granted now, for people; empty if it is."""

    @property
    def state(self) -> GuardState:
        """Return whether somebody holds the lease, or values are on their way back."""
        if self.leases.live() is not None:
            return GuardState.HELD
        return GuardState.RESTORING if self._fresh() or self._ramping else GuardState.FREE

    def holds(self, key: Key) -> bool:
        """Return whether ``key`` was written under the live lease."""
        lease = self.leases.live()
        return lease is not None and self._held.get(key) == lease.epoch

    def restores(self, key: Key) -> bool:
        """Return whether a value from before the first write is still to be put back."""
        return key in self._journal.entries and not self.holds(key)

    def lock(self, key: Key) -> asyncio.Lock:
        """Return the lock of a point: a command and a restore never meet on one."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def start(self, *, at_once: bool = False) -> Sequence[Restored]:
        """Restore what an earlier process left behind.

        Args:
            at_once: Without ramps.

        Raises:
            JournalError: If the journal cannot be read: then nobody may write.
        """
        try:
            self._journal.load()
        except JournalDamaged as damaged:
            log.error("%s; what was in force before is not known", damaged)
            await self._on_disk(lambda: self._journal.add(self._restorer.values_without_journal()))
        if self._journal.entries:
            log.warning("restoring %d values of an earlier run", len(self._journal.entries))
            await self._restorer.adopt(self._journal.entries.values())
        return await self._restore(self._orphans(), at_once=at_once)

    async def acquire(self, *, holder: str, instance_id: str, ttl_s: float | None) -> Lease:
        """Grant the lease.

        Raises:
            RefusedError: NOT_READY while values are being restored; otherwise as the keeper says.
        """
        async with self._granting:
            try:
                await self._on_disk(self.leases.store_next_epoch)
            except WorkerError as error:
                raise _not_ready(str(error)) from error
            # Nothing is awaited from here on, so what is checked still holds at the grant.
            if self._closed:
                raise _not_ready("the agent is stopping; try again when it is back")
            if self.veto:
                raise _not_ready(self.veto)
            if self.leases.live() is None and self._fresh():
                raise _not_ready(
                    "values from before the last lease are being restored; try again in a second"
                )
            lease = self.leases.acquire(holder=holder, instance_id=instance_id, ttl_s=ttl_s)
            self._watched = lease
            return lease

    async def release(self, *, lease_id: str, epoch: int) -> Sequence[Restored]:
        """End the lease and restore what was written under it; empty if it was not live.

        Raises:
            RefusedError: STALE_EPOCH if a newer lease was granted.
        """
        if not self.leases.release(lease_id=lease_id, epoch=epoch):
            return []
        self._watched = None
        return await self._restore(self._orphans(), at_once=False)

    async def protect(self, lease: Lease, entries: Iterable[Entry]) -> None:
        """Journal the values in force before a write; afterwards the levers count as held.

        Raises:
            RefusedError: NOT_READY if the journal cannot be written: then nothing may be written.
        """
        entries = list(entries)
        async with self._journaling:
            try:
                if any(entry.key not in self._journal.entries for entry in entries):
                    await self._on_disk(lambda: self._journal.add(entries))
            except (JournalError, WorkerError) as error:
                raise _not_ready(
                    f"nothing was written, because what is in force could not be journaled first: "
                    f"{error}; mend the disk of the agent's state_dir"
                ) from error
            for entry in entries:
                self._held[entry.key] = lease.epoch
                if self._failing.pop(entry.key, None) is not None:
                    self.faults.end(
                        name_of(entry.key), f"{name_of(entry.key)} takes commands again"
                    )

    async def give_up(self, key: Key) -> str:
        """Leave a point, whose lock the caller holds, to somebody else: forget what was before.

        Returns:
            What went wrong, empty if nothing did; on a failure all is as before.
        """
        entry = self._journal.entries.get(key)
        if entry is not None:
            result = await self._forget(Restored(entry=entry, outcome=Outcome.RESTORED))
            if result.outcome is not Outcome.RESTORED:
                return result.message
        self._held.pop(key, None)
        return ""

    async def tick(self) -> Sequence[Restored]:
        """Notice the end of a lease, and try again where a restore has failed."""
        return await self._restore(self._due(), at_once=False)

    async def advance_ramps(self) -> Sequence[Restored]:
        """Take the next step of values that go back within a slew; called with each reading."""
        self._ramping.intersection_update(self._orphans())
        return await self._restore(list(self._ramping), at_once=False)

    async def run(self) -> None:
        """Tick until cancelled. A device that hangs does not delay the next look at the lease."""
        async with asyncio.TaskGroup() as passes:
            while True:
                if due := self._due():
                    passes.create_task(self._restore(due, at_once=False))
                await asyncio.sleep(TICK_S)

    def revoke(self, why: str) -> None:
        """End the live lease at once; what was written under it goes back with the next tick."""
        lease = self.leases.live()
        if lease is not None:
            log.warning("lease of %s, epoch %d, is ended: %s", lease.holder, lease.epoch, why)
            self.leases.revoke()
            self._watched = None

    def close(self) -> None:
        """End any lease and grant no other: from now on nobody may write."""
        self._closed = True
        self.leases.revoke()
        self._watched = None

    async def shut_down(self) -> Sequence[Restored]:
        """Close, and restore everything without ramps."""
        self.close()
        return await self._restore(self._orphans(), at_once=True)

    def _orphans(self) -> list[Key]:
        return [key for key in self._journal.entries if not self.holds(key)]

    def _fresh(self) -> bool:
        """Return whether an orphan waits for its first attempt or is in the middle of it."""
        return any(k not in self._failing and k not in self._ramping for k in self._orphans())

    def _due(self) -> list[Key]:
        """Note an expiry, and return the orphans to be restored now."""
        if self._watched is not None and self.leases.live() is None:
            log.warning("lease of %s, epoch %d, expired", self._watched.holder, self._watched.epoch)
            self._watched = None
        now_s = self._mono_s()
        return [
            key
            for key in self._orphans()
            if key not in self._active
            and key not in self._ramping
            and self._failing.get(key, now_s) <= now_s
        ]

    async def _restore(self, keys: Sequence[Key], *, at_once: bool) -> Sequence[Restored]:
        mine = [key for key in keys if key not in self._active]
        self._active.update(mine)
        try:
            results = await asyncio.gather(*(self._put_back(key, at_once=at_once) for key in mine))
        finally:
            self._active.difference_update(mine)
        found = [result for result in results if result is not None]
        if done := [result for result in found if result.outcome is Outcome.RESTORED]:
            log.info("%d values from before the first write are back", len(done))
        return found

    async def _put_back(self, key: Key, *, at_once: bool) -> Restored | None:
        async with self.lock(key):
            entry = self._journal.entries.get(key)
            if entry is None or self.holds(key):
                return None
            result = await self._restorer.put_back(entry, at_once=at_once)
            if result.outcome is Outcome.RESTORED:
                result = await self._forget(result)
        self._ramping.discard(key)
        name = name_of(key)
        if result.outcome is Outcome.RESTORED:
            self._failing.pop(key, None)
            self.faults.end(name, f"{name} is back at its value from before the first write")
        elif result.outcome is Outcome.RESTORING:
            self._ramping.add(key)
        else:
            self._failing[key] = self._mono_s() + RETRY_S
            self.faults.begin(
                name, f"{name} could not be restored, trying every {RETRY_S:g} s: {result.message}"
            )
        return result

    async def _forget(self, result: Restored) -> Restored:
        """Take a restored entry out of the journal."""
        async with self._journaling:
            try:
                await self._on_disk(lambda: self._journal.remove([result.entry.key]))
            except (JournalError, WorkerError) as error:
                return Restored(
                    entry=result.entry, outcome=Outcome.DEVICE_ERROR, message=str(error)
                )
        return result

    async def _on_disk(self, job: Callable[[], None]) -> None:
        await self._disk.call(job, deadline_s=DISK_DEADLINE_S)


def _not_ready(message: str) -> RefusedError:
    return RefusedError(common_pb2.REFUSAL_REASON_NOT_READY, message)
