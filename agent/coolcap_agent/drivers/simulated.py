"""Drivers for the hardware of a shared hall, with the behaviour of the real interfaces."""

import math
from collections.abc import Sequence
from pathlib import Path

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    Holder,
    LeverInfo,
    LeverReading,
    NotPermitted,
    Overridden,
    SignalReading,
    ValueRefused,
)
from coolcap_agent.drivers.hall_user import DENIED, HallUser, take_hall_path
from coolcap_agent.drivers.simulated_gpu import SimulatedGpuDriver as SimulatedGpuDriver
from coolcap_agent.drivers.simulated_gpu import make_gpu_driver as make_gpu_driver
from coolcap_agent.sim.hall_file import open_hall
from coolcap_agent.sim.hall_layout import Fault
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.signals import PLANT_SIGNALS


def make_cooling_driver(options: Table, *, plant_id: str, folder: Path) -> "SimulatedCoolingDriver":
    """Return the driver that ``[driver.simulated]`` asks for; connects to nothing.

    Args:
        options: The table with the key ``hall``; problems are collected in it.
        plant_id: Not used: a hall has one plant.
        folder: What a relative path is relative to.
    """
    del plant_id
    return SimulatedCoolingDriver(take_hall_path(options, folder))


class SimulatedCoolingDriver(HallUser):
    """The cooling plant, meters and weather of a shared hall.

    Its levers follow the last commanded value at once; before the first command and after a release
    the hall's own program holds the site's default.
    """

    def open(self) -> None:
        """Connect. Raises DriverError if there is no such hall."""
        self._open_hall = open_hall(self._path, writable=True)

    def levers(self) -> Sequence[LeverInfo]:
        """Return the levers of this plant."""
        records = self._hall.table("lever_info")
        return [
            LeverInfo(
                name=lever.name,
                unit=lever.unit,
                low=float(records["low"][row]),
                high=float(records["high"][row]),
                read_only_reason=DENIED if self._fault(row) & Fault.NO_PERMISSION else "",
            )
            for row, lever in enumerate(PLANT_LEVERS)
            if records["present"][row]
        ]

    def read(self) -> Sequence[SignalReading]:
        """Sample all signals; NaN where this hall has no such sensor."""
        records = self._hall.table("signal_reading")
        samples = self._hall.snapshot(lambda half: records[half].tolist())
        return [
            SignalReading(
                signal=signal.name, value=value, measure_time_s=time_s, origin="simulated"
            )
            for signal, (time_s, value) in zip(PLANT_SIGNALS, samples, strict=True)
        ]

    def read_setpoint(self, lever: str) -> float:
        """Return the value in force. Raises DeviceLost."""
        return float(self._hall.lever_values()[self._row(lever)])

    def read_lever(self, lever: str) -> LeverReading:
        """Return the value in force; whatever was commanded counts as ours. Raises DeviceLost."""
        value, row = self.read_setpoint(lever), self._row(lever)
        holder, message = Holder.OURS, ""
        if self._is_overridden(row):
            holder, message = Holder.OTHER, self._override_text(lever, value)
        elif math.isnan(float(self._hall.table("lever_control")["commanded"][row])):
            holder = Holder.LOCAL
        return LeverReading(lever=lever, value=value, holder=holder, message=message)

    def adopt(self, lever: str, *, before: float) -> None:
        """Do nothing: the hall itself knows whether a lever is commanded."""

    def release(self, lever: str) -> None:
        """Give a lever back to the hall's own program. Raises DeviceLost, NotPermitted."""
        self._command(self._row(lever), lever, math.nan)

    def set_setpoint(self, lever: str, *, value: float) -> None:
        """Command a value. Raises DeviceLost, NotPermitted, ValueRefused, Overridden."""
        row = self._row(lever)
        info = self._hall.table("lever_info")
        low, high = float(info["low"][row]), float(info["high"][row])
        if not low <= value <= high:
            raise ValueRefused(
                f"{lever} {value:g} is outside {low:g} to {high:g} {PLANT_LEVERS[row].unit} "
                "(range read from the device)"
            )
        if self._is_overridden(row):
            raise Overridden(self._override_text(lever, self.read_setpoint(lever)))
        self._command(row, lever, value)

    def _command(self, row: int, lever: str, value: float) -> None:
        fault = self._fault(row)
        if fault & Fault.NO_PERMISSION:
            raise NotPermitted(f"{lever} cannot be set: {DENIED}")
        if not fault & Fault.IGNORED_SET:
            self._hall.table("lever_control")["commanded"][row] = value

    def _is_overridden(self, row: int) -> bool:
        return not math.isnan(float(self._hall.table("lever_fault")["override_value"][row]))

    @staticmethod
    def _override_text(lever: str, value: float) -> str:
        unit = PLANT_LEVERS[PLANT_LEVER_COLUMN[lever]].unit
        return f"a person at the equipment holds {lever} at {value:g} {unit}"

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Let site time go on: a command answering telemetry of that time was carried out."""
        self._hall.table("plant_ack")["answers_time_s"][0] = answers_time_s

    def _fault(self, row: int) -> Fault:
        return Fault(int(self._hall.table("lever_fault")["flags"][row]))

    def _row(self, lever: str) -> int:
        info = self._hall.table("lever_info")
        row = PLANT_LEVER_COLUMN.get(lever, -1)
        if row < 0 or not info["present"][row]:
            known = ", ".join(known.name for known in self.levers())
            raise DriverError(f"the hall has no lever {lever!r}; its levers are: {known}")
        if self._fault(row) & Fault.LOST:
            raise DeviceLost(f"{lever} does not answer (fault in the shared hall)")
        return row
