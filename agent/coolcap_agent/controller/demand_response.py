"""Demand response: events that lower a budget for a while, from a file or from OpenADR 3.

An event is a request: it never lowers a budget below ``floor_w`` of the site's config, so that
nobody outside can stop a hall. An emergency (a feed is lost) comes from the site's own file alone
and is met as far as the lowest caps allow. A source that fails leaves what it said in force until
that ends by itself.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from coolcap_agent.config import read_config
from coolcap_agent.controller.budgets import BudgetChange, Budgets
from coolcap_agent.controller.demand_response_config import DemandResponseConfig
from coolcap_agent.logging import FaultLog
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import ConfigError, CoolcapError

log = logging.getLogger(__name__)

FILE_PERIOD_S: Final = 0.5
"""How often the file is looked at: an emergency in it is met within two fast ticks."""


class EventSourceError(CoolcapError):
    """A source of events cannot be asked now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandEvent:
    """One event.

    Attributes:
        event_id: Its id at the source.
        power_w: IT power asked for; None: ``reduction_ratio`` says it.
        reduction_ratio: Part of the configured budget to go without.
        start_time_s: Site time it begins.
        end_time_s: Site time it ends, exclusive.
        emergency: Whether it holds below the floor, too.
        budget: Which budget; empty: that of the config.
        reason: For people.
    """

    event_id: str
    power_w: float | None
    reduction_ratio: float
    start_time_s: float
    end_time_s: float
    emergency: bool = False
    budget: str = ""
    reason: str = ""


class EventSource(Protocol):
    """Says which events there are."""

    @property
    def name(self) -> str:
        """Return where it gets them from, for people."""
        ...

    @property
    def period_s(self) -> float:
        """Return how often it is worth asking."""
        ...

    async def find(self) -> Sequence[DemandEvent] | None:
        """Return all events, None if nothing changed. Raises EventSourceError."""
        ...


class EventFile:
    """Reads a file of ``[[events]]``; see docs/how-to/budgets.md."""

    period_s = FILE_PERIOD_S

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self.name = str(path)

    async def find(self) -> Sequence[DemandEvent] | None:
        """Return what the file says if it changed. Raises EventSourceError."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp == self._seen:
                return None
            events = await asyncio.to_thread(read_config, self._path, read_events)
        except FileNotFoundError:
            stamp, events = (0, 0), ()
            if stamp == self._seen:
                return None
        except (OSError, ConfigError) as error:
            raise EventSourceError(str(error)) from error
        self._seen = stamp
        return events


def read_events(root: Table) -> tuple[DemandEvent, ...]:
    """Read ``[[events]]``; problems are collected in the tables."""
    return tuple(_event(table) for table in root.take_tables("events", needed=False))


def _event(table: Table) -> DemandEvent:
    power_w = None
    if table.has("power_w"):
        power_w = table.take_float("power_w", low=0.0, high=1e10, unit="W")
    event = DemandEvent(
        event_id=table.take_str("id"),
        power_w=power_w,
        reduction_ratio=table.take_float(
            "reduction_ratio", low=0.0, high=1.0, unit="(ratio)", default=0.0
        ),
        start_time_s=_time_s(table, "start"),
        end_time_s=_time_s(table, "end") if table.has("end") else math.inf,
        emergency=table.take_bool("emergency", default=False),
        budget=table.take_str("budget", default=""),
        reason=table.take_str("reason", default="demand response"),
    )
    if (event.power_w is None) == (event.reduction_ratio == 0.0):
        table.complain("power_w", "or reduction_ratio is needed, one of the two")
    if not event.end_time_s > event.start_time_s:
        table.complain("end", "must be after start")
    table.finish()
    return event


def _time_s(table: Table, key: str) -> float:
    value = table.take(key)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    table.complain(key, "is missing: a time such as 2026-07-01T16:00:00Z is needed")
    return math.nan


def as_changes(
    events: Sequence[DemandEvent], config: DemandResponseConfig, budgets: Budgets
) -> list[tuple[str, BudgetChange]]:
    """Return events as changes of budgets, raised to the floor."""
    limits = budgets.configured
    configured_w = dict(zip(limits.budget_names, limits.budget_w.tolist(), strict=True))
    changes = []
    for event in events:
        name = event.budget or config.budget
        if name not in configured_w:
            continue
        wanted_w = event.power_w
        if wanted_w is None:
            wanted_w = (1.0 - event.reduction_ratio) * configured_w[name]
        # A floor is for the budget it was written for; of a part it takes the part's share.
        floor_w = config.floor_w * min(1.0, configured_w[name] / configured_w[config.budget])
        held_w = wanted_w if event.emergency else max(wanted_w, floor_w)
        reason = f"{event.reason} ({event.event_id})"
        if held_w > wanted_w:
            reason += f": asked {wanted_w:.0f} W, floor {floor_w:.0f} W"
        change = BudgetChange(
            budget_w=held_w,
            start_time_s=event.start_time_s,
            end_time_s=event.end_time_s,
            reason=reason,
        )
        changes.append((name, change))
    return changes


class DemandResponse:
    """Keeps the requests of one source up to date in the budgets.

    Args:
        source: Says which events there are.
        config: Gives budget and floor as they are now; None: no request is met any more.
        budgets: Is told.
        faults: Logs a source that fails.
    """

    def __init__(
        self,
        source: EventSource,
        config: Callable[[], DemandResponseConfig | None],
        *,
        budgets: Budgets,
        faults: FaultLog,
    ) -> None:
        self._source = source
        self._config = config
        self._budgets = budgets
        self._faults = faults
        self._events: Sequence[DemandEvent] = ()

    async def look(self) -> None:
        """Ask the source once."""
        name = self._source.name
        try:
            events = await self._source.find()
        except EventSourceError as error:
            self._faults.begin(name, f"events: {error}; what was asked before stays in force")
            return
        self._faults.end(name, f"events: {name} can be read again")
        if events is not None and events != self._events:
            log.info("events: %d from %s", len(events), name)
            self._events = events
        config = self._config()
        changes = [] if config is None else as_changes(self._events, config, self._budgets)
        self._budgets.request(name, changes)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._source.period_s)
