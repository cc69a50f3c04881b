"""Meters' counters made to grow for ever: a rollover is added up, a replaced meter is not.

The turns of each counter are kept in the agent's state_dir, so that a restart does not look like a
meter that was replaced.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.durable import write_durably
from coolcap_agent.logging import FaultLog

NEAR_RATIO: Final = 0.1
"""A counter rolled over if it was within this share of its end and is now within it of 0; any
other step down is a meter that was replaced or set back."""


class Counters:
    """Turns of the counters of one plant, by signal and origin."""

    def __init__(self, path: Path, *, faults: FaultLog) -> None:
        self._path, self._faults = path, faults
        self._turns: dict[str, int] = {}
        self._newest: dict[str, float] = {}
        try:
            stored: object = json.loads(path.read_bytes())
            if isinstance(stored, dict):
                for key, (turns, newest) in stored.items():
                    self._turns[str(key)], self._newest[str(key)] = int(turns), float(newest)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            faults.begin("counters", f"turns of counters are counted anew: {path}: {error}")

    def unroll(self, readings: Sequence[SignalReading]) -> list[SignalReading]:
        """Return the readings with what rolled over added."""
        turned = False
        grown = []
        for reading in readings:
            end = reading.rollover
            if not (math.isfinite(end) and math.isfinite(reading.value)):
                grown.append(reading)
                continue
            key = f"{reading.signal} {reading.origin}"
            newest = self._newest.get(key, reading.value)
            if newest > (1.0 - NEAR_RATIO) * end and reading.value < NEAR_RATIO * end:
                self._turns[key] = self._turns.get(key, 0) + 1
                turned = True
            turned = turned or key not in self._newest
            self._newest[key] = reading.value
            grown.append(replace(reading, value=reading.value + end * self._turns.get(key, 0)))
        if turned:
            self.save()
        return grown

    def save(self) -> None:
        """Keep turns and newest readings; called when one turns and when the agent stops."""
        if not self._newest:
            return
        kept = {key: [self._turns.get(key, 0), newest] for key, newest in self._newest.items()}
        try:
            write_durably(self._path, json.dumps(kept).encode() + b"\n")
        except OSError as error:
            self._faults.begin("counters", f"turns of counters cannot be kept: {error}")
        else:
            self._faults.end("counters", "turns of counters are kept")
