"""Create the file of a shared hall, complete and private from its first moment."""

import contextlib
import mmap
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.sim.hall_file import HallFile, Readings, Records, open_hall
from coolcap_agent.sim.hall_layout import (
    FIRST_TABLE_PLACE,
    HEADER,
    MAGIC,
    TABLE_ALIGNMENT,
    TABLE_PLACE,
    TABLES,
    VERSION,
    State,
    layout_hash,
    record_counts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What stands in a hall and does not change while it runs.

    Attributes:
        site: Name of the site.
        node_names: Names of the nodes.
        gpu_info: Records ``GPU_INFO``, by node, then index.
        lever_info: Records ``LEVER_INFO``, one per lever of ``PLANT_LEVERS``.
    """

    site: str
    node_names: tuple[str, ...]
    gpu_info: Records
    lever_info: Records


def _places(*, gpu_count: int, node_count: int) -> tuple[Records, int]:
    """Return the place of each table, and the size of the file in bytes."""
    counts = record_counts(gpu_count=gpu_count, node_count=node_count)
    places = np.zeros(len(TABLES), TABLE_PLACE)
    end = FIRST_TABLE_PLACE + places.nbytes
    for place, (name, dtype) in zip(places, TABLES.items(), strict=True):
        offset = -(-end // TABLE_ALIGNMENT) * TABLE_ALIGNMENT
        place["offset"], place["record_bytes"] = offset, dtype.itemsize
        place["record_count"] = counts[name]
        end = offset + counts[name] * dtype.itemsize
    return places, end


def _fill(memory: mmap.mmap, hardware: Hardware, places: Records, policy_period_s: float) -> None:
    header = np.ndarray(1, HEADER, memory)
    header["version"], header["state"] = VERSION, State.RUNNING
    header["layout_hash"], header["host_pid"] = layout_hash(), os.getpid()
    header["policy_period_s"], header["site"] = policy_period_s, hardware.site.encode()
    np.ndarray(len(TABLES), TABLE_PLACE, memory, offset=FIRST_TABLE_PLACE)[:] = places


def create_hall(
    path: Path, hardware: Hardware, first: Readings, *, policy_period_s: float
) -> HallFile:
    """Create the file with mode 600; it appears under its name complete, with its first frame.

    Limits start at their defaults, levers uncommanded, acknowledgements before all time.

    Raises:
        DriverError: If another host still runs the hall of this name, or it cannot be written.
    """
    if path.exists():
        _retire(path)
    node_count, gpu_count = len(hardware.node_names), len(hardware.gpu_info)
    places, size = _places(gpu_count=gpu_count, node_count=node_count)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 600
        try:
            os.ftruncate(handle, size)
            memory = mmap.mmap(handle, size)
        finally:
            os.close(handle)
        _fill(memory, hardware, places, policy_period_s)
        hall = HallFile(path, memory)
        hall.header["start_time_s"] = first.time_s
        hall.table("gpu_info")[:] = hardware.gpu_info
        hall.table("node_info")["name"] = [name.encode() for name in hardware.node_names]
        hall.table("lever_info")[:] = hardware.lever_info
        requested_w = hardware.gpu_info["power_limit_default_w"]
        hall.table("gpu_control")["power_limit_requested_w"] = requested_w
        hall.table("gpu_control")["sm_clock_limit_mhz"] = np.nan
        hall.table("gpu_control")["persistence_mode"] = 1
        hall.table("lever_control")["commanded"] = np.nan
        hall.table("gpu_fault")["power_limit_other_w"] = np.inf
        hall.table("gpu_fault")["foreign_limit_w"] = np.nan
        hall.table("lever_fault")["override_value"] = np.nan
        for acknowledged in ("node_ack", "plant_ack"):
            hall.table(acknowledged)["answers_time_s"] = -np.inf
        hall.publish(first)
        hall.header["magic"] = MAGIC
        os.rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise DriverError(f"shared hall {path} cannot be created: {error.strerror}") from error
    return hall


def _retire(path: Path) -> None:
    """End the hall a former host left behind; refuse if that host still runs."""
    try:
        former = open_hall(path, writable=True)
    except DriverError:
        return  # of another version or none of ours: whoever reads it is told so
    if former.state is State.RUNNING and not former.is_abandoned:
        raise DriverError(
            f"shared hall {path} is in use by process {int(former.header['host_pid'][0])}: "
            "stop it or choose another file"
        )
    former.end()
