"""Which groups may be decided on now, and whether the site as a whole may.

A node that says nothing, or nonsense, takes its own groups out and leaves the others alone; without
the plant's readings, or with too few groups, nothing is decided. The verdict on readings is
:func:`coolcap_envs.safety.fallback.check_telemetry`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.fallback import NEEDED_GROUP_SIGNALS, check_telemetry
from coolcap_envs.safety.limits import Limits

FIT_GROUPS_MIN_RATIO: Final = 0.5
"""With fewer groups than this share to go by, the hall as a whole is not known."""

_NEEDED: Final = [GROUP_COLUMN[name] for name in NEEDED_GROUP_SIGNALS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be decided on.

    Attributes:
        fit: Whether anything may.
        groups: Which groups may, shape ``[N]``.
        problems: One sentence per unusable reading, those of the plant last.
    """

    fit: bool
    groups: BoolArray
    problems: tuple[str, ...]


def judge(telemetry: Telemetry, layout: Layout, limits: Limits) -> Verdict:
    """Judge one site's telemetry."""
    valid = telemetry.groups_valid(age_max_s=limits.telemetry_age_max_s)
    groups = np.asarray(valid[:, _NEEDED].all(axis=-1))
    scope = Scope(groups, layout, limits)
    of_plant = check_telemetry(scope.telemetry(telemetry), scope.layout, scope.limits).problems
    enough = bool(groups.mean() >= FIT_GROUPS_MIN_RATIO)
    problems = of_plant if groups.all() else check_telemetry(telemetry, layout, limits).problems
    return Verdict(fit=enough and not of_plant, groups=groups, problems=problems)


class Scope:
    """A site narrowed to some of its groups, and the way back.

    Args:
        groups: Which groups are in, shape ``[N]``.
        layout: The whole site's layout.
        limits: The whole site's limits.
    """

    def __init__(self, groups: BoolArray, layout: Layout, limits: Limits) -> None:
        self._groups = groups
        self._whole = bool(groups.all())
        self.layout = layout
        self.limits = limits
        if self._whole:
            return
        picked = np.flatnonzero(groups)
        self.layout = dataclasses.replace(
            layout,
            group_names=tuple(layout.group_names[n] for n in picked),
            node_names=tuple(layout.node_names[n] for n in picked),
            rack_names=tuple(layout.rack_names[n] for n in picked),
            gpu_models=tuple(layout.gpu_models[n] for n in picked),
            gpu_indices=tuple(layout.gpu_indices[n] for n in picked),
            gpu_count=layout.gpu_count[groups],
            power_limit_min_w=layout.power_limit_min_w[groups],
            power_limit_max_w=layout.power_limit_max_w[groups],
            power_limit_default_w=layout.power_limit_default_w[groups],
            sm_clock_max_mhz=layout.sm_clock_max_mhz[groups],
            priority=layout.priority[groups],
        )
        self.limits = dataclasses.replace(
            limits,
            power_cap_min_w=limits.power_cap_min_w[groups],
            power_cap_max_w=limits.power_cap_max_w[groups],
            power_cap_rise_max_w_per_min=limits.power_cap_rise_max_w_per_min[groups],
            budget_members=limits.budget_members[:, groups],
        )

    def telemetry(self, telemetry: Telemetry) -> Telemetry:
        """Return the telemetry of the groups in scope."""
        if self._whole:
            return telemetry
        return dataclasses.replace(
            telemetry,
            groups=telemetry.groups[self._groups],
            groups_age_s=telemetry.groups_age_s[self._groups],
        )

    def setpoints(self, setpoints: Setpoints) -> Setpoints:
        """Return the setpoints of the groups in scope."""
        if self._whole:
            return setpoints
        return Setpoints(
            power_cap_w=setpoints.power_cap_w[self._groups],
            sm_clock_max_mhz=setpoints.sm_clock_max_mhz[self._groups],
            plant=setpoints.plant,
        )

    def spread(self, action: Action) -> Action:
        """Return an action of the groups in scope for the whole site; 0 for the others."""
        if self._whole:
            return action
        return Action(groups=self.spread_rows(action.groups, fill=0.0), plant=action.plant)

    def spread_rows(self, rows: FloatArray, *, fill: float) -> FloatArray:
        """Return rows of the groups in scope at their places in the whole site."""
        whole = np.full((self._groups.size, *rows.shape[1:]), fill)
        whole[self._groups] = rows
        return whole
