"""Values that people or the plant's own control took in hand, and for how long."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

import numpy as np

from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.safety.limits import Limits

DURATION_MAX_S: Final = 7 * 86400.0
"""Longest override: what nobody thinks of any more must not hold for ever."""


class OverrideError(CoolcapError):
    """An override was asked for that cannot be carried out."""


class UnknownOverrideError(OverrideError):
    """The site has no such group or lever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One value that is not the policy's to decide.

    Attributes:
        subject: Control group (its power cap per GPU, W) or lever of the plant (its unit).
        value: What it is held to; NaN if the plant's own control decides.
        start_time_s: Since when, site time.
        end_time_s: Until when, exclusive; infinite if it ends when the plant's control lets go.
        who: Whose it is.
        reason: Why.
    """

    subject: str
    value: float
    start_time_s: float
    end_time_s: float
    who: str
    reason: str

    @property
    def is_lever(self) -> bool:
        """Return whether a lever of the plant is overridden, and no group."""
        return self.subject in PLANT_LEVER_COLUMN

    @property
    def by_plant(self) -> bool:
        """Return whether the plant's own control overrides."""
        return not isfinite(self.value)


def check_override(override: Override, layout: Layout, limits: Limits) -> None:
    """Check that an override can be carried out.

    Raises:
        UnknownOverrideError: If the site has no such group or lever.
        OverrideError: If value or duration are outside what is allowed.
    """
    name, span_s = override.subject, override.end_time_s - override.start_time_s
    if not 0.0 < span_s <= DURATION_MAX_S:
        raise OverrideError(
            f"override of {name} for {span_s:g} s is outside 0 (exclusive) to {DURATION_MAX_S:g} s "
            "(7 days); a value that shall hold longer belongs into the site file"
        )
    if override.is_lever:
        k = PLANT_LEVER_COLUMN[name]
        if not layout.plant_levers[k]:
            has = [
                x.name for x, there in zip(PLANT_LEVERS, layout.plant_levers, strict=True) if there
            ]
            raise UnknownOverrideError(
                f"no lever {name!r}; site {layout.name} has {', '.join(has)}"
            )
        low, high, unit = limits.lever_low[k], limits.lever_high[k], PLANT_LEVERS[k].unit
    elif name in layout.group_names:
        n = layout.group_names.index(name)
        low, high, unit = limits.power_cap_min_w[n], limits.power_cap_max_w[n], "W"
    else:
        raise UnknownOverrideError(
            f"no control group or lever {name!r}; `coolcap status --json` names those of site "
            f"{layout.name}"
        )
    if not low <= override.value <= high:
        raise OverrideError(
            f"override of {name} to {override.value:g} {unit} is outside {low:g} to {high:g} "
            f"{unit} (limits of site {layout.name})"
        )


def overlay(
    setpoints: Setpoints, overrides: Iterable[Override], *, in_force: Setpoints, layout: Layout
) -> Setpoints:
    """Return ``setpoints`` with people's values, and what is in force where the plant decides."""
    overrides = tuple(overrides)
    if not overrides:
        return setpoints
    cap_w, plant = setpoints.power_cap_w.copy(), setpoints.plant.copy()
    for override in overrides:
        if not override.is_lever:
            cap_w[layout.group_names.index(override.subject)] = override.value
            continue
        k = PLANT_LEVER_COLUMN[override.subject]
        plant[k] = in_force.plant[k] if override.by_plant else override.value
    return dataclasses.replace(setpoints, power_cap_w=cap_w, plant=plant)


def only_overridden(
    setpoints: Setpoints, overrides: Iterable[Override], *, layout: Layout
) -> Setpoints:
    """Return the values of ``setpoints`` that are overridden, NaN elsewhere."""
    some = Setpoints.none(layout.group_count)
    for override in overrides:
        if override.is_lever:
            k = PLANT_LEVER_COLUMN[override.subject]
            some.plant[k] = setpoints.plant[k]
        else:
            n = layout.group_names.index(override.subject)
            some.power_cap_w[n] = setpoints.power_cap_w[n]
    return some


def withheld(setpoints: Setpoints, overrides: Iterable[Override]) -> Setpoints:
    """Return ``setpoints`` without the levers the plant's own control overrides."""
    columns = [PLANT_LEVER_COLUMN[o.subject] for o in overrides if o.by_plant]
    if not columns:
        return setpoints
    plant = setpoints.plant.copy()
    plant[columns] = np.nan
    return dataclasses.replace(setpoints, plant=plant)


def overrides_text(overrides: Iterable[Override]) -> str:
    """Say what is overridden, by whom and why."""
    return "; ".join(f"{o.subject} is overridden by {o.who}: {o.reason}" for o in overrides)


def of_the_plant(
    messages: Mapping[str, str], before: Iterable[Override], *, time_s: float
) -> tuple[Override, ...]:
    """Return the overrides the plant's agent reports, each with the time it was first seen."""
    known = {override.subject: override for override in before if override.by_plant}
    return tuple(
        known.get(lever)
        or Override(
            subject=lever,
            value=np.nan,
            start_time_s=time_s,
            end_time_s=inf,
            who="the plant",
            reason=message or "its own control holds a stronger command",
        )
        for lever, message in sorted(messages.items())
    )
