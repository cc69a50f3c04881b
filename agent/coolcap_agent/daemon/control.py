"""Guard, commander and reconciler of one agent, wired together the same way in both."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from coolcap_agent.clock import Clock
from coolcap_agent.config import AgentConfig
from coolcap_agent.daemon.commander import Acknowledger, Commander
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.point import Point, Restraint, WriteTimes
from coolcap_agent.daemon.reconciler import Reconciler
from coolcap_agent.daemon.restorer import PointRestorer
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.write_log import WriteLog
from coolcap_agent.journal import Journal, Key, device_of
from coolcap_agent.lease import LeaseKeeper
from coolcap_agent.logging import FaultLog

log = logging.getLogger(__name__)


@runtime_checkable
class Stamping(Protocol):
    """A driver that stamps its readings itself, with a clock that can be given to it."""

    now_s: Callable[[], float]


def open_clock(config: AgentConfig, driver: object) -> Clock:
    """Return the clock that paces sampling, given to the driver too where it is simulated.

    Raises:
        DriverError: If the file that carries a simulated clock is not there yet.
    """
    clock = config.clock()
    if config.simulated_clock is not None and isinstance(driver, Stamping):
        driver.now_s = clock.now_s
    return clock


def acknowledger_of(config: AgentConfig, driver: object) -> Acknowledger | None:
    """Return who lets simulated site time go on, None where the driver itself does.

    A driver that speaks a field protocol knows nothing of the hall behind its devices.

    Raises:
        DriverError: If the hall is not there yet.
    """
    if config.simulated_clock is None or not isinstance(driver, Stamping):
        return None
    from coolcap_agent.sim.acknowledge import HallAcknowledger

    return HallAcknowledger(config.simulated_clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Everything between the service and the points of one agent."""

    guard: Guard
    commander: Commander
    restorer: PointRestorer
    writes: WriteTimes
    reconciler: Reconciler

    @classmethod
    def build(
        cls,
        config: AgentConfig,
        *,
        points: Mapping[Key, Point],
        state: StateDir,
        clock: Clock,
        driver: Acknowledger,
        faults: FaultLog,
        ramp_back: bool,
        ramp_max_s: float = math.inf,
        restraint: Restraint | None = None,
        write_log: WriteLog | None = None,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> "Control":
        """Wire the parts together, and say which points will not be commanded.

        Args:
            config: What both agents share.
            points: All points of the agent.
            state: Folder of journal and epoch.
            clock: Site time.
            driver: Told of commands that were carried out.
            faults: Where faults are noted.
            ramp_back: Whether values go back within their slew.
            ramp_max_s: Longest time for that; then the rest goes in one step.
            restraint: What keeps values from being written at some moments.
            write_log: Where writes are recorded.
            mono_s: Monotonic clock, for leases.
        """
        writes = WriteTimes(mono_s if config.simulated_clock is None else clock.now_s)
        restorer = PointRestorer(
            points=points,
            writes=writes,
            ramp=ramp_back,
            ramp_max_s=ramp_max_s,
            write_log=write_log,
        )
        guard = Guard(
            leases=LeaseKeeper(
                agent=config.agent_id,
                epoch_path=state.epoch,
                ttl_default_s=config.lease.ttl_default_s,
                ttl_max_s=config.lease.ttl_max_s,
                mono_s=mono_s,
            ),
            journal=Journal(state.journal),
            restorer=restorer,
            faults=faults,
            mono_s=mono_s,
        )
        commander = Commander(
            points=points,
            guard=guard,
            writes=writes,
            clock=clock,
            driver=driver,
            restraint=restraint,
            write_log=write_log,
        )
        _log_what_is_read_only(list(points.values()))
        return cls(
            guard=guard,
            commander=commander,
            restorer=restorer,
            writes=writes,
            reconciler=Reconciler(
                points=points, guard=guard, commander=commander, write_log=write_log
            ),
        )


def _log_what_is_read_only(points: Sequence[Point]) -> None:
    reasons: dict[str, list[str]] = {}
    for spec in (point.spec for point in points):
        if spec.refusal:
            reasons.setdefault(spec.refusal, []).append(device_of(spec.key))
    for reason, devices in reasons.items():
        log.warning("read-only for %s: %s", ", ".join(devices), reason)
