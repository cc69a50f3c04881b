"""Plans of faults: events at given times, rates of events that are drawn, or both.

A plan is a TOML file::

    [[events]]
    kind = "chiller-trip"
    start_s = 3600.0        # after the start of the episode
    duration_s = 1200.0
    value = 0.0             # share that stays fit to run; what it means depends on the kind
    source = "…"

    [[rates]]
    kind = "sensor-bias"
    per_day = 0.5           # events per day, over the whole site
    mean_s = 7200.0         # mean of their exponential duration
    low = -3.0              # values are drawn evenly from low to high
    high = 3.0
    source = "…"

``target`` names the node, agent or sensor; events and rates without one hit any.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.faults.kinds import MEANINGS, FaultKind, target_problem

_KINDS: Final = tuple(kind.value for kind in FaultKind)
_LONGEST_S: Final = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent:
    """A fault from ``start_s`` after the start of the episode for ``duration_s``.

    Attributes:
        kind: What goes wrong.
        start_s: When it begins; taken to the next multiple of 30 s.
        duration_s: How long it lasts; at least 30 s.
        target: Node, agent or sensor; empty for the plant as a whole or for one that is drawn.
        value: What it means depends on the kind.
    """

    kind: FaultKind
    start_s: float
    duration_s: float
    target: str = ""
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRate:
    """Faults of one kind that happen at random.

    Attributes:
        kind: What goes wrong.
        per_day: Events per day over the whole site, a Poisson process.
        mean_s: Mean of their exponential duration.
        low: Least value.
        high: Greatest value.
        target: Node, agent or sensor; empty for one that is drawn for each event.
    """

    kind: FaultKind
    per_day: float
    mean_s: float
    low: float = 0.0
    high: float = 0.0
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """All that may go wrong in an episode.

    Attributes:
        name: Where it is from, for messages.
        events: At given times.
        rates: At random times.
    """

    name: str = "faults"
    events: tuple[FaultEvent, ...] = ()
    rates: tuple[FaultRate, ...] = ()

    def check(self, layout: Layout) -> None:
        """Refuse a plan whose targets the site has not.

        Raises:
            ConfigError: With every problem at once.
        """
        named = [(f"events[{k}]", e.kind, e.target) for k, e in enumerate(self.events)]
        named += [(f"rates[{k}]", r.kind, r.target) for k, r in enumerate(self.rates)]
        problems = [
            f"{name}.{problem}"
            for name, kind, target in named
            if (problem := target_problem(kind, target, layout))
        ]
        if problems:
            raise ConfigError(self.name, problems)


def _take_kind(table: Table) -> FaultKind:
    name = table.take_str("kind", allowed=_KINDS)
    return FaultKind(name) if name else FaultKind.CRAH_TRIP


def _read_event(table: Table) -> FaultEvent:
    kind = _take_kind(table)
    meaning = MEANINGS[kind]
    event = FaultEvent(
        kind=kind,
        start_s=table.take_float("start_s", low=0.0, high=_LONGEST_S, unit="s"),
        duration_s=table.take_float("duration_s", low=30.0, high=_LONGEST_S, unit="s"),
        target=table.take_str("target", default=""),
        value=table.take_float(
            "value", low=meaning.low, high=meaning.high, unit=_unit(kind), default=meaning.default
        ),
    )
    table.take_str("source", default="")
    table.finish()
    return event


def _read_rate(table: Table) -> FaultRate:
    kind = _take_kind(table)
    meaning = MEANINGS[kind]

    def bound(key: str) -> float:
        return table.take_float(
            key, low=meaning.low, high=meaning.high, unit=_unit(kind), default=meaning.default
        )

    rate = FaultRate(
        kind=kind,
        per_day=table.take_float("per_day", low=0.0, high=1000.0, unit="1/d"),
        mean_s=table.take_float("mean_s", low=30.0, high=_LONGEST_S, unit="s"),
        low=bound("low"),
        high=bound("high"),
        target=table.take_str("target", default=""),
    )
    if rate.low > rate.high:
        table.complain("low", f"= {rate.low:g} exceeds high = {rate.high:g}")
    table.take_str("source", default="")
    table.finish()
    return rate


def _unit(kind: FaultKind) -> str:
    return f"({MEANINGS[kind].value or 'no value'})"


def shipped_plans() -> tuple[str, ...]:
    """Return the names of the plans that come with the package."""
    folder = resources.files("coolcap_envs") / "sites" / "faults"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def as_plan(faults: "str | FaultPlan | None") -> "FaultPlan | None":
    """Return a plan from its name, its file or itself.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    return load_plan(faults) if isinstance(faults, str) else faults


@lru_cache(maxsize=32)
def load_plan(name: str) -> FaultPlan:
    """Return a plan: the name of a shipped one, or a path ending in ``.toml``.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in shipped_plans():
        path = Path(str(resources.files("coolcap_envs") / "sites" / "faults" / f"{name}.toml"))
    else:
        known = ", ".join(shipped_plans())
        raise ConfigError(name, [f"is no shipped plan of faults ({known}) and no path to a .toml"])
    root = Table(read_toml(path), path="", problems=[])
    plan = FaultPlan(
        name=str(path),
        events=tuple(_read_event(table) for table in root.take_tables("events", needed=False)),
        rates=tuple(_read_rate(table) for table in root.take_tables("rates", needed=False)),
    )
    root.finish()
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return plan
