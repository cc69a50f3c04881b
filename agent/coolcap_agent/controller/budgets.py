"""Power budgets in force: what the site file says, changed by people for a window of time."""

import dataclasses
import threading
from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.budget import worst_case_power_w
from coolcap_envs.safety.limits import Limits


class BudgetError(CoolcapError):
    """A budget was asked for that cannot be kept."""


class UnknownBudgetError(BudgetError):
    """The site has no budget of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChange:
    """A budget that differs from the site file from ``start_time_s`` until ``end_time_s``."""

    budget_w: float
    start_time_s: float
    end_time_s: float
    reason: str

    def holds_at(self, time_s: float) -> bool:
        """Return whether the change is in force; the end is exclusive."""
        return self.start_time_s <= time_s < self.end_time_s


class Budgets:
    """Site limits with the budgets that hold at a time. Safe to use from several threads."""

    def __init__(self, layout: Layout, limits: Limits) -> None:
        self._layout = layout
        self._configured = limits
        self._changes: dict[str, BudgetChange] = {}
        self._lock = threading.Lock()

    @property
    def configured(self) -> Limits:
        """Return the limits as the site file has them."""
        return self._configured

    def change(self, name: str) -> BudgetChange | None:
        """Return the change of budget ``name`` that holds now or will, if there is one."""
        with self._lock:
            return self._changes.get(name)

    def limits_at(self, time_s: float) -> Limits:
        """Return the limits in force at ``time_s``; changes that ended are forgotten."""
        with self._lock:
            for name in [n for n, c in self._changes.items() if c.end_time_s <= time_s]:
                del self._changes[name]
            holding = {n: c.budget_w for n, c in self._changes.items() if c.holds_at(time_s)}
        if not holding:
            return self._configured
        names, watts = self._configured.budget_names, self._configured.budget_w
        changed = [holding.get(name, float(w)) for name, w in zip(names, watts, strict=True)]
        return dataclasses.replace(self._configured, budget_w=np.array(changed))

    def set(self, name: str, change: BudgetChange | None, *, other_w: FloatArray) -> None:
        """Set a budget, or lift the change with None.

        Args:
            name: One of the site's budgets.
            change: What shall hold, and when.
            other_w: Power beside the GPUs per group, for the lowest reachable figure, ``[N]``.

        Raises:
            UnknownBudgetError: If the site has no such budget.
            BudgetError: If even the lowest caps exceed it, or the window is empty.
        """
        names = self._configured.budget_names
        if name not in names:
            known = ", ".join(names) or "none"
            raise UnknownBudgetError(f"no budget {name!r}; this site has {known} (site file)")
        if change is not None:
            self._check(names.index(name), name, change, other_w)
        with self._lock:
            if change is None:
                self._changes.pop(name, None)
            else:
                self._changes[name] = change

    def _check(self, index: int, name: str, change: BudgetChange, other_w: FloatArray) -> None:
        if not change.end_time_s > change.start_time_s:
            raise BudgetError(f"budget {name}: the window ends before it starts; swap the times")
        floor_w = self._configured.power_cap_min_w
        lowest = worst_case_power_w(floor_w, other_w, self._layout, self._configured)
        lowest_w = float(lowest[index])
        if not change.budget_w >= lowest_w:
            raise BudgetError(
                f"budget {name} of {change.budget_w:.0f} W cannot be kept: with every cap at its "
                f"lowest its members may still draw {lowest_w:.0f} W (caps of the site file, "
                "measured power beside the GPUs, margin); ask for at least that, or stop servers"
            )
