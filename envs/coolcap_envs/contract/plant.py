"""The seam between control and the world: one protocol, simulated and real."""

from typing import Protocol

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import Telemetry


class Plant(Protocol):
    """All devices of a site: servers with GPUs, and the cooling plant.

    ``SimulatedPlant`` and the controller's ``RemotePlant`` implement it.
    """

    @property
    def layout(self) -> Layout:
        """Return what stands where; constant over the plant's life."""
        ...

    def read(self) -> Telemetry:
        """Return the newest readings with their ages. Reads never change the plant."""
        ...

    def apply(self, setpoints: Setpoints) -> Applied:
        """Command ``setpoints`` (NaN: leave alone) and return what is in force, read back."""
        ...
