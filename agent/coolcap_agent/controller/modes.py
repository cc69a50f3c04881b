"""What the controller may do, and the one table of how that may change.

::

    off ─ shadow ─ advise ─ auto ─ hold          asked for by a person
                             │
             fallback ◄─────►┤                   entered and left by the controller
           overridden ◄──────┤                   while a person or the plant's control overrides;
                             │                   ends in fallback, which hands over to the policy
              tripped ◄──────┘                   latched: left by a person only

docs/explanation/modes.md draws the table; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_envs.contract.errors import CoolcapError


class Mode(StrEnum):
    """What the controller does."""

    OFF = "off"
    SHADOW = "shadow"
    ADVISE = "advise"
    AUTO = "auto"
    HOLD = "hold"
    FALLBACK = "fallback"
    OVERRIDDEN = "overridden"
    TRIPPED = "tripped"

    @property
    def decides(self) -> bool:
        """Return whether setpoints are computed."""
        return self not in (Mode.OFF, Mode.TRIPPED)

    @property
    def writes(self) -> bool:
        """Return whether setpoints are commanded."""
        return self in (Mode.AUTO, Mode.HOLD, Mode.FALLBACK, Mode.OVERRIDDEN)

    @property
    def holds_setpoints(self) -> bool:
        """Return whether the plant agent's lease is held."""
        return self.writes

    @property
    def holds_caps(self) -> bool:
        """Return whether the node agents' leases are held.

        Also after a trip: cooling goes back to the plant's own control, but caps that were lowered
        against the heat stay until a person resets it.
        """
        return self.holds_setpoints or self is Mode.TRIPPED


class Event(StrEnum):
    """What can change a mode."""

    ASK_OFF = "ask off"
    ASK_SHADOW = "ask shadow"
    ASK_ADVISE = "ask advise"
    ASK_AUTO = "ask auto"
    ASK_HOLD = "ask hold"
    RESET_TRIP = "reset trip"
    """A person looked at the cause of a trip; comes before the mode asked for."""
    RELEASE = "release"
    """Everything is handed back."""
    UNFIT = "unfit"
    """Readings or policy failed."""
    FIT = "fit"
    """Readings and policy are good again."""
    OVERRIDE = "override"
    """A person or the plant's own control took a value in hand."""
    OVERRIDE_END = "override end"
    """Nothing is overridden any more."""
    TRIP = "trip"
    """A hard limit was passed."""


ASK: Final = {
    Mode.OFF: Event.ASK_OFF,
    Mode.SHADOW: Event.ASK_SHADOW,
    Mode.ADVISE: Event.ASK_ADVISE,
    Mode.AUTO: Event.ASK_AUTO,
    Mode.HOLD: Event.ASK_HOLD,
}
"""The modes a person may ask for."""

_ASKED: Final = {
    Event.ASK_OFF: Mode.OFF,
    Event.ASK_SHADOW: Mode.SHADOW,
    Event.ASK_ADVISE: Mode.ADVISE,
    Event.ASK_AUTO: Mode.AUTO,
    Event.RELEASE: Mode.OFF,
}
_INTERRUPTED: Final = (Mode.FALLBACK, Mode.OVERRIDDEN)
_ACTING: Final = {Event.ASK_HOLD: Mode.HOLD, Event.TRIP: Mode.TRIPPED}

