"""The latch of a trip: a file, so that it outlives the process, and a person who takes it away.

``coolcap plant reset`` leaves a note in the agent's state_dir; the agent, running or at its next
start, takes the note, and with it the trip if what caused it is over.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from coolcap_agent.durable import remove_durably, write_durably
from coolcap_envs.contract.errors import CoolcapError


class TripError(CoolcapError):
    """There is no trip to reset, or its files cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """Why and when an agent tripped."""

    why: str
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Who wants to leave a trip, and why."""

    who: str
    reason: str


class TripLatch:
    """The files of one agent's trip."""

    def __init__(self, folder: Path) -> None:
        self._trip = folder / "trip.json"
        self._reset = folder / "reset.json"

    def read(self) -> Trip | None:
        """Return the trip that holds, None if there is none; a damaged file holds, too."""
        try:
            data = json.loads(self._trip.read_bytes())
            return Trip(why=str(data["why"]), time_s=float(data["time_s"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Trip(why=f"{self._trip} cannot be read: {error}", time_s=0.0)

    def set(self, trip: Trip) -> None:
        """Latch a trip. Raises OSError."""
        write_durably(self._trip, json.dumps(asdict(trip)).encode() + b"\n")

    def clear(self) -> None:
        """Forget trip and reset. Raises OSError."""
        for path in (self._trip, self._reset):
            if path.exists():
                remove_durably(path)

    def asked_to_reset(self) -> Reset | None:
        """Return a person's wish to leave the trip, None if there is none."""
        try:
            data = json.loads(self._reset.read_bytes())
            return Reset(who=str(data["who"]), reason=str(data["reason"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def refuse_reset(self) -> None:
        """Drop a wish that cannot be granted now. Raises OSError."""
        if self._reset.exists():
            remove_durably(self._reset)

    def ask_to_reset(self, reset: Reset) -> Trip:
        """Leave the wish for the agent, and return the trip it is about.

        Raises:
            TripError: If there is no trip, or the folder cannot be written.
        """
        trip = self.read()
        if trip is None:
            raise TripError(f"nothing to reset: there is no {self._trip}")
        try:
            write_durably(self._reset, json.dumps(asdict(reset)).encode() + b"\n")
            os.chmod(self._reset, 0o600)
        except OSError as error:
            raise TripError(f"{self._reset} cannot be written: {error}") from error
        return trip
