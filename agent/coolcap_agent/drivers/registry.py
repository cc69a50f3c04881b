"""Drivers by name. A driver is one file with a ``make_…`` function and one line here.

A maker takes its options out of the table (problems are collected there), connects to nothing and
returns the driver; ``open`` connects. Other packages add drivers by entry points of the groups
``coolcap.gpu_drivers`` and ``coolcap.cooling_drivers``; they are loaded only if a config names one.
"""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol, cast

from coolcap_agent.drivers.base import CoolingDriver, GpuDriver
from coolcap_envs.contract.config import Table

GPU_DRIVERS: Final = {
    "nvml": "coolcap_agent.drivers.nvml",
    "simulated": "coolcap_agent.drivers.simulated",
}
COOLING_DRIVERS: Final = {
    "bacnet": "coolcap_agent.drivers.bacnet",
    "modbus": "coolcap_agent.drivers.modbus",
    "opcua": "coolcap_agent.drivers.opcua",
    "redfish": "coolcap_agent.drivers.redfish",
    "simulated": "coolcap_agent.drivers.simulated",
}
EXTRAS: Final = {"nvml": "agent", "opcua": "opcua"}
"""Extra that brings the packages of a driver, where it is not ``plant``."""
GPU_GROUP: Final = "coolcap.gpu_drivers"
COOLING_GROUP: Final = "coolcap.cooling_drivers"


class GpuDriverMaker(Protocol):
    """``make_gpu_driver`` of a driver's module."""

    def __call__(self, options: Table, *, node_id: str, folder: Path) -> GpuDriver:
        """Return a driver that is not connected yet.

        Args:
            options: The table ``[driver.<name>]``.
            node_id: Name of the node it is for.
            folder: Where relative paths in ``options`` start.
        """
        ...


class CoolingDriverMaker(Protocol):
    """``make_cooling_driver`` of a driver's module."""

    def __call__(self, options: Table, *, plant_id: str, folder: Path) -> CoolingDriver:
        """Return a driver that is not connected yet; arguments as for GPU drivers."""
        ...


def read_gpu_driver(table: Table, *, node_id: str, folder: Path) -> tuple[str, GpuDriver | None]:
    """Read ``[driver]`` of a node agent; the driver is None after a problem."""
    name, maker = _maker(table, GPU_DRIVERS, GPU_GROUP, "make_gpu_driver")
    options = table.take_table(name or "options", needed=False)
    driver = None
    if maker is not None:
        driver = cast("GpuDriverMaker", maker)(options, node_id=node_id, folder=folder)
        options.finish()
        table.finish()
    return name, driver


def read_cooling_driver(
    table: Table, *, plant_id: str, folder: Path
) -> tuple[str, CoolingDriver | None]:
    """Read ``[driver]`` of a plant agent; the driver is None after a problem."""
    name, maker = _maker(table, COOLING_DRIVERS, COOLING_GROUP, "make_cooling_driver")
    options = table.take_table(name or "options", needed=False)
    driver = None
    if maker is not None:
        driver = cast("CoolingDriverMaker", maker)(options, plant_id=plant_id, folder=folder)
        options.finish()
        table.finish()
    return name, driver


def _maker(table: Table, own: dict[str, str], group: str, function: str) -> tuple[str, object]:
    """Return the name taken from ``table`` and its maker, None after a problem."""
    name = table.take_str("name")
    if name in own:
        try:
            return name, getattr(import_module(own[name]), function)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("coolcap"):
                raise
            table.complain(
                "name",
                f"= {name!r} needs the package {error.name}: install it, for example with "
                f"pip install 'coolcap[{EXTRAS.get(name, 'plant')}]'",
            )
            return name, None
    others = {point.name: point for point in entry_points(group=group)} if name else {}
    if name in others:
        return name, others[name].load()
    if name:
        known = ", ".join([*own, *others])
        table.complain("name", f"= {name!r} is not allowed: one of {known} is needed")
    return name, None
