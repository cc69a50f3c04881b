"""Electors: a service outside the hall that says which of several controllers may try to lead.

An elector only chooses who tries. Who acts is decided by the agents' leases, so that an elector
that fails, lies or is cut off costs availability, never safety.
"""

from typing import Protocol


class Elector(Protocol):
    """One candidate of an election. Methods beside ``run`` return at once, in any thread."""

    @property
    def name(self) -> str:
        """Return the kind of the elector, for people."""
        ...

    @property
    def may_lead(self) -> bool:
        """Return whether this candidate surely is the elected one now."""
        ...

    def want(self, wanted: bool) -> None:
        """Say whether this candidate wants to be elected."""
        ...

    async def run(self) -> None:
        """Take part in the election until cancelled; then give the office up if held."""
        ...
