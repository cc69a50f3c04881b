"""How far readings are believed.

In ``[trust]``, every table and key optional::

    recovery_s = 60.0                   # so long after a leap a point is believed again

    [trust.signals.inlet_temp_max_c]
    rate_max_per_min = 30.0             # a faster change is not believed
    stuck_max_s = 1800.0                # unchanged for so long, while the IT power changed
    stuck_span = 0.05                   # what counts as unchanged
    neighbour_max = 3.0                 # from the median of the signal's three or more points

    [trust.air_balance]                 # heat into the air of the hall against IT power
    air_flow_design_kg_per_s = 60.0     # at air_flow_ratio = 1
    tolerance_ratio = 0.1
    patience_s = 600.0                  # stored heat: so long it may be out of balance

Temperatures have a rate without being asked for; the rest needs numbers only the site knows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.signals import PLANT_COLUMN, PLANT_SIGNALS, Signal

TEMPERATURE_RATE_MAX_PER_MIN: Final = 30.0
"""Three times the fastest runaway of a hall: 10 K/min for racks of 130 kW, limited by their own
mass (docs/explanation/safety-case.md)."""
RECOVERY_S: Final = 60.0
"""A point that leapt is believed again after this long without another leap: a meter that was
replaced is not unknown for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalTrust:
    """What a signal's points must satisfy; infinite where nothing is asked."""

    rate_max_per_min: float = math.inf
    stuck_max_s: float = math.inf
    stuck_span: float = 0.0
    neighbour_max: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class AirBalance:
    """Heat carried by the air must be the IT power."""

    air_flow_design_kg_per_s: float
    tolerance_ratio: float
    patience_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig:
    """What readings must satisfy; ``air_balance`` is None where it is not checked."""

    of_signal: Mapping[str, SignalTrust]
    air_balance: AirBalance | None
    recovery_s: float = RECOVERY_S

    def signal(self, name: str) -> SignalTrust:
        """Return what the points of a signal must satisfy."""
        known = self.of_signal.get(name)
        return known if known is not None else default_trust(PLANT_SIGNALS[PLANT_COLUMN[name]])


def default_trust(signal: Signal) -> SignalTrust:
    """Return what is asked of a signal that the config does not name."""
    if signal.unit == "°C" and not signal.name.endswith("setpoint_c"):
        return SignalTrust(rate_max_per_min=TEMPERATURE_RATE_MAX_PER_MIN)
    return SignalTrust()


def read_trust(table: Table) -> TrustConfig:
    """Read ``[trust]``; problems are collected in ``table.problems``."""
    signals = table.take_table("signals", needed=False)
    of_signal = {
        signal.name: _read_signal(signals.take_table(signal.name), signal)
        for signal in PLANT_SIGNALS
        if signals.has(signal.name)
    }
    signals.finish()
    balance = None
    if table.has("air_balance"):
        balance = _read_air_balance(table.take_table("air_balance"))
    recovery_s = table.take_float("recovery_s", low=0.0, high=86400.0, unit="s", default=RECOVERY_S)
    table.finish()
    return TrustConfig(of_signal=of_signal, air_balance=balance, recovery_s=recovery_s)


def _read_signal(table: Table, signal: Signal) -> SignalTrust:
    before = default_trust(signal)
    span = signal.high - signal.low

    def take(key: str, default: float, *, high: float, unit: str) -> float:
        if not table.has(key):
            return default
        return table.take_float(key, low=0.0, high=high, unit=unit)

    trust = SignalTrust(
        rate_max_per_min=take(
            "rate_max_per_min", before.rate_max_per_min, high=1e12, unit=f"{signal.unit}/min"
        ),
        stuck_max_s=take("stuck_max_s", before.stuck_max_s, high=86400.0 * 7.0, unit="s"),
        stuck_span=take("stuck_span", before.stuck_span, high=span, unit=signal.unit),
        neighbour_max=take("neighbour_max", before.neighbour_max, high=span, unit=signal.unit),
    )
    table.finish()
    return trust


def _read_air_balance(table: Table) -> AirBalance:
    balance = AirBalance(
        air_flow_design_kg_per_s=table.take_float(
            "air_flow_design_kg_per_s", low=0.01, high=1e5, unit="kg/s"
        ),
        tolerance_ratio=table.take_float(
            "tolerance_ratio", low=0.01, high=1.0, unit="1", default=0.1
        ),
        patience_s=table.take_float("patience_s", low=0.0, high=86400.0, unit="s", default=600.0),
    )
    table.finish()
    return balance
