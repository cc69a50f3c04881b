"""Faults at work in a batch of plants: what they take from plants, commands and readings.

Only members that have a plan cost anything. Between two changes of a member's faults its arrays
stand still, so a step in which nothing begins or ends is one comparison.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.signals import GROUP_COLUMN
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.faults.draw import FaultDraw
from coolcap_envs.faults.kinds import OF_SENSORS, PLANT_AGENT, TRIPS, FaultKind
from coolcap_envs.faults.plan import FaultEvent
from coolcap_envs.faults.sensor import FailingSensor

LEASE_TTL_S: Final = 90.0
"""How long an agent that hears nothing keeps what was commanded: three periods of the policy."""
CAP_LAG_S: Final = 60.0
"""Time constant with which a failing controller follows its cap. Assumption; healthy ones take
below a second (NVML power readings settle within 1 s of a new limit)."""
UNLIMITED: Final = 1e9
"""Bound on the work rate of a group that has none."""

_DAY_S: Final = 86_400.0
_POWER_LIMIT: Final = GROUP_COLUMN["power_limit_w"]


@dataclass(slots=True, kw_only=True)
class _Member:
    """What one plant still has before it, and what is at work in it."""

    draw: FaultDraw
    day: int = -1
    coming: list[FaultEvent] = field(default_factory=list[FaultEvent])
    active: list[FaultEvent] = field(default_factory=list[FaultEvent])
    sensors: dict[FaultEvent, FailingSensor] = field(
        default_factory=dict[FaultEvent, FailingSensor]
    )


class FaultState:
    """Faults of B plants of one site.

    Attributes:
        available: Share of each kind of ``TRIPS`` that is fit to run, shape ``[B, kinds]``.
        rate_max: Bound on each group's work rate: 0 on a lost node, shape ``[B, N]``.
        deaf: Which groups commands do not reach, shape ``[B, N]``.
        deaf_plant: Which plants' cooling commands do not reach, shape ``[B]``.
        restored: Which groups' agents have given up their lease, shape ``[B, N]``.
        restored_plant: Which plants' agents have, shape ``[B]``.

    Args:
        layout: The site's layout.
        plants: Number of plants.
    """

    def __init__(self, layout: Layout, *, plants: int) -> None:
        groups = layout.group_count
        self._layout = layout
        self._of_node = {
            node: np.array([name == node for name in layout.node_names]) for node in layout.nodes
        }
        self._members: dict[int, _Member] = {}
        self._next_s = np.full(plants, np.inf)
        self.available = np.ones((plants, len(TRIPS)))
        self.rate_max = np.full((plants, groups), UNLIMITED)
        self.deaf = np.zeros((plants, groups), dtype=bool)
        self.deaf_plant = np.zeros(plants, dtype=bool)
        self.restored = np.zeros((plants, groups), dtype=bool)
        self.restored_plant = np.zeros(plants, dtype=bool)
        self._lost = np.zeros((plants, groups), dtype=bool)
        self._over = np.ones((plants, groups))
        self._effective_w = np.full((plants, groups), np.nan)
        self._silent_at_s = np.full((plants, groups), np.nan)
        self._silent_plant_at_s = np.full(plants, np.nan)
        self._last: dict[int, tuple[FloatArray, FloatArray]] = {}

    @property
    def in_use(self) -> bool:
        """Return whether any plant may have faults."""
        return bool(self._members)

    def start(self, member: int, draw: FaultDraw | None) -> None:
        """Begin an episode of one plant, without faults if ``draw`` is None."""
        self._members.pop(member, None)
        self._last.pop(member, None)
        self._reset_arrays(member)
        self._effective_w[member] = np.nan
        self._next_s[member] = np.inf
        if draw is not None:
            self._members[member] = _Member(draw=draw)
            self._next_s[member] = 0.0

    def _reset_arrays(self, b: int) -> None:
        self.available[b] = 1.0
        self.rate_max[b] = UNLIMITED
        self.deaf[b] = self.restored[b] = self._lost[b] = False
        self.deaf_plant[b] = self.restored_plant[b] = False
        self._over[b] = 1.0
        self._silent_at_s[b] = np.nan
        self._silent_plant_at_s[b] = np.nan

    def turn(self, now_s: FloatArray) -> list[int]:
        """Let faults begin and end; return the members in which any did.

        Args:
            now_s: Time since the start of each plant's episode, shape ``[B]``.
        """
        changed = np.flatnonzero(now_s >= self._next_s).tolist()
        for b in changed:
            self._turn(b, float(now_s[b]))
        return changed

    def _turn(self, b: int, now_s: float) -> None:
        member = self._members[b]
        while member.day < now_s // _DAY_S:
            member.day += 1
            member.coming += member.draw.day(member.day)
        begun = [event for event in member.coming if event.start_s <= now_s]
        member.coming = member.coming[len(begun) :]
        member.active = [e for e in (*member.active, *begun) if _end_s(e) > now_s]
        before = member.sensors
        member.sensors = {
            event: before.get(event) or FailingSensor.of(event, self._layout)
            for event in member.active
            if event.kind in OF_SENSORS
        }
        self._reset_arrays(b)
        times_s = [(member.day + 1) * _DAY_S, *(e.start_s for e in member.coming[:1])]
        for event in member.active:
            self._act(b, event, now_s)
            times_s.append(_end_s(event))
            if event.start_s + LEASE_TTL_S > now_s:
                times_s.append(event.start_s + LEASE_TTL_S)
        self._next_s[b] = min(times_s)

    def _act(self, b: int, event: FaultEvent, now_s: float) -> None:
        expired = now_s >= event.start_s + LEASE_TTL_S
        if event.kind in TRIPS:
            k = TRIPS.index(event.kind)
            self.available[b, k] = min(self.available[b, k], event.value)
        elif event.kind is FaultKind.AGENT_SILENCE and event.target == PLANT_AGENT:
            self.deaf_plant[b] = True
            self.restored_plant[b] |= expired
            self._silent_plant_at_s[b] = np.fmin(self._silent_plant_at_s[b], event.start_s)
        elif event.kind in (FaultKind.AGENT_SILENCE, FaultKind.NODE_LOSS):
            of_node = self._of_node[event.target]
            silent_at_s = np.fmin(self._silent_at_s[b, of_node], event.start_s)
            self._silent_at_s[b, of_node] = silent_at_s
            self.deaf[b] |= of_node
            if event.kind is FaultKind.NODE_LOSS:
                self.rate_max[b, of_node] = 0.0
                self._lost[b] |= of_node
            else:
                self.restored[b] |= of_node & expired
        elif event.kind is FaultKind.CAP_OVERSHOOT:
            of_node = self._of_node[event.target]
            self._over[b, of_node] = np.maximum(self._over[b, of_node], event.value)

    def effective_caps_w(self, commanded_w: FloatArray, *, dt_s: float) -> FloatArray:
        """Return what GPUs really keep to in the step that begins, shape ``[B, N]``.

        A failing controller follows ``ratio * cap`` with a lag; a healthy one keeps the cap.

        Args:
            commanded_w: Caps the devices took, shape ``[B, N]``.
            dt_s: Length of the step.
        """
        failing = self._over > 1.0
        if not failing.any():
            self._effective_w[:] = commanded_w
            return commanded_w
        before_w = np.where(np.isnan(self._effective_w), commanded_w, self._effective_w)
        follow = 1.0 - np.exp(-dt_s / CAP_LAG_S)
        lagging_w = before_w + follow * (self._over * commanded_w - before_w)
        self._effective_w = np.where(failing, lagging_w, commanded_w)
        return self._effective_w.copy()

    def spoil(
        self,
        groups: FloatArray,
        plant: FloatArray,
        groups_age_s: FloatArray,
        plant_age_s: FloatArray,
        *,
        commanded_w: FloatArray,
        now_s: FloatArray,
    ) -> None:
        """Turn true instruments into failing ones, in place. Reading twice gives the same.

        Args:
            groups: Readings of groups, ``[B, N, S]``.
            plant: Readings of plants, ``[B, P]``.
            groups_age_s: Ages, ``[B, N]``.
            plant_age_s: Ages, ``[B, P]``.
            commanded_w: Caps the devices report as their limit, ``[B, N]``.
            now_s: Time since the start of each plant's episode, ``[B]``.
        """
        for b, member in self._members.items():
            groups[b, :, _POWER_LIMIT] = commanded_w[b]
            last = self._last.get(b) or (groups[b].copy(), plant[b].copy())
            for sensor in member.sensors.values():
                sensor.spoil(groups[b], plant[b], last=last, now_s=float(now_s[b]))
            silent = ~np.isnan(self._silent_at_s[b])
            silent_plant = not np.isnan(self._silent_plant_at_s[b])
            groups[b, silent] = last[0][silent]
            groups_age_s[b, silent] = now_s[b] - self._silent_at_s[b, silent]
            if silent_plant:
                plant[b] = last[1]
                plant_age_s[b] = now_s[b] - self._silent_plant_at_s[b]
            self._last[b] = groups[b].copy(), plant[b].copy()
            groups[b, self._lost[b]] = np.nan

    def copy_member(self, target: int, other: "FaultState", source: int) -> None:
        """Let plant ``target`` have the faults plant ``source`` of ``other`` has and will have."""
        self.start(target, None)
        if source not in other._members:
            return
        self._members[target] = deepcopy(other._members[source])
        for name in ("available", "rate_max", "deaf", "deaf_plant", "restored", "restored_plant"):
            getattr(self, name)[target] = getattr(other, name)[source]
        for name in ("_next_s", "_lost", "_over", "_effective_w"):
            getattr(self, name)[target] = getattr(other, name)[source]
        for name in ("_silent_at_s", "_silent_plant_at_s"):
            getattr(self, name)[target] = getattr(other, name)[source]
        if source in other._last:
            self._last[target] = deepcopy(other._last[source])


def _end_s(event: FaultEvent) -> float:
    return event.start_s + event.duration_s
