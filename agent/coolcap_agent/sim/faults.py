"""Faults of simulated devices that act by themselves, period by period."""

from coolcap_agent.sim.hall_file import HallFile
from coolcap_agent.sim.hall_layout import Fault


def advance_faults(hall: HallFile) -> None:
    """Let faults act on the hall; the host calls this before each period."""
    faults = hall.table("gpu_fault")
    managed = faults["flags"] & int(Fault.FOREIGN_MANAGER) != 0
    if managed.any():
        requested_w = hall.table("gpu_control")["power_limit_requested_w"]
        requested_w[managed] = faults["foreign_limit_w"][managed]
