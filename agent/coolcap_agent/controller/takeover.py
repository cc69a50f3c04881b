"""How the policy takes over: step by step, so that no device feels a bump."""

from typing import Final

TAKEOVER_TICK_COUNT: Final = 5
"""Decisions over which the policy's corrections grow to their full size when it takes over."""


class Takeover:
    """Counts the decisions since the policy took over."""

    def __init__(self) -> None:
        self._led_count = 0

    def note(self, *, led: bool) -> None:
        """Note whether the policy's setpoints went out with a decision."""
        self._led_count = self._led_count + 1 if led else 0

    @property
    def authority(self) -> float:
        """Return the share of the policy's corrections that counts in the next decision."""
        return min(1.0, (self._led_count + 1) / TAKEOVER_TICK_COUNT)
