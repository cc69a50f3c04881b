"""Colours and words for codes and limits, the same on every dashboard."""

from collections.abc import Mapping, Sequence
from typing import Final

from coolcap_agent.controller.modes import Mode
from coolcap_agent.dashboards.sdk import models
from coolcap_agent.telemetry_log.schema import MODE_CODES

GOOD, WARN, BAD, NEUTRAL = "green", "orange", "red", "blue"

Steps = Sequence[tuple[float | None, str]]
"""Colours from a value upwards; the first has no lower end."""

INLET_MARGIN: Final[Steps] = ((None, BAD), (0.5, WARN), (1.0, GOOD))
"""0.5 K is what the shield keeps free; below 1 K an alert rule speaks."""
GPU_MARGIN: Final[Steps] = ((None, BAD), (2.0, WARN), (5.0, GOOD))
"""At 2 K the shield releases no more caps."""
NONE_IS_GOOD: Final[Steps] = ((None, GOOD), (1.0, BAD))
BUDGET_MARGIN: Final[Steps] = ((None, BAD), (0.0, GOOD))
COVERAGE: Final[Steps] = ((None, BAD), (0.9, WARN), (0.99, GOOD))
AGE: Final[Steps] = ((None, GOOD), (30.0, WARN), (90.0, BAD))

_MODE_COLOURS: Final[Mapping[Mode, str]] = {
    Mode.OFF: "text",
    Mode.SHADOW: "blue",
    Mode.ADVISE: "light-blue",
    Mode.AUTO: "green",
    Mode.HOLD: "yellow",
    Mode.FALLBACK: "orange",
    Mode.OVERRIDDEN: "purple",
    Mode.TRIPPED: "red",
}


def _mapping(words: Mapping[int, tuple[str, str]]) -> list[models.ValueMapping]:
    options = {
        str(code): models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (code, (text, colour)) in enumerate(words.items())
    }
    return [models.ValueMap(options=options)]


MODES: Final = _mapping(
    {code: (mode.value, _MODE_COLOURS[mode]) for mode, code in MODE_CODES.items()}
)
YES_IS_GOOD: Final = _mapping({1: ("yes", GOOD), 0: ("no", BAD)})
BEGAN: Final = _mapping({1: ("began", WARN), 0: ("ended", GOOD)})
SEVERITIES: Final = _mapping(
    {1: ("to know", NEUTRAL), 2: ("look at it", WARN), 3: ("act now", BAD)}
)
