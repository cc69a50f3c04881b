"""When site time may go on: agents have answered, or had their time; and not faster than asked."""

import logging
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from coolcap_agent.logging import FaultLog
from coolcap_agent.sim.hall_file import HallFile
from coolcap_envs.contract.telemetry import BoolArray, FloatArray

ABSENT_AFTER_MISSES: Final = 3
"""An agent that let so many periods in a row pass is not waited for until it answers again."""

ACK_TOLERANCE_S: Final = 0.001
"""Times lose digits on the wire; frames are further apart than this."""

POLL_S: Final = 0.001
NAP_MAX_S: Final = 0.05
"""Longest sleep before looking whether to stop."""

_LOG = logging.getLogger(__name__)


class LockStep:
    """Waits for the acknowledgements of all agents of a hall.

    An agent that died holds the world up for three periods only. While no agent answers at all,
    as when the controller is gone, every period lasts the whole timeout, so that leases run out
    and values are restored within few periods.

    Args:
        hall: Where acknowledgements arrive.
        timeout_s: Longest wait per period, on the host's clock; 0 never waits.
        start_timeout_s: Longest wait for the first acknowledgement of all.
        stopped: Whether to give up waiting.
        mono_s: The host's monotonic clock.
        sleep: Pauses the process.
    """

    def __init__(
        self,
        hall: HallFile,
        *,
        timeout_s: float,
        start_timeout_s: float,
        stopped: Callable[[], bool],
        mono_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hall = hall
        self._timeout_s = timeout_s
        self._next_timeout_s = start_timeout_s if timeout_s > 0.0 else 0.0
        self._stopped, self._mono_s, self._sleep = stopped, mono_s, sleep
        self._names = (*hall.node_names, "plant")
        self._answered_s: FloatArray = np.full(len(self._names), -np.inf)
        self._misses = np.zeros(len(self._names), dtype=np.int64)
        self._missed_count = np.zeros(len(self._names), dtype=np.int64)
        self._faults = FaultLog(_LOG)

    @property
    def missed_count(self) -> dict[str, int]:
        """Return how many periods each agent let pass."""
        return dict(zip(self._names, self._missed_count.tolist(), strict=True))

    def wait(self, time_s: float) -> None:
        """Return once all agents have answered the frame of site time ``time_s``, or in time."""
        if self._timeout_s == 0.0:
            return
        end_mono_s = self._mono_s() + self._next_timeout_s
        missing = self._missing(time_s)
        while self._worth_waiting(missing) and not self._stopped():
            if self._mono_s() >= end_mono_s:
                break
            self._sleep(POLL_S)
            missing = self._missing(time_s)
        if not self._stopped():
            self._note(missing)
        self._next_timeout_s = self._timeout_s

    def _missing(self, time_s: float) -> BoolArray:
        """Return who has not answered yet; whoever answers anything new is present again."""
        node_s = self._hall.table("node_ack")["answers_time_s"]
        answered_s = np.append(node_s, self._hall.table("plant_ack")["answers_time_s"])
        self._misses[answered_s > self._answered_s] = 0
        self._answered_s = answered_s
        return np.asarray(answered_s < time_s - ACK_TOLERANCE_S)

    def _worth_waiting(self, missing: BoolArray) -> bool:
        present = self._misses < ABSENT_AFTER_MISSES
        return bool((missing & present).any() if present.any() else missing.any())

    def _note(self, missing: BoolArray) -> None:
        self._misses[missing] += 1
        self._missed_count[missing] += 1
        for name, is_missing in zip(self._names, missing.tolist(), strict=True):
            if is_missing:
                self._faults.begin(name, f"{name} lets site time pass without acknowledging it")
            else:
                self._faults.end(name, f"{name} acknowledges site time again")


class Pace:
    """Holds site time to at most ``speed`` times real time; lost time is not caught up.

    Args:
        speed: Site seconds per real second; None: no limit.
        stopped: Whether to give up waiting.
        mono_s: The host's monotonic clock.
        sleep: Pauses the process.
    """

    def __init__(
        self,
        speed: float | None,
        *,
        stopped: Callable[[], bool],
        mono_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed, self._stopped = speed, stopped
        self._mono_s, self._sleep = mono_s, sleep
        self._due_mono_s = mono_s()

    def wait(self, period_s: float) -> None:
        """Return when ``period_s`` more of site time may have passed."""
        if self._speed is None:
            return
        now_mono_s = self._mono_s()
        self._due_mono_s = max(self._due_mono_s + period_s / self._speed, now_mono_s)
        while (rest_s := self._due_mono_s - self._mono_s()) > 0.0 and not self._stopped():
            self._sleep(min(rest_s, NAP_MAX_S))
