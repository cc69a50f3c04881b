"""What both drivers of a shared hall have in common."""

from pathlib import Path
from typing import Final

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.sim.hall_file import HallFile
from coolcap_envs.contract.config import Table

DENIED: Final = "the simulated device refuses writes (fault no_permission in the shared hall)"
"""Why nothing can be set, in words."""


def take_hall_path(options: Table, folder: Path) -> Path:
    """Take the hall's path; a relative one starts at ``folder``."""
    return folder / options.take_str("hall")


class HallUser:
    """A driver's hall, opened late and let go once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_hall: HallFile | None = None

    @property
    def _hall(self) -> HallFile:
        if self._open_hall is None:
            raise DriverError(f"shared hall {self._path} is not open: call open() first")
        return self._open_hall

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._open_hall = None
