"""The states of a plant agent, and every way from one to another.

==============  ===================================================================================
state           meaning
==============  ===================================================================================
local           nobody commands; the equipment's own program decides
commanded       a controller commands under a lease
hold            it does, and something critical is not known: nothing may cool less
overridden      it holds a lease, and people or the building hold every lever it commanded
handing_back    the lease is over; setpoints are on their way back
fallback        handed back because control could not go on; no lease until all has been well
tripped         handed back because a limit was broken; no lease until a person resets it
==============  ===================================================================================
"""

from dataclasses import dataclass
from enum import StrEnum


class PlantState(StrEnum):
    """State of a plant agent."""

    LOCAL = "local"
    COMMANDED = "commanded"
    HOLD = "hold"
    OVERRIDDEN = "overridden"
    HANDING_BACK = "handing_back"
    FALLBACK = "fallback"
    TRIPPED = "tripped"


REFUSING = frozenset({PlantState.FALLBACK, PlantState.TRIPPED})
"""States in which no lease is granted, and a live one is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the next state depends on.

    Attributes:
        commanding: Whether a live lease holds a lever.
        restoring: Whether setpoints are on their way back.
        overridden: Whether somebody else decides about every lever that is held.
        violation: Which limit is broken, empty if none is.
        unknown: What critical is not known, empty if all is.
        unfit: Why control cannot go on for now, empty if it can.
        well: Whether all has been known and within limits for long enough.
        reset: Whether a person has asked to leave a trip.
        fallbacks_used_up: Whether the next fallback would be one too many for a day.
    """

    commanding: bool = False
    restoring: bool = False
    overridden: bool = False
    violation: str = ""
    unknown: str = ""
    unfit: str = ""
    well: bool = True
    reset: bool = False
    fallbacks_used_up: bool = False


def next_state(state: PlantState, seen: Inputs) -> PlantState:
    """Return the state that follows ``state``; a trip is left by a person's reset only."""
    if state is PlantState.TRIPPED and not (seen.reset and not seen.violation):
        return PlantState.TRIPPED
    if seen.commanding and seen.violation:
        return PlantState.TRIPPED
    if seen.violation or seen.unfit:
        if seen.commanding and seen.fallbacks_used_up:
            return PlantState.TRIPPED
        return PlantState.FALLBACK
    if state is PlantState.FALLBACK and not seen.well:
        return PlantState.FALLBACK
    if not seen.commanding:
        return PlantState.HANDING_BACK if seen.restoring else PlantState.LOCAL
    if seen.unknown or (state is PlantState.HOLD and not seen.well):
        return PlantState.HOLD
    return PlantState.OVERRIDDEN if seen.overridden else PlantState.COMMANDED
