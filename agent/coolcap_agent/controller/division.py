"""Who decides about what now: the policy about all, about a canary, or not in this turn."""

from dataclasses import dataclass

import numpy as np

from coolcap_agent.controller.canary import canary_groups
from coolcap_agent.controller.switchback import Arm, Turn
from coolcap_agent.controller.wishes import Wishes
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Who decides about what.

    Attributes:
        groups: The policy's groups, shape ``[N]``; the others are the rule's.
        levers: Whether the plant's levers are the policy's.
        turn: Block of the switchback; None without one.
    """

    groups: BoolArray
    levers: bool
    turn: Turn | None

    @property
    def arm(self) -> Arm:
        """Return who decides about anything at all."""
        return Arm.POLICY if self.levers or bool(self.groups.any()) else Arm.BASELINE

    @property
    def mixed(self) -> bool:
        """Return whether some groups are the policy's and some the rule's."""
        return bool(self.groups.any()) and not self.groups.all()

    def arm_of(self, n: int | None) -> Arm:
        """Return who decides about group ``n``, None for the plant."""
        own = self.levers if n is None else bool(self.groups[n])
        return Arm.POLICY if own else Arm.BASELINE


class Divider:
    """Divides a hall. Keeps the choice of the canary, which names and share alone decide."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ratio = 1.0
        self._canary = np.ones(layout.group_count, dtype=bool)

    def at(self, wishes: Wishes, time_s: float) -> Division:
        """Return who decides at ``time_s``.

        The plant serves all groups, so its levers stay with the rule while some groups do.
        """
        if wishes.canary_ratio != self._ratio:
            self._ratio = wishes.canary_ratio
            self._canary = canary_groups(
                self._layout.group_names, ratio=self._ratio, salt=self._layout.name
            )
        turn = wishes.switchback.at(time_s) if wishes.switchback is not None else None
        if turn is not None and turn.arm is Arm.BASELINE:
            return Division(groups=np.zeros_like(self._canary), levers=False, turn=turn)
        return Division(groups=self._canary, levers=bool(self._canary.all()), turn=turn)
