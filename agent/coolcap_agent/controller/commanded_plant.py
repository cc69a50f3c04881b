"""What the loop needs of a plant beside reading and applying: leases, and who obeys now."""

from collections.abc import Mapping
from typing import Protocol

from coolcap_envs.contract.plant import Plant
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.safety.limits import Limits


class CommandedPlant(Plant, Protocol):
    """A plant whose devices are commanded under leases. ``RemotePlant`` implements it."""

    @property
    def leads(self) -> bool:
        """Return whether this controller may command now; asked again before each command."""
        ...

    @property
    def overridden(self) -> Mapping[str, str]:
        """Return the levers the plant's own control overrides, each with what is known of it."""
        ...

    def adjust(self, setpoints: Setpoints) -> Applied:
        """Command between two decisions, as :meth:`apply` but in answer to no telemetry.

        Simulated hardware waits for the answer to its telemetry before it goes on, and this is
        not that answer.
        """
        ...

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Acquire and renew every lease, or release them all; returns at once.

        Called with each fast tick. A loop that hangs does not call it, and the leases end.
        """
        ...

    def narrow(self, limits: Limits) -> Limits:
        """Return ``limits`` with the ranges agents carry out now.

        A group that cannot be commanded is held to what it may draw: the limit measured now, or
        the highest if that is not known. What was last read back does not count, because an agent
        that is lost restores.
        """
        ...
