"""Faults of simulated GPUs: switched on and off by name, seen by every driver of the hall.

A fault is a flag, a value or both in the record ``gpu_fault``; some also happen at once (an event,
a lost limit). Drivers and the NVML library look at the record in every call, so that a fault takes
effect in processes that run already.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.sim.hall_file import HallFile
from coolcap_agent.sim.hall_layout import Fault

XID_FALLEN_OFF_BUS: Final = 79
XID_UNCONTAINED_ECC: Final = 95
XID_DOUBLE_BIT_ECC: Final = 48
XID_GSP_TIMEOUT: Final = 119
"""Numbers of critical events, NVIDIA Xid catalogue."""

GSP_TIMEOUT_S: Final = 45.0
"""How long the driver waits for the GPU's own processor before it reports Xid 119, per call."""

NO_FLAG: Final = Fault(0)
SET_DELAY_S: Final = 0.02
"""What a call on a busy driver takes. Source: Zeus issue 29, 10 to 20 ms per power limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A fault as ``set_fault`` knows it.

    Attributes:
        summary: What happens, in one clause.
        flag: Bits of ``gpu_fault.flags``.
        xid: Number of the event it raises, 0 for none.
        value: Meaning and unit of the value it takes, empty if it takes none.
        default: The value without one given, from the hall and the GPU's row.
        act: What happens at once, with the value.
    """

    summary: str
    flag: Fault = NO_FLAG
    xid: int = 0
    value: str = ""
    default: Callable[[HallFile, int], float] = lambda _hall, _row: math.nan
    act: Callable[[HallFile, int, float], None] = lambda _hall, _row, _value: None


def _set(table: str, field: str) -> Callable[[HallFile, int, float], None]:
    def act(hall: HallFile, row: int, value: float) -> None:
        hall.table(table)[field][row] = value

    return act


def _info(field: str) -> Callable[[HallFile, int], float]:
    return lambda hall, row: float(hall.table("gpu_info")[field][row])


def _constant(value: float) -> Callable[[HallFile, int], float]:
    return lambda _hall, _row: value


def _reload_driver(hall: HallFile, row: int, _value: float) -> None:
    """Lose what a driver holds in memory: limit, clock lock, persistence mode, energy counter."""
    control, info = hall.table("gpu_control"), hall.table("gpu_info")
    control["power_limit_requested_w"][row] = info["power_limit_default_w"][row]
    control["sm_clock_limit_mhz"][row] = np.nan
    control["persistence_mode"][row] = 0
    energy_kwh = hall.snapshot(
        lambda half: float(hall.table("gpu_reading")["energy_kwh"][half, row])
    )
    hall.table("gpu_fault")["energy_zero_kwh"][row] = energy_kwh


def _raise_xid(hall: HallFile, row: int, number: float) -> None:
    faults = hall.table("gpu_fault")
    faults["xid"][row] = int(number)
    faults["xid_count"][row] += 1


