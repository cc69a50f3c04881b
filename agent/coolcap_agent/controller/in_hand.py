"""Keeps what people and the plant's own control have in hand, over time."""

import dataclasses
from collections.abc import Mapping

from coolcap_agent.controller.modes import Event
from coolcap_agent.controller.overrides import (
    Override,
    of_the_plant,
    only_overridden,
    overlay,
    overrides_text,
    withheld,
)
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints


class InHand:
    """The wishes of people, the overrides that hold, and whether they are new.

    Args:
        layout: The site's layout.
        wishes: What people asked for earlier.
    """

    def __init__(self, layout: Layout, wishes: Wishes) -> None:
        self._layout = layout
        self.wishes = wishes
        self.overrides: tuple[Override, ...] = ()
        self.changed = False
        """Whether overrides came or went that no command has taken in yet."""

    def update(self, reported: Mapping[str, str], *, time_s: float, writes: bool) -> None:
        """Drop what ended and take in what the plant's agent reports.

        Args:
            reported: Levers its own control overrides, each with what is known of it.
            time_s: Site time.
            writes: Whether the mode writes; people's overrides do not outlive that.
        """
        self.wishes = self.wishes.at(time_s)
        if not writes and self.wishes.overrides:
            self.wishes = dataclasses.replace(self.wishes, overrides=())
        of_plant = of_the_plant(reported, self.overrides, time_s=time_s)
        overrides = (*self.wishes.overrides, *of_plant)
        if overrides != self.overrides:
            self.overrides, self.changed = overrides, True

    @property
    def event(self) -> tuple[Event, str]:
        """Return what this means for the mode, and the reason."""
        if self.overrides:
            return Event.OVERRIDE, overrides_text(self.overrides)
        text = "nothing is overridden any more; the policy acts after good decisions"
        return Event.OVERRIDE_END, text

    def over(self, setpoints: Setpoints, *, in_force: Setpoints) -> Setpoints:
        """Return ``setpoints`` with what is in hand in its place."""
        return overlay(setpoints, self.overrides, in_force=in_force, layout=self._layout)

    def only(self, setpoints: Setpoints) -> Setpoints:
        """Return the values of ``setpoints`` that are in hand, NaN elsewhere."""
        return only_overridden(setpoints, self.overrides, layout=self._layout)

    def sendable(self, setpoints: Setpoints) -> Setpoints:
        """Return ``setpoints`` without what the plant's own control has in hand."""
        return withheld(setpoints, self.overrides)
