"""Faults that act by themselves do so once in every period."""

from pathlib import Path

from coolcap_agent.sim.faults import advance_faults
from coolcap_agent.sim.hall_layout import Fault
from support.small_hall import SmallHall


def test_foreign_manager_takes_its_gpus_back_and_leaves_the_others(tmp_path: Path) -> None:
    hall = SmallHall.create(tmp_path / "hall").hall
    hall.table("gpu_fault")["flags"][1] = Fault.FOREIGN_MANAGER | Fault.MIG
    hall.table("gpu_fault")["foreign_limit_w"][1] = 450.0
    hall.table("gpu_control")["power_limit_requested_w"] = 300.0

    advance_faults(hall)

    requested_w = hall.table("gpu_control")["power_limit_requested_w"]
    assert requested_w.tolist() == [300.0, 450.0, 300.0, 300.0]
