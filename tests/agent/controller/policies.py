"""Policies and budgets for tests of the loop."""

import threading

import numpy as np

from agent.controller.fake_plant import LoopBench
from coolcap_agent.controller.budgets import BudgetChange
from coolcap_envs.contract.action import Action
from coolcap_envs.contract.observation import Observation


def set_budget(bench: LoopBench, budget_w: float) -> None:
    change = BudgetChange(budget_w=budget_w, start_time_s=0.0, end_time_s=np.inf, reason="test")
    bench.budgets.set("site", change, other_w=np.full(4, 40.0))


class ConstantPolicy:
    """Asks the same of every lever."""

    name = "constant"

    def __init__(self, value: float) -> None:
        self.value = value
        self.seen: list[Observation] = []

    def act(self, observation: Observation) -> Action:
        self.seen.append(observation)
        neutral = Action.neutral(*observation.groups.shape[:-1])
        return Action(groups=neutral.groups + self.value, plant=neutral.plant + self.value)


class RaisingPolicy:
    """Fails until told to stop."""

    name = "raising"

    def __init__(self) -> None:
        self.broken = True

    def act(self, observation: Observation) -> Action:
        if self.broken:
            raise ZeroDivisionError("weights are zero")
        return Action.neutral(*observation.groups.shape[:-1])


class BlockedPolicy:
    """Answers when it is let go."""

    name = "blocked"

    def __init__(self) -> None:
        self.go = threading.Event()

    def act(self, observation: Observation) -> Action:
        self.go.wait(30.0)
        return Action.neutral(*observation.groups.shape[:-1])
