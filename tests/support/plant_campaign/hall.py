"""A hall that remembers everything it was told, and breaks when asked to."""

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coolcap_agent.plant_simulators.hall import MEASURED, SimulatedLever

TIME_CONSTANT_S = 0.5
RISE_K = 3.0
"""From supply air to the hottest inlet, at full air flow."""
TRIP_RISE_K_PER_S = 4.0
IT_POWER_W = 20_000.0
DEW_POINT_C = 20.0
WET_BULB_C = 15.0
ROUNDING = 1e-5
"""A device that goes from our 32-bit number to its own program's 64-bit one has not moved."""
INLET = "inlet_temp_max_c"
SIGNALS = (
    "supply_air_temp_c",
    "chw_supply_temp_c",
    "air_flow_ratio",
    "cdu_supply_temp_c",
    f"{INLET}#1",
    f"{INLET}#2",
    f"{INLET}#3",
    "dew_point_c",
    "wet_bulb_temp_c",
    "it_power_w",
)
"""What the devices measure; behind a # stands the number of the sensor of one signal."""


@dataclass(frozen=True, slots=True)
class Followed:
    """From ``time_s`` on the equipment followed ``value``."""

    time_s: float
    lever: str
    value: float


class CampaignHall:
    """Each measured value runs after its setpoint; sensors and machines fail on demand."""

    def __init__(
        self,
        levers: Sequence[SimulatedLever],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._random = random.Random(0)
        start_s = now_s()
        self._runs = {
            MEASURED[lever.lever]: (start_s, lever.default, lever.default) for lever in levers
        }
        self.followed: list[Followed] = []
        self.now = {lever.lever: lever.default for lever in levers}
        self.spoil: Callable[[str, float], float] = lambda _sensor, value: value
        self.load_w = IT_POWER_W
        self._tripped_s = math.nan

    def trip(self) -> None:
        """Chiller and pumps stop: the hall heats up whatever the setpoints say."""
        self._tripped_s = self._now_s()

    def repair(self) -> None:
        """They run again, and the heat is gone."""
        self._tripped_s = math.nan

    def read(self, signal: str) -> float:
        """Return what a sensor shows now."""
        with self._lock:
            name = signal.partition("#")[0]
            value = self._truth(name)
            if name == INLET:
                value += self._random.uniform(-0.02, 0.02)
        return self.spoil(signal, value)

    def write(self, lever: str, value: float) -> None:
        """Let the measured value run after ``value``, and remember it."""
        with self._lock:
            signal = MEASURED[lever]
            self._runs[signal] = (self._now_s(), self._truth(signal), value)
            if abs(self.now[lever] - value) > ROUNDING:
                self.followed.append(Followed(self._now_s(), lever, value))
            self.now[lever] = value

    def _truth(self, signal: str) -> float:
        if signal == INLET:
            hot_k = 0.0
            if math.isfinite(self._tripped_s):
                hot_k = TRIP_RISE_K_PER_S * (self._now_s() - self._tripped_s)
            return self._truth("supply_air_temp_c") + RISE_K + hot_k
        if signal == "dew_point_c":
            return DEW_POINT_C
        if signal == "wet_bulb_temp_c":
            return WET_BULB_C
        if signal == "it_power_w":
            return self.load_w
        since_s, start, target = self._runs[signal]
        left = math.exp((since_s - self._now_s()) / TIME_CONSTANT_S)
        return target + (start - target) * left
