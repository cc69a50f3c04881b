"""Lease, journal, guard, commander and reconciler over points in memory."""

import logging
from collections.abc import Sequence
from pathlib import Path

from coolcap_agent.daemon.commander import Commander
from coolcap_agent.daemon.commands import Answer, Command
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.point import WriteTimes
from coolcap_agent.daemon.reconciler import Reconciler
from coolcap_agent.daemon.restorer import PointRestorer
from coolcap_agent.journal import Journal, Key
from coolcap_agent.lease import Lease, LeaseKeeper
from coolcap_agent.logging import FaultLog
from support.fake_points import FakeDriver, FakePoint, HandClock, spec

TTL_S = 3.0
A: Key = ("GPU-a", "power_cap_w")
B: Key = ("GPU-b", "power_cap_w")


class SmallControl:
    """One agent without hardware, network or waiting. Make it inside an event loop."""

    def __init__(
        self,
        folder: Path,
        *,
        points: Sequence[FakePoint] | None = None,
        clock: HandClock | None = None,
        ramp: bool = False,
    ) -> None:
        self.clock = clock or HandClock()
        made = [FakePoint(spec(A)), FakePoint(spec(B))] if points is None else points
        self.points = {point.spec.key: point for point in made}
        self.faults = FaultLog(logging.getLogger("test"))
        self.driver = FakeDriver()
        self.journal_path = folder / "journal.json"
        self.journal = Journal(self.journal_path)
        writes = WriteTimes(self.clock.now_s)
        self.guard = Guard(
            leases=LeaseKeeper(
                agent="node-01",
                epoch_path=folder / "epoch",
                ttl_default_s=TTL_S,
                ttl_max_s=TTL_S,
                mono_s=self.clock.mono_s,
            ),
            journal=self.journal,
            restorer=PointRestorer(points=self.points, writes=writes, ramp=ramp),
            faults=self.faults,
            mono_s=self.clock.mono_s,
        )
        self.commander = Commander(
            points=self.points,
            guard=self.guard,
            writes=writes,
            clock=self.clock,
            driver=self.driver,
        )
        self.reconciler = Reconciler(points=self.points, guard=self.guard, commander=self.commander)

    async def acquire(self, holder: str = "control") -> Lease:
        return await self.guard.acquire(holder=holder, instance_id="1", ttl_s=None)

    async def command(
        self,
        lease: Lease,
        targets: dict[Key, float],
        *,
        sequence: int = 1,
        answers_time_s: float | None = None,
    ) -> Answer:
        return await self.commander.carry_out(
            Command(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=sequence,
                answers_time_s=answers_time_s,
                targets=list(targets.items()),
                content=repr(targets).encode(),
            )
        )

    def values(self) -> dict[Key, float]:
        return {key: point.value for key, point in self.points.items()}
