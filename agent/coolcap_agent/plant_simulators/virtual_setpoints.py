"""Setpoints a controller follows only under a handshake: enabled, alive and not overridden.

The pattern to ask an integrator for: this agent writes *virtual* setpoints, and the equipment's own
controller, not this agent, decides whether to follow them.
"""

import math
from collections.abc import Callable, Sequence

from coolcap_agent.plant_simulators.hall import Hall, SimulatedLever


class VirtualSetpoints:
    """The part of a controller's program that looks after us.

    Attributes:
        setpoints: What we asked for, by lever.
        followed: What the equipment follows, by lever.
        enable: 1 while we want our setpoints followed; drops to 0 when the heartbeat is late.
        heartbeat: What we last counted.
        heartbeat_timeout_s: Longest time without a new heartbeat.
        overridden: The switch at the panel.
        hand: What the person at the panel sets, by lever; else the local program goes on.
        stuck: A fault: setpoints are taken and not followed.
    """

    def __init__(
        self,
        hall: Hall,
        levers: Sequence[SimulatedLever],
        *,
        heartbeat_timeout_s: float,
        now_s: Callable[[], float],
    ) -> None:
        """Follow the local program; ``now_s`` is the clock of the heartbeat."""
        self.heartbeat_timeout_s = heartbeat_timeout_s
        self.overridden = False
        self.hand: dict[str, float] = {}
        self.stuck = False
        self._hall = hall
        self._levers = tuple(levers)
        self._now_s = now_s
        self.setpoints: dict[str, float] = {}
        self.followed: dict[str, float] = {}
        self.enable = 0
        self.heartbeat = 0
        self._beat_s = -math.inf
        self._forget()

    def reset(self) -> None:
        """Start anew, as after switching on: our commands are forgotten."""
        self._forget()
        for lever in self._levers:
            self._hall.write(lever.lever, lever.default)

    def beat(self, count: int) -> None:
        """Take a heartbeat; only a new count is a sign of life."""
        if count != self.heartbeat:
            self.heartbeat = count
            self._beat_s = self._now_s()

    def cycle(self) -> None:
        """Run one cycle of the program."""
        if self._now_s() - self._beat_s > self.heartbeat_timeout_s:
            self.enable = 0
        ours = self.enable == 1 and not self.overridden and not self.stuck
        for lever in self._levers:
            by_hand = self.hand.get(lever.lever) if self.overridden else None
            local = lever.default if by_hand is None else by_hand
            value = self.setpoints[lever.lever] if ours else local
            if value != self.followed[lever.lever]:
                self.followed[lever.lever] = value
                self._hall.write(lever.lever, value)

    def _forget(self) -> None:
        self.setpoints = {lever.lever: lever.default for lever in self._levers}
        self.followed = dict(self.setpoints)
        self.enable = 0
        self.heartbeat = 0
        self._beat_s = -math.inf
