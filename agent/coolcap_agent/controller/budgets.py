"""Power budgets in force: what the site file says, changed by people, events and lost cooling.

The lowest of all that holds at a time is in force. A person's change is checked against what the
lowest caps may draw; an event from outside is a request and is raised to its floor.
"""

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import PLANT_COLUMN
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.budget import worst_case_power_w
from coolcap_envs.safety.limits import Limits

_COOLING: Final = [PLANT_COLUMN["crah_available_ratio"], PLANT_COLUMN["chiller_available_ratio"]]


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
        self._requests: dict[str, tuple[tuple[str, BudgetChange], ...]] = {}
        self._lock = threading.Lock()

    @property
    def configured(self) -> Limits:
        """Return the limits as the site file has them."""
        return self._configured

    def configure(self, limits: Limits) -> None:
        """Replace what the site file says; changes of budgets it no longer has are forgotten."""
        with self._lock:
            self._configured = limits
            known = limits.budget_names
            self._changes = {n: c for n, c in self._changes.items() if n in known}

    def change(self, name: str) -> BudgetChange | None:
        """Return the change of budget ``name`` that a person made, if there is one."""
        with self._lock:
            return self._changes.get(name)

    def requests(self, time_s: float) -> list[tuple[str, BudgetChange]]:
        """Return the requests that hold at ``time_s``, with the budget each is for."""
        with self._lock:
            return [r for rs in self._requests.values() for r in rs if r[1].holds_at(time_s)]

    def request(self, source: str, changes: Sequence[tuple[str, BudgetChange]]) -> None:
        """Replace all requests of one source; those for unknown budgets have no effect.

        Args:
            source: Who asks, for example the name of a file.
            changes: Budget and what is asked of it, raised to its floor already.
        """
        with self._lock:
            self._requests[source] = tuple(changes)

    def limits_at(self, time_s: float, telemetry: Telemetry | None = None) -> Limits:
        """Return the limits in force at ``time_s``; changes that ended are forgotten.

        Args:
            time_s: Site time.
            telemetry: Where cooling equipment that is not fit to run is seen; None: not looked at.
        """
        with self._lock:
            limits = self._configured
            for name in [n for n, c in self._changes.items() if c.end_time_s <= time_s]:
                del self._changes[name]
            changed = {n: c.budget_w for n, c in self._changes.items() if c.holds_at(time_s)}
            asked = [r for rs in self._requests.values() for r in rs if r[1].holds_at(time_s)]
        cooled_w = np.inf if telemetry is None else cooled_power_w(telemetry, self._layout, limits)
        if not changed and not asked and not np.isfinite(cooled_w):
            return limits
        names = limits.budget_names
        watts = [changed.get(n, float(w)) for n, w in zip(names, limits.budget_w, strict=True)]
        for name, one in asked:
            if name in names:
                watts[names.index(name)] = min(watts[names.index(name)], one.budget_w)
        whole = limits.budget_members.all(axis=1)
        in_force_w = np.array(watts)
        return dataclasses.replace(
            limits, budget_w=np.where(whole, np.minimum(in_force_w, cooled_w), in_force_w)
        )

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
            self._check(name, change, other_w)
        with self._lock:
            if change is None:
                self._changes.pop(name, None)
            else:
                self._changes[name] = change

    def lowest_w(self, name: str, other_w: FloatArray) -> float:
        """Return what the members of a budget may draw with every cap at its lowest."""
        limits = self._configured
        lowest = worst_case_power_w(limits.power_cap_min_w, other_w, self._layout, limits)
        return float(lowest[limits.budget_names.index(name)])

    def _check(self, name: str, change: BudgetChange, other_w: FloatArray) -> None:
        if not change.end_time_s > change.start_time_s:
            raise BudgetError(f"budget {name}: the window ends before it starts; swap the times")
        lowest_w = self.lowest_w(name, other_w)
        if not change.budget_w >= lowest_w:
            raise BudgetError(
                f"budget {name} of {change.budget_w:.0f} W cannot be kept: with every cap at its "
                f"lowest its members may still draw {lowest_w:.0f} W (caps of the site file, "
                "measured power beside the GPUs, margin); ask for at least that, or stop servers"
            )


def cooled_power_w(telemetry: Telemetry, layout: Layout, limits: Limits) -> float:
    """Return the IT power that the cooling equipment fit to run can carry; infinite if all of it.

    It takes effect on budgets that cover the whole site, before any temperature rises: a hall that
    lost its cooling warms by 2 to 10 K per minute. A reading that is missing or too old lowers
    nothing; the temperatures are watched all the same.
    """
    valid = telemetry.plant_valid(age_max_s=limits.telemetry_age_max_s)[_COOLING]
    available = np.where(valid, telemetry.plant[_COOLING], 1.0)
    ratio = float(np.min(available))
    if ratio >= 1.0:
        return float("inf")
    return ratio * limits.cooling_capacity_ratio * layout.it_power_design_w