FAULTS: Final = {
    "gpu-lost": FaultKind(
        summary="the GPU falls off its bus and answers no more",
        flag=Fault.LOST,
        xid=XID_FALLEN_OFF_BUS,
    ),
    "reset-required": FaultKind(
        summary="the GPU must be reset before it can be used",
        flag=Fault.RESET_REQUIRED,
        xid=XID_UNCONTAINED_ECC,
    ),
    "hang": FaultKind(
        summary="each call blocks and then fails, or goes on when the fault is cleared",
        flag=Fault.HANG,
        xid=XID_GSP_TIMEOUT,
        value="time until a call fails, s",
        default=_constant(GSP_TIMEOUT_S),
        act=_set("gpu_fault", "call_delay_s"),
    ),
    "slow": FaultKind(
        summary="each call takes longer",
        value="time per call, s",
        default=_constant(SET_DELAY_S),
        act=_set("gpu_fault", "call_delay_s"),
    ),
    "no-permission": FaultKind(
        summary="writes are refused for lack of a right", flag=Fault.NO_PERMISSION
    ),
    "ignored-set": FaultKind(
        summary="writes report success and change nothing", flag=Fault.IGNORED_SET
    ),
    "mig": FaultKind(summary="the GPU is partitioned", flag=Fault.MIG),
    "module-scope": FaultKind(
        summary="the limit holds for the whole module, as in Grace Hopper", flag=Fault.MODULE_SCOPE
    ),
    "driver-mismatch": FaultKind(
        summary="library and kernel driver differ in version: programs that start now are refused",
        flag=Fault.DRIVER_MISMATCH,
    ),
    "driver-reload": FaultKind(
        summary="the driver is loaded again: limit and clock lock are back at their defaults",
        act=_reload_driver,
    ),
    "foreign-set": FaultKind(
        summary="somebody else sets the limit, once",
        value="power limit, W",
        default=_info("power_limit_default_w"),
        act=_set("gpu_control", "power_limit_requested_w"),
    ),
    "foreign-manager": FaultKind(
        summary="somebody else sets the limit again in every period",
        flag=Fault.FOREIGN_MANAGER,
        value="power limit, W",
        default=_info("power_limit_default_w"),
        act=_set("gpu_fault", "foreign_limit_w"),
    ),
    "out-of-band-limit": FaultKind(
        summary="the server's management controller enforces a limit of its own",
        value="power limit, W",
        default=_info("power_limit_min_w"),
        act=_set("gpu_fault", "power_limit_other_w"),
    ),
    "xid": FaultKind(
        summary="the driver reports a critical event",
        value="its number",
        default=_constant(XID_DOUBLE_BIT_ECC),
        act=_raise_xid,
    ),
}
"""Every fault by its name."""


def find_gpu(hall: HallFile, name: str) -> int:
    """Return the row of a GPU in the hall's tables.

    Args:
        hall: The hall.
        name: The GPU's UUID, or its node and index as in ``node-1/0``.

    Raises:
        DriverError: If the hall has no such GPU.
    """
    info, nodes = hall.table("gpu_info"), hall.node_names
    names = [f"{nodes[gpu['node']]}/{gpu['index']}" for gpu in info]
    uuids = [bytes(uuid).decode() for uuid in info["uuid"]]
    for known in (names, uuids):
        if name in known:
            return known.index(name)
    raise DriverError(
        f"shared hall {hall.path} has no GPU {name!r}; its GPUs are {names[0]} to {names[-1]}, "
        "or their UUIDs"
    )


def set_fault(hall: HallFile, gpu: str, fault: str, *, value: float | None = None) -> None:
    """Let a fault begin on one GPU.

    Args:
        hall: The hall, open for writing.
        gpu: The GPU's UUID, or its node and index as in ``node-1/0``.
        fault: One of ``FAULTS``.
        value: What that fault takes; None: its default.

    Raises:
        DriverError: If there is no such GPU or fault, or the value is not one.
    """
    row = find_gpu(hall, gpu)
    if fault not in FAULTS:
        raise DriverError(f"fault {fault!r} is unknown; faults are: {', '.join(FAULTS)}")
    kind = FAULTS[fault]
    if value is not None and not kind.value:
        raise DriverError(f"fault {fault} takes no value, and {value:g} was given")
    if value is not None and not (math.isfinite(value) and value >= 0.0):
        raise DriverError(f"fault {fault} takes a value of 0 or more ({kind.value}), not {value:g}")
    kind.act(hall, row, kind.default(hall, row) if value is None else value)
    hall.table("gpu_fault")["flags"][row] |= int(kind.flag)
    if kind.xid:
        _raise_xid(hall, row, kind.xid)


def clear_faults(hall: HallFile, gpu: str) -> None:
    """Let every fault of one GPU end. What was lost in it stays lost; events stay counted.

    Raises:
        DriverError: If there is no such GPU.
    """
    row = find_gpu(hall, gpu)
    faults = hall.table("gpu_fault")
    faults["power_limit_other_w"][row] = np.inf
    faults["foreign_limit_w"][row] = np.nan
    faults["call_delay_s"][row] = 0.0
    faults["flags"][row] = 0


def advance_faults(hall: HallFile) -> None:
    """Let faults act on the hall; the host calls this before each period."""
    faults = hall.table("gpu_fault")
    managed = faults["flags"] & int(Fault.FOREIGN_MANAGER) != 0
    if managed.any():
        requested_w = hall.table("gpu_control")["power_limit_requested_w"]
        requested_w[managed] = faults["foreign_limit_w"][managed]
