"""What the loop is told, and what it shows of itself."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from coolcap_agent.controller.division import Division
from coolcap_agent.controller.fitness import Verdict
from coolcap_agent.controller.modes import ModeState
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.limits import Limits

LATENCY_KEEP_COUNT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What the loop is told; ``LoopConfig`` says what each means."""

    work_value: float
    policy_period_s: float
    fast_period_s: float
    trip_over_k: float
    trip_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """What the loop knows after a tick; replaced whole, so that other threads may read it.

    Attributes:
        layout: The site's layout.
        mode: Mode in force.
        telemetry: Newest telemetry.
        limits: Limits with the budgets in force.
        in_force: What the devices hold.
        commanded: What was last sent; NaN where nothing was.
        verdict: What may be decided on.
        wishes: What people asked for beside the mode.
        overrides: Values in the hand of people or of the plant's own control.
        division: Who decides about what.
        leads: Whether this controller may command: it is alone or holds a majority of the leases.
        budgets_short: Budgets that cannot be kept even with every cap at its lowest.
        failure: Why the policy does not act; empty if it does or was not asked.
        tick_count: Decisions so far.
        missed_count: Decisions for which the policy gave no usable answer.
        latency_s: Time the last decision took, host time.
        latency_max_s: Longest of the last 1000.
    """

    layout: Layout
    mode: ModeState
    telemetry: Telemetry
    limits: Limits
    in_force: Setpoints
    commanded: Setpoints
    verdict: Verdict
    wishes: Wishes
    division: Division
    overrides: tuple[Override, ...] = ()
    leads: bool = True
    budgets_short: tuple[str, ...] = ()
    failure: str = ""
    tick_count: int = 0
    missed_count: int = 0
    latency_s: float = 0.0
    latency_max_s: float = 0.0


class TickCounts:
    """Counts decisions and keeps how long the last ones took."""

    def __init__(self) -> None:
        self._tick_count = 0
        self._missed_count = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCY_KEEP_COUNT)

    def note(self, *, failure: str, latency_s: float) -> dict[str, object]:
        """Note a decision; return what changes in the loop's state."""
        self._tick_count += 1
        self._missed_count += bool(failure)
        self._latencies_s.append(latency_s)
        return {
            "failure": failure,
            "tick_count": self._tick_count,
            "missed_count": self._missed_count,
            "latency_s": latency_s,
            "latency_max_s": max(self._latencies_s),
        }
