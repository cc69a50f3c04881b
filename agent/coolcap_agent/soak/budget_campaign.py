"""Randomised scenarios against the budget guard, with the policy replaced by an adversary.

Each scenario is a small site with a tree of budgets, two minutes of fast ticks through the real
``ControlLoop``, and events at random times: loss of a feed, mass job start, nodes cut off,
telemetry gone stale, cooling lost, and everything back. Counted is the longest time for which the
*true* power of any budget's members exceeded what it allows.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coolcap_agent.controller.budgets import BudgetChange, Budgets
from coolcap_agent.controller.loop import ControlLoop
from coolcap_agent.controller.loop_state import LoopSettings
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.soak.scenario_hall import ScenarioHall
from coolcap_agent.soak.small_tree import small_tree
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.observation import Observation
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w

TICK_COUNT: Final = 120
POLICY_PERIOD_S: Final = 10.0
"""Shorter than in use, so that the policy gets many chances to do harm."""
TICKS_OVER_MAX: Final = 2
EVENT_RATIO: Final = 0.12
"""Share of ticks with an event."""


class Adversary:
    """A policy that asks for the worst it can, or for anything, or for nonsense.

    Args:
        kind: ``random``, ``highest``, ``swing`` or ``broken``.
        rng: Where it draws from.
    """

    KINDS: Final = ("random", "highest", "swing", "broken")

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        self.name = self._kind = kind
        self._rng = rng
        self._turn = 1.0

    def act(self, observation: Observation) -> Action:
        """Return an action."""
        neutral = Action.neutral(*observation.groups.shape[:-1])
        if self._kind == "random":
            groups = self._rng.uniform(-1.0, 1.0, neutral.groups.shape)
            return Action(groups=groups, plant=self._rng.uniform(-1.0, 1.0, neutral.plant.shape))
        if self._kind == "broken" and self._rng.random() < 0.5:
            raise ValueError("as an adversary does")
        self._turn = -self._turn if self._kind == "swing" else 1.0
        fill = np.nan if self._kind == "broken" else self._turn
        return Action(groups=neutral.groups + fill, plant=neutral.plant + fill)


@dataclass(slots=True, kw_only=True)
class Found:
    """What the scenarios showed.

    Attributes:
        scenarios: How many were run.
        events: Which events there were, and how many.
        ticks: Fast ticks in all.
        ticks_over: Ticks on which some budget's true power was exceeded.
        ticks_unreachable: Of these, ticks on which nodes that cannot be commanded and the floors of
            the others already exceed the budget: nothing a controller does helps.
        longest_over: Longest run of ticks over a budget that could be kept.
        failed: Seeds of scenarios with a run longer than two ticks.
    """

    scenarios: int = 0
    events: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
    ticks_over: int = 0
    ticks_unreachable: int = 0
    longest_over: int = 0
    failed: list[int] = field(default_factory=list)


def run_campaign(
    count: int, *, first_seed: int = 0, progress: Callable[[int], None] = lambda done: None
) -> Found:
    """Run ``count`` scenarios; the seeds follow each other from ``first_seed``."""
    found = Found()
    for seed in range(first_seed, first_seed + count):
        longest = _Scenario(seed, found).run()
        found.longest_over = max(found.longest_over, longest)
        if longest > TICKS_OVER_MAX:
            found.failed.append(seed)
        found.scenarios += 1
        progress(found.scenarios)
    return found


class _Scenario:
    def __init__(self, seed: int, found: Found) -> None:
        self._rng = np.random.default_rng(seed)
        self._found = found
        self._layout, self._limits = small_tree(self._rng)
        self._hall = ScenarioHall(self._layout, self._limits, self._rng)
        self._budgets = Budgets(self._layout, self._limits)
        kind = Adversary.KINDS[seed % len(Adversary.KINDS)]
        policy = Adversary(kind, self._rng)
        self._runner = PolicyRunner(LoadedPolicy(policy=policy, name=kind), deadline_s=5.0)
        self._hall.keep_leases(caps=True, setpoints=True)
        self._hall.advance(1.0)
        self._loop = ControlLoop(
            self._hall,
            runner=self._runner,
            budgets=self._budgets,
            settings=LoopSettings(
                work_value=1.0,
                policy_period_s=POLICY_PERIOD_S,
                fast_period_s=1.0,
                trip_over_k=5.0,
                trip_after_s=300.0,
            ),
            mode=Mode.AUTO,
        )
        self._over = np.zeros(len(self._limits.budget_names), dtype=int)

    def run(self) -> int:
        """Return the longest run of ticks over a budget that could be kept."""
        longest = 0
        try:
            for tick in range(TICK_COUNT):
                if tick > 2 and self._rng.random() < EVENT_RATIO:
                    self._event()
                if tick % int(POLICY_PERIOD_S) == 0:
                    self._loop.policy_tick()
                else:
                    self._loop.fast_tick()
                self._hall.advance(1.0)
                if tick > 0:
                    longest = max(longest, self._count())
        finally:
            self._runner.close()
        return longest

    def _count(self) -> int:
        """Note which budgets are exceeded now; return the longest run so far."""
        hall, limits = self._hall, self._loop.state.limits
        now_w = self._budgets.limits_at(hall.time_s, hall.read()).budget_w
        members = limits.budget_members
        over = members @ hall.power_w() > now_w
        # What is drawn at least: nodes out of reach by themselves, the others at their floors.
        least_cap_w = np.where(hall.nodes.cut_off, hall.nodes.cap_w, limits.power_cap_min_w)
        telemetry = hall.read()
        other_w = np.maximum(hall.nodes.other_w, other_power_w(telemetry, self._layout))
        least_w = worst_case_power_w(least_cap_w, other_w, self._layout, limits)
        hopeless = over & (least_w > now_w)
        self._found.ticks += 1
        self._found.ticks_over += bool(over.any())
        self._found.ticks_unreachable += bool(hopeless.any())
        self._over = np.where(over & ~hopeless, self._over + 1, 0)
        return int(self._over.max())

    def _event(self) -> None:
        hall, rng = self._hall, self._rng
        count = self._layout.group_count
        name = str(
            rng.choice(["feed_loss", "job_start", "node_loss", "stale", "cooling_loss", "recovery"])
        )
        self._found.events[name] += 1
        some = rng.random(count) < rng.uniform(0.1, 0.6)
        if name == "feed_loss":
            self._lose_feed()
        elif name == "job_start":
            hall.nodes.demand_w = np.where(some, rng.uniform(600.0, 900.0, count), 150.0)
            fans_w = self._layout.gpu_count * rng.uniform(150.0, 300.0, count)
            hall.nodes.other_w = np.where(some, fans_w, hall.nodes.other_w)
        elif name == "node_loss":
            hall.nodes.cut_off = hall.nodes.cut_off | (rng.random(count) < 0.15)
        elif name == "stale":
            hall.nodes.mute = hall.nodes.mute | some
        elif name == "cooling_loss":
            hall.plant["crah_available_ratio"] = float(rng.uniform(0.5, 1.0))
        else:
            hall.whole()
            hall.plant["crah_available_ratio"] = 1.0

    def _lose_feed(self) -> None:
        """Lower a random budget at once, as far as the floors of all its members allow."""
        names = self._limits.budget_names
        b = int(self._rng.integers(len(names)))
        other_w = other_power_w(self._hall.read(), self._layout)
        lowest_w = self._budgets.lowest_w(names[b], other_w)
        wanted_w = float(self._limits.budget_w[b] * self._rng.uniform(0.4, 0.9))
        now_s = self._hall.time_s
        change = BudgetChange(
            budget_w=max(wanted_w, 1.02 * lowest_w),
            start_time_s=now_s,
            end_time_s=now_s + float(self._rng.uniform(5.0, 60.0)),
            reason="a feed is lost",
        )
        self._budgets.set(names[b], change, other_w=other_w)
