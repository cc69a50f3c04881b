"""Letting simulated site time go on where the hall stands behind field protocols."""

from pathlib import Path

from coolcap_agent.sim.hall_file import open_hall


class HallAcknowledger:
    """Writes a plant agent's acknowledgements into the hall that carries its clock."""

    def __init__(self, path: Path) -> None:
        """Open the hall; raises DriverError if there is none at ``path``."""
        self._hall = open_hall(path, writable=True)

    async def acknowledge(self, *, answers_time_s: float) -> None:
        """Note that a command answering telemetry of that site time was carried out."""
        self._hall.table("plant_ack")["answers_time_s"][0] = answers_time_s
