"""Config of the simulation host. Reading it connects to nothing.

::

    site = "lab-16"                     # a shipped site, or a path ending in .toml
    seed = 1
    weather = "greensboro"              # optional: a weather of the site, else its first
    workload = "recorded-2023"          # optional: a profile of generated work, shipped or a file
trace = "csv:week.csv"              # optional: recorded work in place of generated
fault_plan = "plan.toml"            # optional: trips and failing sensors, planned or drawn
randomise_ratio = 0.0               # optional: 0 is the nominal plant, 1 one far from it
    start_time = "2025-07-15T00:00:00Z" # site time of the first frame
    duration_s = 86400.0                # site time to simulate
    period_s = 30.0                     # site time per step; setpoints act from one to the next
    frames_per_period = 1               # more of them to watch closely, e.g. with NVML tools
    hall_file = "hall"                  # relative paths start at the config's folder
    summary_file = "truth.json"         # optional: true totals and violations, written at the end
    ack_timeout_s = 1.0                 # host's clock; 0 never waits for agents
    start_timeout_s = 30.0              # the same for the first frame, while agents start
    speed = 60.0                        # optional: at most so many site seconds a second

    [[faults]]                          # any number
    device = "crah"                     # or "chiller", "tower", "pump"
    start_s = 36000.0                   # after the start
    duration_s = 1800.0
    available_ratio = 0.5               # share of such devices still fit to run

    [log]
    level = "info"
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from coolcap_agent.config import read_config
from coolcap_agent.logging import LogConfig, read_log_config
from coolcap_envs.contract.config import Table

FAULT_DEVICES: Final[tuple[str, ...]] = ("crah", "chiller", "tower", "pump")
YEAR_S: Final = 366 * 86400.0
PERIODS_S: Final = (5.0, 10.0, 15.0, 30.0)
"""Multiples of the plant model's step of 5 s that divide the 30 s for which demand holds: for these
its powers are means over the whole period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantFault:
    """A span in which part of the cooling plant is not fit to run.

    Attributes:
        device: One of ``FAULT_DEVICES``.
        start_s: Begin, after the start of the simulation.
        duration_s: Length.
        available_ratio: Share of these devices that is still fit to run.
    """

    device: str
    start_s: float
    duration_s: float
    available_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """What to simulate, and how fast.

    Attributes:
        site: Name of a shipped site, or a path ending in ``.toml``.
        seed: Of everything random.
        weather: Name of one of the site's weathers; None: its first.
        randomise_ratio: How much of the site's randomisation of parameters applies.
        start_time_s: Site time of the first frame, seconds since 1970-01-01 UTC.
        duration_s: Site time to simulate.
        period_s: Site time per step, one of ``PERIODS_S``.
        frames_per_period: How many frames lead from one step to the next.
        hall_file: The shared hall to create.
        summary_file: Where true totals and violations go at the end; None: nowhere.
        ack_timeout_s: Longest real wait for agents in each period; 0 never waits.
        start_timeout_s: The same for the first frame.
        speed: At most so many site seconds per real second; None: as fast as acknowledged.
        faults: Faults of the cooling plant.
        workload: Profile of generated work; None: the site's.
        trace: Recorded work, ``KIND:FILE``; None: the site's or generated.
        fault_plan: Plan of trips and failing sensors; None for none.
        log: How to log.
    """

    site: str
    seed: int
    start_time_s: float
    duration_s: float
    hall_file: Path
    weather: str | None = None
    randomise_ratio: float = 0.0
    period_s: float = 30.0
    frames_per_period: int = 1
    summary_file: Path | None = None
    ack_timeout_s: float = 1.0
    start_timeout_s: float = 30.0
    speed: float | None = None
    faults: tuple[PlantFault, ...] = ()
    workload: str | None = None
    trace: str | None = None
    fault_plan: str | None = None
    log: LogConfig = field(default_factory=LogConfig)


def read_sim_config(path: Path) -> SimConfig:
    """Read the host's config.

    Raises:
        ConfigError: With every problem of the file at once, unknown keys included.
    """
    return read_config(path, lambda root: _read(root, folder=path.parent))


def _read(root: Table, *, folder: Path) -> SimConfig:
    return SimConfig(
        site=root.take_str("site"),
        seed=root.take_int("seed", low=0, high=2**63 - 1, default=1),
        weather=root.take_str("weather") if root.has("weather") else None,
        randomise_ratio=root.take_float(
            "randomise_ratio", low=0.0, high=1.0, unit="(ratio)", default=0.0
        ),
        start_time_s=_take_time(root, "start_time"),
        duration_s=root.take_float("duration_s", low=0.1, high=YEAR_S, unit="s", default=86400.0),
        period_s=_take_period(root, "period_s"),
        frames_per_period=root.take_int("frames_per_period", low=1, high=1000, default=1),
        hall_file=folder / root.take_str("hall_file"),
        summary_file=folder / root.take_str("summary_file") if root.has("summary_file") else None,
        ack_timeout_s=root.take_float("ack_timeout_s", low=0.0, high=600.0, unit="s", default=1.0),
        start_timeout_s=root.take_float(
            "start_timeout_s", low=0.0, high=600.0, unit="s", default=30.0
        ),
        speed=(
            root.take_float("speed", low=1e-3, high=1e6, unit="(site s per s)")
            if root.has("speed")
            else None
        ),
        faults=tuple(_read_fault(table) for table in root.take_tables("faults", needed=False)),
        workload=_take_named(root, "workload", folder),
        trace=_take_named(root, "trace", folder),
        fault_plan=_take_named(root, "fault_plan", folder),
        log=read_log_config(root.take_table("log", needed=False)),
    )


def _take_named(table: Table, key: str, folder: Path) -> str | None:
    """Take a name or a file, which may stand after ``KIND:`` and lies in the config's folder."""
    if not table.has(key):
        return None
    kind, found, file = table.take_str(key).rpartition(":")
    is_file = bool(found) or file.endswith(".toml")
    return f"{kind}{found}{folder / file}" if is_file else file


def _take_period(table: Table, key: str) -> float:
    period_s = table.take_float(key, low=min(PERIODS_S), high=max(PERIODS_S), unit="s", default=30)
    if min(PERIODS_S) <= period_s <= max(PERIODS_S) and period_s not in PERIODS_S:
        allowed = ", ".join(f"{allowed_s:g}" for allowed_s in PERIODS_S)
        table.complain(key, f"= {period_s:g} s is not allowed: one of {allowed} s is needed")
    return period_s


def _take_time(table: Table, key: str) -> float:
    """Take an instant with its offset from UTC; NaN after a problem."""
    text = table.take_str(key)
    if not text:
        return math.nan
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min  # noqa: DTZ901 - has no offset, which is refused below
    if time.tzinfo is None:
        wanted = "an instant with offset such as '2025-07-15T00:00:00Z' is needed"
        table.complain(key, f"= {text!r} is not allowed: {wanted}")
        return math.nan
    return time.astimezone(UTC).timestamp()


def _read_fault(table: Table) -> PlantFault:
    fault = PlantFault(
        device=table.take_str("device", allowed=FAULT_DEVICES),
        start_s=table.take_float("start_s", low=0.0, high=YEAR_S, unit="s"),
        duration_s=table.take_float("duration_s", low=1.0, high=YEAR_S, unit="s"),
        available_ratio=table.take_float("available_ratio", low=0.0, high=1.0, unit="(ratio)"),
    )
    table.finish()
    return fault
