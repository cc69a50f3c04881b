"""Demand response: windows in which the grid asks a site to use less power.

A schedule is a TOML file. An event either stands on the calendar or comes every day at the site's
local standard time, and lowers one power budget to a number or by a share::

    [[events]]
    start_time = 2025-07-15T21:00:00Z
    end_time = 2025-07-15T23:30:00Z
    budget = "site"                 # of the site file
    power_w = 12000.0
    source = "…"

    [[events]]
    from_hour = 17.0
    to_hour = 19.0
    budget = "site"
    reduction_ratio = 0.25
    source = "…"

Events reach the shield and the policy as what they are: a smaller budget for a while, which the
observation shows as ``budget_use_ratio``.
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.limits import Limits

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandResponseEvent:
    """One window; of ``power_w`` and ``reduction_ratio`` one is NaN.

    Attributes:
        start_s: Begin, seconds since 1970 UTC; of a daily event since local midnight.
        end_s: End, not included; of a daily event it may lie before the start.
        is_daily: Whether it comes every day.
        budget: Name of the budget it lowers.
        power_w: IT power the budget then allows.
        reduction_ratio: Share by which it is lowered.
    """

    start_s: float
    end_s: float
    is_daily: bool
    budget: str
    power_w: float
    reduction_ratio: float

    def holds(self, time_s: FloatArray, utc_offset_h: FloatArray) -> FloatArray:
        """Return 1 where the event holds and 0 elsewhere, shape of ``time_s``."""
        if not self.is_daily:
            return np.asarray((time_s >= self.start_s) & (time_s < self.end_s), dtype=np.float64)
        of_day_s = (time_s + utc_offset_h * _HOUR_S) % _DAY_S
        length_s = (self.end_s - self.start_s) % _DAY_S
        return np.asarray((of_day_s - self.start_s) % _DAY_S < length_s, dtype=np.float64)


class DemandResponse:
    """A schedule for one site.

    Args:
        events: Its events.
        limits: The site's limits, whose budgets they lower.
        origin: Where it is from, for messages.

    Raises:
        ConfigError: If an event names a budget the site has not, or would raise one.
    """

    def __init__(
        self, events: tuple[DemandResponseEvent, ...], limits: Limits, *, origin: str
    ) -> None:
        self._events = events
        self._budget_w = limits.budget_w
        self._places: list[int] = []
        self._power_w: list[float] = []
        problems: list[str] = []
        for k, event in enumerate(events):
            if event.budget not in limits.budget_names:
                known = ", ".join(limits.budget_names) or "none"
                problems.append(
                    f"events[{k}].budget = {event.budget!r} is not at the site: there are {known}"
                )
                continue
            place = limits.budget_names.index(event.budget)
            own_w = float(limits.budget_w[place])
            power_w = event.power_w
            if math.isnan(power_w):
                power_w = (1.0 - event.reduction_ratio) * own_w
            if power_w > own_w:
                problems.append(
                    f"events[{k}].power_w = {power_w:g} W is above budget {event.budget} itself, "
                    f"{own_w:g} W (site file)"
                )
            self._places.append(place)
            self._power_w.append(power_w)
        if problems:
            raise ConfigError(origin, problems)

    def budget_w(self, time_s: FloatArray, utc_offset_h: FloatArray) -> FloatArray:
        """Return what each budget allows now, shape ``[B, number of budgets]``.

        Args:
            time_s: Now at each plant, shape ``[B]``.
            utc_offset_h: Local standard time less UTC of each, shape ``[B]``.
        """
        budget_w = np.tile(self._budget_w, (len(time_s), 1))
        for event, place, power_w in zip(self._events, self._places, self._power_w, strict=True):
            lowered_w = np.where(event.holds(time_s, utc_offset_h) > 0.0, power_w, np.inf)
            budget_w[:, place] = np.minimum(budget_w[:, place], lowered_w)
        return budget_w


class BudgetCalls:
    """Budgets of a batch of plants that each may follow a schedule of their own.

    Args:
        limits: The site's limits.
        batch_size: Number of plants.
    """

    def __init__(self, limits: Limits, *, batch_size: int) -> None:
        self._limits = limits
        self._schedules: dict[int, DemandResponse] = {}
        self._utc_offset_h = np.zeros(batch_size)

    def start(self, member: int, schedule: str | None, *, utc_offset_h: float) -> None:
        """Let a plant follow a schedule file, or none.

        Raises:
            ConfigError: With every problem of the file at once.
        """
        self._schedules.pop(member, None)
        self._utc_offset_h[member] = utc_offset_h
        if schedule is not None:
            events = read_schedule(schedule)
            self._schedules[member] = DemandResponse(events, self._limits, origin=schedule)

    @property
    def in_use(self) -> bool:
        """Return whether any plant follows a schedule."""
        return bool(self._schedules)

    def limits(self, time_s: FloatArray) -> Limits:
        """Return the limits at ``time_s``, shape ``[B]``: the site's own without schedules."""
        if not self._schedules:
            return self._limits
        budget_w = np.tile(self._limits.budget_w, (len(time_s), 1))
        for b, schedule in self._schedules.items():
            one = slice(b, b + 1)
            budget_w[one] = schedule.budget_w(time_s[one], self._utc_offset_h[one])
        return replace(self._limits, budget_w=budget_w)


def _take_time(table: Table, key: str) -> float:
    """Take an instant with a time zone; NaN after a problem."""
    value = table.take(key)
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        said = "is missing:" if value is None else f"= {value} is not allowed:"
        table.complain(key, f"{said} a time with zone such as 2025-07-15T21:00:00Z is needed")
        return math.nan
    return value.timestamp()


def _read_event(table: Table) -> DemandResponseEvent:
    is_daily = table.has("from_hour") or table.has("to_hour")
    if is_daily:
        start_s, end_s = (
            _HOUR_S * table.take_float(key, low=0.0, high=24.0, unit="h")
            for key in ("from_hour", "to_hour")
        )
    else:
        start_s, end_s = _take_time(table, "start_time"), _take_time(table, "end_time")
        if start_s >= end_s:
            table.complain("end_time", "must come after start_time")
    budget = table.take_str("budget")
    power_w = reduction = math.nan
    if table.has("power_w") == table.has("reduction_ratio"):
        table.complain("power_w", "or reduction_ratio is needed, and only one of them")
    if table.has("power_w"):
        power_w = table.take_float("power_w", low=0.0, high=1e10, unit="W")
    if table.has("reduction_ratio"):
        reduction = table.take_float("reduction_ratio", low=0.0, high=1.0, unit="(ratio)")
    table.take_str("source")
    table.finish()
    return DemandResponseEvent(
        start_s=start_s,
        end_s=end_s,
        is_daily=is_daily,
        budget=budget,
        power_w=power_w,
        reduction_ratio=reduction,
    )


@lru_cache(maxsize=32)
def read_schedule(name: str) -> tuple[DemandResponseEvent, ...]:
    """Return the events of a schedule file.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    root = Table(read_toml(Path(name)), path="", problems=[])
    events = tuple(_read_event(table) for table in root.take_tables("events"))
    root.finish()
    if root.problems:
        raise ConfigError(name, root.problems)
    return events