TRANSITIONS: Final[Mapping[Mode, Mapping[Event, Mode]]] = {
    Mode.OFF: _ASKED,
    Mode.SHADOW: _ASKED,
    Mode.ADVISE: _ASKED,
    Mode.AUTO: {
        **_ASKED,
        **_ACTING,
        Event.UNFIT: Mode.FALLBACK,
        Event.OVERRIDE: Mode.OVERRIDDEN,
    },
    # What is overridden is held too, and a person's wish to hold outlives the override.
    Mode.HOLD: {**_ASKED, **_ACTING},
    Mode.FALLBACK: {
        **_ASKED,
        **_ACTING,
        # Asking for auto while it is interrupted changes nothing: it comes back by itself.
        Event.ASK_AUTO: Mode.FALLBACK,
        Event.UNFIT: Mode.FALLBACK,
        Event.FIT: Mode.AUTO,
        Event.OVERRIDE: Mode.OVERRIDDEN,
    },
    Mode.OVERRIDDEN: {
        **_ASKED,
        **_ACTING,
        Event.ASK_AUTO: Mode.OVERRIDDEN,
        Event.OVERRIDE: Mode.OVERRIDDEN,
        # The policy acts again after good decisions, as after any other interruption.
        Event.OVERRIDE_END: Mode.FALLBACK,
    },
    # Both are a person's; caps that were lowered against the heat stay until then.
    Mode.TRIPPED: {
        Event.RESET_TRIP: Mode.OFF,
        Event.RELEASE: Mode.OFF,
        Event.TRIP: Mode.TRIPPED,
    },
}
"""The mode after an event. An event that is not listed for a mode leaves it as it is."""


class ModeError(CoolcapError):
    """A person asked for a mode that cannot follow the present one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeState:
    """The mode in force, why, and since when."""

    mode: Mode
    reason: str
    start_time_s: float


class ModeMachine:
    """Holds the mode; every change goes through :data:`TRANSITIONS`."""

    def __init__(self, mode: Mode, *, reason: str, time_s: float) -> None:
        self._state = ModeState(mode=mode, reason=reason, start_time_s=time_s)

    @property
    def state(self) -> ModeState:
        """Return the mode in force, why, and since when."""
        return self._state

    @property
    def mode(self) -> Mode:
        """Return the mode in force."""
        return self._state.mode

    def on(self, event: Event, *, reason: str, time_s: float) -> bool:
        """Take in an event; return whether the mode changed."""
        after = TRANSITIONS[self.mode].get(event, self.mode)
        if after is self.mode:
            return False
        self._state = ModeState(mode=after, reason=reason, start_time_s=time_s)
        return True

    def follow(self, mode: Mode, *, reason: str, time_s: float) -> bool:
        """Take over the mode of a controller that leads; return whether the mode changed.

        What a controller enters and leaves by itself is each one's own affair; a trip is not.
        """
        wanted = Mode.AUTO if mode in (Mode.FALLBACK, Mode.OVERRIDDEN) else mode
        if wanted is self.mode or (wanted is Mode.AUTO and self.mode in _INTERRUPTED):
            return False
        if self.mode is Mode.TRIPPED:
            self.on(Event.RESET_TRIP, reason=reason, time_s=time_s)
        if wanted in (Mode.HOLD, Mode.TRIPPED):
            # Both are entered from modes that act only.
            self.on(Event.ASK_AUTO, reason=reason, time_s=time_s)
        event = Event.TRIP if wanted is Mode.TRIPPED else ASK[wanted]
        return self.on(event, reason=reason, time_s=time_s)

    def ask(self, mode: Mode, *, reason: str, time_s: float, reset_trip: bool = False) -> bool:
        """Take in a person's wish; return whether the mode changed.

        Raises:
            ModeError: If ``mode`` cannot follow the present one.
        """
        if mode not in ASK:
            allowed = ", ".join(ASK)
            raise ModeError(f"mode {mode} is entered by the controller itself; ask for {allowed}")
        if self.mode is Mode.TRIPPED and not reset_trip:
            raise ModeError(
                f"tripped: {self._state.reason}. Find and remove the cause, then ask again with "
                "--reset-trip"
            )
        before = Mode.OFF if self.mode is Mode.TRIPPED else self.mode
        if ASK[mode] not in TRANSITIONS[before] and mode is not before:
            sources = ", ".join(m for m, row in TRANSITIONS.items() if ASK[mode] in row)
            raise ModeError(f"mode {mode} cannot follow {before}, only {sources}")
        unlatched = self.on(Event.RESET_TRIP, reason=reason, time_s=time_s)
        return self.on(ASK[mode], reason=reason, time_s=time_s) or unlatched
