"""Simulated GPUs of a shared hall, with the behaviour of the real interface.

Faults are switched on in the hall file: a lost device, a missing right, a setter that reports
success and does nothing (as NVML's v2 power-limit wrapper can).
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    GpuEvent,
    GpuInfo,
    GpuReading,
    NodeReading,
    NotCommandable,
    NotPermitted,
    ResetRequired,
    ValueRefused,
)
from coolcap_agent.drivers.clocks_event_reasons import reason_names
from coolcap_agent.drivers.hall_user import DENIED, HallUser, take_hall_path
from coolcap_agent.sim.hall_file import open_hall
from coolcap_agent.sim.hall_layout import GPU_READING, WORKLOAD_CLASSES, Fault
from coolcap_envs.contract.config import Table

SM_CLOCK_MIN_MHZ: Final = 345.0
"""Lowest SM clock of an H100 SXM5, and with it the lowest ceiling (`nvidia-smi -q`, driver 565)."""
OPERATING_TEMP_MAX_C: Final = 87.0
"""Where an H100's thermal margin is 0 (NVML's T.Limit; `nvidia-smi -q`, driver 565). Taken for all
simulated models, whose throttling the plant model does by itself."""

_GPU_FIELDS = GPU_READING.names or ()
_GPU_MEASURED = (
    "measure_time_s",
    "power_w",
    "energy_kwh",
    "gpu_temp_c",
    "hbm_temp_c",
    "sm_clock_mhz",
    "gpu_util_ratio",
    "mem_util_ratio",
    "work_rate_ratio",
    "work_gpu_h",
    "latency_ratio",
)
"""Fields that the hall and a reading call alike."""


def _module_scope(what: str) -> str:
    return f"{what} takes no power limit of its own, only one for its module (fault module-scope)"


def _text(value: bytes) -> str:
    return bytes(value).decode()


def make_gpu_driver(options: Table, *, node_id: str, folder: Path) -> "SimulatedGpuDriver":
    """Return the driver that ``[driver.simulated]`` asks for; connects to nothing.

    Args:
        options: The table with the key ``hall``; problems are collected in it.
        node_id: Name of the node in the hall.
        folder: What a relative path is relative to.
    """
    return SimulatedGpuDriver(take_hall_path(options, folder), node_id)


class SimulatedGpuDriver(HallUser):
    """The GPUs of one node of a shared hall."""

    def __init__(self, path: Path, node: str) -> None:
        """Name the hall and the node; ``open`` connects."""
        super().__init__(path)
        self._node = node
        self._node_row = -1
        self._rows: dict[str, int] = {}
        self._xid_counts: dict[str, int] = {}

    def open(self) -> None:
        """Connect. Raises DriverError if there is no such hall or no such node in it."""
        hall = open_hall(self._path, writable=True)
        if self._node not in hall.node_names:
            known = ", ".join(hall.node_names)
            raise DriverError(
                f"shared hall {self._path} has no node {self._node!r}; its nodes are: {known}"
            )
        self._node_row = hall.node_names.index(self._node)
        info = hall.table("gpu_info")
        rows = [row for row in range(len(info)) if int(info["node"][row]) == self._node_row]
        self._rows = {_text(info["uuid"][row]): row for row in rows}
        counts = hall.table("gpu_fault")["xid_count"]
        self._xid_counts = {uuid: int(counts[row]) for uuid, row in self._rows.items()}
        self._open_hall = hall

    def inventory(self) -> Sequence[GpuInfo]:
        """Return the GPUs in index order."""
        records = self._hall.table("gpu_info")
        return [
            GpuInfo(
                uuid=uuid,
                index=int(records["index"][row]),
                model=_text(records["model"][row]),
                power_limit_min_w=float(records["power_limit_min_w"][row]),
                power_limit_max_w=float(records["power_limit_max_w"][row]),
                power_limit_default_w=float(records["power_limit_default_w"][row]),
                sm_clock_max_mhz=float(records["sm_clock_max_mhz"][row]),
                read_only_reason=self._read_only_reason(uuid, row),
                sm_clock_min_mhz=min(SM_CLOCK_MIN_MHZ, float(records["sm_clock_max_mhz"][row])),
                partitioned=bool(self._fault(row) & Fault.MIG),
            )
            for uuid, row in self._rows.items()
        ]

    def read_gpu(self, uuid: str) -> GpuReading:
        """Sample one GPU. Raises DeviceLost."""
        row = self._row(uuid)
        records = self._hall.table("gpu_reading")
        values = self._hall.snapshot(lambda half: records[half, row].item())
        sample = dict(zip(_GPU_FIELDS, values, strict=True))
        requested_w = float(self._hall.table("gpu_control")["power_limit_requested_w"][row])
        other_w = float(self._hall.table("gpu_fault")["power_limit_other_w"][row])
        return GpuReading(
            uuid=uuid,
            power_limit_requested_w=requested_w,
            power_limit_enforced_w=min(requested_w, other_w),
            workload_class=WORKLOAD_CLASSES[sample["workload_class"]],
            clocks_event_reasons=reason_names(sample["clocks_event_reasons"]),
            sm_clock_limit_mhz=float(self._hall.table("gpu_control")["sm_clock_limit_mhz"][row]),
            temp_margin_k=OPERATING_TEMP_MAX_C - sample["gpu_temp_c"],
            **{field: sample[field] for field in _GPU_MEASURED},
        )

    def read_node(self) -> NodeReading:
        """Sample the server."""
        records = self._hall.table("node_reading")
        time_s, power_w, energy_kwh, inlet_c = self._hall.snapshot(
            lambda half: records[half, self._node_row].item()
        )
        return NodeReading(
            measure_time_s=time_s,
            it_power_w=power_w,
            it_energy_kwh=energy_kwh,
            inlet_temp_c=inlet_c,
        )

    def set_power_limit(self, uuid: str, *, power_limit_w: float) -> None:
        """Request a power limit. Raises DeviceLost, NotPermitted, NotCommandable, ValueRefused."""
        row, what = self._row(uuid), f"power limit {power_limit_w:.1f} W for {uuid}"
        info = self._hall.table("gpu_info")
        low_w, high_w = (float(info[f"power_limit_{end}_w"][row]) for end in ("min", "max"))
        if not low_w <= power_limit_w <= high_w:
            raise ValueRefused(
                f"{what} is outside {low_w:.1f} to {high_w:.1f} W (limits read from the device)"
            )
        self._set(row, "power_limit_requested_w", power_limit_w, what)

    def set_sm_clock_max(self, uuid: str, *, sm_clock_max_mhz: float) -> None:
        """Give the SM clock a ceiling; the highest clock takes it away.

        Raises DeviceLost, NotPermitted, ValueRefused.
        """
        row, what = self._row(uuid), f"SM clock ceiling {sm_clock_max_mhz:.0f} MHz for {uuid}"
        high_mhz = float(self._hall.table("gpu_info")["sm_clock_max_mhz"][row])
        low_mhz = min(SM_CLOCK_MIN_MHZ, high_mhz)
        if not low_mhz <= sm_clock_max_mhz <= high_mhz:
            raise ValueRefused(
                f"{what} is outside {low_mhz:.0f} to {high_mhz:.0f} MHz (read from the device)"
            )
        lifted = sm_clock_max_mhz == high_mhz
        self._set(row, "sm_clock_limit_mhz", math.nan if lifted else sm_clock_max_mhz, what)

    def take_events(self) -> Sequence[GpuEvent]:
        """Return the critical events since the last call; of several of one GPU the newest."""
        faults, found = self._hall.table("gpu_fault"), []
        for uuid, row in self._rows.items():
            count = int(faults["xid_count"][row])
            if count != self._xid_counts[uuid]:
                self._xid_counts[uuid] = count
                found.append(GpuEvent(uuid=uuid, xid=int(faults["xid"][row])))
        return found

    def rights(self) -> Mapping[str, object]:
        """Return that nothing is missing: the hall's file was opened for writing."""
        return {"missing": "", "foreign_managers": []}

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Let site time go on: a command answering telemetry of that time was carried out."""
        self._hall.table("node_ack")["answers_time_s"][self._node_row] = answers_time_s

    def _fault(self, row: int) -> Fault:
        return Fault(int(self._hall.table("gpu_fault")["flags"][row]))

    def _read_only_reason(self, uuid: str, row: int) -> str:
        fault = self._fault(row)
        if fault & Fault.MODULE_SCOPE:
            return _module_scope(uuid)
        return DENIED if fault & Fault.NO_PERMISSION else ""

    def _set(self, row: int, field: str, value: float, what: str) -> None:
        """Write a field of the GPU's control record, as far as its faults let us."""
        fault = self._fault(row)
        if fault & Fault.NO_PERMISSION:
            raise NotPermitted(f"{what} cannot be set: {DENIED}")
        if fault & Fault.MODULE_SCOPE and field == "power_limit_requested_w":
            raise NotCommandable(f"{what} cannot be set: {_module_scope('the GPU')}")
        if not fault & Fault.IGNORED_SET:
            self._hall.table("gpu_control")[field][row] = value

    def _row(self, uuid: str) -> int:
        if uuid not in self._rows:
            known = ", ".join(self._rows)
            raise DriverError(f"GPU {uuid!r} is not on node {self._node}; its GPUs are: {known}")
        row = self._rows[uuid]
        fault = self._fault(row)
        if not self._wait(row):
            raise DeviceLost(f"{uuid} did not answer in time (fault in the shared hall)")
        if fault & Fault.LOST:
            raise DeviceLost(f"{uuid} does not answer: GPU is lost (fault in the shared hall)")
        if fault & Fault.RESET_REQUIRED:
            raise ResetRequired(
                f"{uuid} does not answer: GPU requires a reset (fault in the shared hall)"
            )
        return row

    def _wait(self, row: int) -> bool:
        """Block as long as the hall says a call takes; return whether the GPU answered."""
        delay_s = float(self._hall.table("gpu_fault")["call_delay_s"][row])
        if not delay_s:
            return True
        hangs = bool(self._fault(row) & Fault.HANG)
        if not hangs:
            time.sleep(delay_s)
            return True
        end_mono_s = time.monotonic() + delay_s
        while time.monotonic() < end_mono_s:
            if not self._fault(row) & Fault.HANG:
                return True
            time.sleep(0.01)
        return False
