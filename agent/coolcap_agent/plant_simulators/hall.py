"""What stands behind a simulated device: signals to read and levers to write."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from coolcap_agent.drivers.base import CoolingDriver
from coolcap_envs.contract.levers import PLANT_LEVERS


class Hall(Protocol):
    """The plant as its field devices see it."""

    def read(self, signal: str) -> float:
        """Return a signal of ``PLANT_SIGNALS`` now, NaN if nothing measures it."""
        ...

    def write(self, lever: str, value: float) -> None:
        """Let the plant follow ``value`` from now on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLever:
    """A lever a device offers; ``default`` is what its own program asks for."""

    lever: str
    low: float
    high: float
    default: float


LEVERS: Final = tuple(
    SimulatedLever(lever=lever.name, low=low, high=high, default=default)
    for lever, (low, high, default) in zip(
        PLANT_LEVERS,
        (
            (15.0, 30.0, 20.0),
            (6.0, 20.0, 10.0),
            (14.0, 32.0, 24.0),
            (0.3, 1.0, 0.8),
            (18.0, 45.0, 30.0),
            (0.3, 1.0, 0.7),
        ),
        strict=True,
    )
)
"""Ranges and local setpoints of a plain air-cooled hall with a CDU; made up for the simulators."""

MEASURED: Final = {
    "supply_air_temp_setpoint_c": "supply_air_temp_c",
    "chw_supply_temp_setpoint_c": "chw_supply_temp_c",
    "cw_supply_temp_setpoint_c": "cw_supply_temp_c",
    "air_flow_setpoint_ratio": "air_flow_ratio",
    "cdu_supply_temp_setpoint_c": "cdu_supply_temp_c",
    "cdu_flow_setpoint_ratio": "cdu_flow_ratio",
}
"""Which signal follows each lever."""

CONSTANT: Final = {
    "inlet_temp_max_c": 23.5,
    "dew_point_c": 9.0,
    "outdoor_temp_c": 18.0,
    "wet_bulb_temp_c": 13.0,
    "it_power_w": 19_500.0,
    "facility_power_w": 24_000.0,
    "facility_energy_kwh": 123_456.5,
    "makeup_water_l": 8_000.0,
}
"""Signals that stay as they are; made up."""

SIGNALS: Final = (*MEASURED.values(), *CONSTANT)
"""The signals of :class:`FirstOrderHall`."""


class FirstOrderHall:
    """A hall small enough for tests: each measured value runs after its setpoint exponentially."""

    def __init__(
        self,
        *,
        time_constant_s: float = 60.0,
        now_s: Callable[[], float] = time.monotonic,
        levers: Sequence[SimulatedLever] = LEVERS,
    ) -> None:
        """Start in equilibrium with the local setpoints.

        Args:
            time_constant_s: Of every measured value, > 0.
            now_s: The clock the values run by.
            levers: Whose defaults to start at.
        """
        self._time_constant_s = time_constant_s
        self._now_s = now_s
        self._lock = threading.Lock()
        self._runs = {
            MEASURED[lever.lever]: (now_s(), lever.default, lever.default) for lever in levers
        }
        self.written: dict[str, float] = {lever.lever: lever.default for lever in levers}
        """What each lever was last set to."""
        self.replaced: dict[str, float] = {}
        """Signals whose value a test has replaced, for instance by NaN."""

    def read(self, signal: str) -> float:
        """Return a signal now."""
        with self._lock:
            if signal in self.replaced:
                return self.replaced[signal]
            return self._value(signal)

    def write(self, lever: str, value: float) -> None:
        """Let the measured value run after ``value`` from now on."""
        with self._lock:
            signal = MEASURED[lever]
            self._runs[signal] = (self._now_s(), self._value(signal), value)
            self.written[lever] = value

    def _value(self, signal: str) -> float:
        if signal not in self._runs:
            return CONSTANT.get(signal, math.nan)
        since_s, start, target = self._runs[signal]
        left = math.exp((since_s - self._now_s()) / self._time_constant_s)
        return target + (start - target) * left


class DriverHall:
    """A hall behind a cooling driver, for instance the shared hall of a running simulation."""

    def __init__(self, driver: CoolingDriver, *, frame: Callable[[], int]) -> None:
        """Take an open driver; signals are sampled again when ``frame`` has another number."""
        self._driver = driver
        self._frame = frame
        self._lock = threading.Lock()
        self._sampled = -1
        self._values: dict[str, float] = {}

    def read(self, signal: str) -> float:
        """Return a signal as last sampled."""
        with self._lock:
            if (frame := self._frame()) != self._sampled:
                self._values = {r.signal: r.value for r in self._driver.read()}
                self._sampled = frame
            return self._values.get(signal, math.nan)

    def write(self, lever: str, value: float) -> None:
        """Set the driver's lever."""
        with self._lock:
            self._driver.set_setpoint(lever, value=value)


def levers_of(driver: CoolingDriver) -> list[SimulatedLever]:
    """Return the levers an open driver offers; what is in force now is their local setpoint."""
    return [
        SimulatedLever(
            lever=info.name, low=info.low, high=info.high, default=driver.read_setpoint(info.name)
        )
        for info in driver.levers()
    ]


def signals_of(driver: CoolingDriver) -> list[str]:
    """Return the signals an open driver measures now, without its levers' own."""
    levers = {info.name for info in driver.levers()}
    readings = driver.read()
    return [r.signal for r in readings if r.signal not in levers and math.isfinite(r.value)]
