"""Which readings to believe: of each point its rate and whether it is stuck, then its neighbours.

What is not believed becomes unknown, and unknown counts as unsafe. Nothing is repaired: no last
value, no estimate. A point that leapt is believed again when it has behaved for a while.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.plant.trust_config import AirBalance, SignalTrust, TrustConfig
from coolcap_agent.plant.validity import Validity

LOAD_CHANGE_RATIO: Final = 0.1
"""A live sensor near the load notices a change of the IT power by this much."""
NEIGHBOURS_MIN: Final = 3
"""Fewer cannot outvote one: two that differ do not say which of them is wrong."""
AIR_SPECIFIC_HEAT_J_PER_KG_K: Final = 1007.0
"""Dry air at 300 K. Source: Incropera et al., Fundamentals of Heat and Mass Transfer, 7th ed.,
Table A.4."""
IT_POWER: Final = "it_power_w"
BALANCED: Final = ("supply_air_temp_c", "return_air_temp_c", "air_flow_ratio")
"""Signals of which one must be wrong if the air does not carry the IT power away."""


@dataclass(slots=True)
class _History:
    """What is remembered of one point."""

    value: float
    time_s: float
    leapt_s: float = -math.inf
    low: float = math.inf
    high: float = -math.inf
    since_s: float = 0.0
    load_low_w: float = math.inf
    load_high_w: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why a signal is not believed."""

    validity: Validity
    problem: str


class SensorTrust:
    """Looks at the readings of all points of one plant, poll after poll."""

    def __init__(self, config: TrustConfig) -> None:
        self.config = config
        self._histories: dict[tuple[str, str], _History] = {}
        self._unbalanced_since_s = math.nan

    def check(
        self, readings: Sequence[SignalReading], *, now_s: float
    ) -> tuple[list[SignalReading], Mapping[str, Validity]]:
        """Return the readings, with NaN for those not believed, and by signal why.

        Args:
            readings: One per point.
            now_s: Site time.
        """
        doubts: dict[str, Validity] = {}
        load_w = _sum_of(readings, IT_POWER)
        believed = []
        for reading in readings:
            doubt = self._doubt(reading, now_s=now_s, load_w=load_w)
            believed.append(_without(reading, doubt, doubts))
        believed = self._ask_neighbours(believed, doubts)
        return self._balance(believed, doubts, now_s=now_s), doubts

    def _doubt(self, reading: SignalReading, *, now_s: float, load_w: float) -> Doubt | None:
        """Compare a point with its own past."""
        trust = self.config.signal(reading.signal)
        if not math.isfinite(reading.value):
            return None
        key = (reading.signal, reading.origin)
        past = self._histories.get(key)
        time_s = reading.measure_time_s
        if past is None or time_s < past.time_s:
            past = _History(reading.value, time_s, since_s=now_s)
            self._histories[key] = past
        leap = _leap(reading, past, trust)
        past.value, past.time_s = reading.value, max(time_s, past.time_s)
        if leap:
            past.leapt_s = now_s
            return Doubt(validity=Validity.IMPLAUSIBLE, problem=leap)
        if now_s - past.leapt_s < self.config.recovery_s:
            text = f"it leapt {now_s - past.leapt_s:.0f} s ago"
            return Doubt(validity=Validity.IMPLAUSIBLE, problem=text)
        return _stuck(reading, past, trust, now_s=now_s, load_w=load_w)

    def _ask_neighbours(
        self, readings: Sequence[SignalReading], doubts: dict[str, Validity]
    ) -> list[SignalReading]:
        """Doubt a point that lies far from the median of its signal's points."""
        values: dict[str, list[float]] = {}
        for reading in readings:
            if math.isfinite(reading.value):
                values.setdefault(reading.signal, []).append(reading.value)
        found = []
        for reading in readings:
            several = values.get(reading.signal, [])
            allowed = self.config.signal(reading.signal).neighbour_max
            doubt = None
            if len(several) >= NEIGHBOURS_MIN and abs(reading.value - median(several)) > allowed:
                text = (
                    f"{reading.value:g} is further than {allowed:g} from {median(several):g}, the "
                    f"median of {len(several)} points"
                )
                doubt = Doubt(validity=Validity.IMPLAUSIBLE, problem=text)
            found.append(_without(reading, doubt, doubts))
        return found

    def _balance(
        self, readings: list[SignalReading], doubts: dict[str, Validity], *, now_s: float
    ) -> list[SignalReading]:
        """Doubt the air's temperatures and flow where they do not carry the IT power away."""
        balance = self.config.air_balance
        if balance is None:
            return readings
        off = _imbalance(readings, balance)
        if off == "":
            self._unbalanced_since_s = math.nan
            return readings
        if math.isnan(self._unbalanced_since_s):
            self._unbalanced_since_s = now_s
        if now_s - self._unbalanced_since_s < balance.patience_s:
            return readings
        doubt = Doubt(validity=Validity.IMPLAUSIBLE, problem=off)
        return [
            _without(reading, doubt if reading.signal in BALANCED else None, doubts)
            for reading in readings
        ]


def _leap(reading: SignalReading, past: _History, trust: SignalTrust) -> str:
    span_s = reading.measure_time_s - past.time_s
    change = abs(reading.value - past.value)
    allowed = trust.rate_max_per_min / 60.0 * max(span_s, 1.0)
    if change <= allowed:
        return ""
    return (
        f"it changed from {past.value:g} to {reading.value:g} within {span_s:.0f} s, faster than "
        f"{trust.rate_max_per_min:g} per minute"
    )


def _stuck(
    reading: SignalReading, past: _History, trust: SignalTrust, *, now_s: float, load_w: float
) -> Doubt | None:
    low, high = min(past.low, reading.value), max(past.high, reading.value)
    if high - low > trust.stuck_span:
        past.low = past.high = reading.value
        past.since_s = now_s
        past.load_low_w = past.load_high_w = load_w
        return None
    past.low, past.high = low, high
    if math.isfinite(load_w):
        past.load_low_w = min(past.load_low_w, load_w)
        past.load_high_w = max(past.load_high_w, load_w)
    moved = past.load_high_w - past.load_low_w > LOAD_CHANGE_RATIO * past.load_high_w > 0.0
    if now_s - past.since_s < trust.stuck_max_s or not moved:
        return None
    text = (
        f"it has been {reading.value:g} for {now_s - past.since_s:.0f} s, while the IT power went "
        f"from {past.load_low_w:g} to {past.load_high_w:g} W"
    )
    return Doubt(validity=Validity.STUCK, problem=text)


def _imbalance(readings: Iterable[SignalReading], balance: AirBalance) -> str:
    """Return how far the air's heat is from the IT power; empty if in balance or not known."""
    known = list(readings)
    supply_c, return_c, flow = (_mean_of(known, name) for name in BALANCED)
    it_w = _sum_of(known, IT_POWER)
    if not all(map(math.isfinite, (supply_c, return_c, flow, it_w))) or it_w <= 0.0:
        return ""
    flow_kg_per_s = flow * balance.air_flow_design_kg_per_s
    heat_w = flow_kg_per_s * AIR_SPECIFIC_HEAT_J_PER_KG_K * (return_c - supply_c)
    if abs(heat_w - it_w) <= balance.tolerance_ratio * it_w:
        return ""
    return (
        f"the air carries {heat_w / 1000.0:.1f} kW away and the IT equipment takes "
        f"{it_w / 1000.0:.1f} kW: a temperature, the flow or the power is wrong"
    )


def _sum_of(readings: Iterable[SignalReading], signal: str) -> float:
    values = [reading.value for reading in readings if reading.signal == signal]
    return math.fsum(values) if values else math.nan


def _mean_of(readings: Iterable[SignalReading], signal: str) -> float:
    values = [r.value for r in readings if r.signal == signal and math.isfinite(r.value)]
    return math.fsum(values) / len(values) if values else math.nan


def _without(
    reading: SignalReading, doubt: Doubt | None, doubts: dict[str, Validity]
) -> SignalReading:
    if doubt is None:
        return reading
    doubts[reading.signal] = doubt.validity
    return replace(reading, value=math.nan, problem=doubt.problem)
