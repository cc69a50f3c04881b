"""The shared hall as Python sees it: open, read whole frames, publish the next one."""

import contextlib
import mmap
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.sim.bell import ring
from coolcap_agent.sim.hall_layout import (
    FIRST_TABLE_PLACE,
    GPU_READING,
    HEADER,
    MAGIC,
    NODE_READING,
    SIGNAL_READING,
    TABLE_PLACE,
    TABLES,
    VERSION,
    State,
    layout_hash,
)
from coolcap_envs.contract.signals import PLANT_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray

Records = NDArray[np.void]
T = TypeVar("T")

_DOUBLED = ("gpu_reading", "node_reading", "signal_reading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One frame: what all sensors of a hall say at one instant of site time.

    Attributes:
        time_s: Site time the frame stands for.
        gpus: Records ``GPU_READING``, one per GPU.
        nodes: Records ``NODE_READING``, one per node.
        signals: Records ``SIGNAL_READING``, one per signal of ``PLANT_SIGNALS``.
    """

    time_s: float
    gpus: Records
    nodes: Records
    signals: Records

    @classmethod
    def unmeasured(cls, *, time_s: float, gpu_count: int, node_count: int) -> "Readings":
        """Return a frame in which nothing was measured: NaN, no workload, no reasons."""
        tables = []
        for dtype, count in (
            (GPU_READING, gpu_count),
            (NODE_READING, node_count),
            (SIGNAL_READING, len(PLANT_SIGNALS)),
        ):
            records = np.zeros(count, dtype)
            for name in dtype.names or ():
                if dtype[name].kind == "f":
                    records[name] = np.nan
            records["measure_time_s"] = time_s
            tables.append(records)
        return cls(time_s=time_s, gpus=tables[0], nodes=tables[1], signals=tables[2])


def _fence() -> None:
    """Keep memory accesses before this call before those after it.

    Taking a lock after giving one back orders them on every processor; Python has no other means.
    """
    lock = threading.Lock()
    lock.acquire()
    lock.release()
    lock.acquire()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class HallFile:
    """An open shared hall. Its tables are arrays over the file itself, not copies.

    The file is let go when the object is. ``hall_layout.py`` says what the tables hold and who
    may write which.
    """

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self.header: Records = np.ndarray(1, HEADER, memory)
        places = np.ndarray(len(TABLES), TABLE_PLACE, memory, offset=FIRST_TABLE_PLACE)
        self._tables: dict[str, Records] = {}
        for (name, dtype), place in zip(TABLES.items(), places, strict=True):
            count = int(place["record_count"])
            shape = (2, count // 2) if name in _DOUBLED else (count,)
            self._tables[name] = np.ndarray(shape, dtype, memory, offset=int(place["offset"]))
        self._published = self.header["published"]
        self._time_s = self._tables["frame"]["time_s"]

    def table(self, name: str) -> Records:
        """Return a table; reading tables have the two halves as first axis."""
        return self._tables[name]

    @property
    def site(self) -> str:
        """Return the name of the site."""
        return bytes(self.header["site"][0]).decode()

    @property
    def node_names(self) -> tuple[str, ...]:
        """Return the names of the nodes, in order."""
        return tuple(bytes(name).decode() for name in self._tables["node_info"]["name"])

    @property
    def state(self) -> State:
        """Return what the host is doing; RUNNING also if it was killed (see ``is_abandoned``)."""
        return State(int(self.header["state"][0]))

    @property
    def is_abandoned(self) -> bool:
        """Return whether the host died without ending the hall."""
        return self.state is State.RUNNING and not _is_alive(int(self.header["host_pid"][0]))

    @property
    def published(self) -> int:
        """Return the number of the newest frame."""
        return int(self._published[0])

    def time_s(self) -> float:
        """Return site time: the time of the newest frame."""
        return self.snapshot(lambda half: float(self._time_s[half]))

    def snapshot(self, take: Callable[[int], T]) -> T:
        """Return ``take(half)``, repeated until all it copied is from one frame.

        Args:
            take: Copies what it wants from the given half of the reading tables.
        """
        while True:
            number = self.published
            _fence()
            taken = take(number % 2)
            _fence()
            if number == self.published:
                return taken

    def lever_values(self) -> FloatArray:
        """Return what each lever of ``PLANT_LEVERS`` follows; NaN where the hall lacks it."""
        commanded = self._tables["lever_control"]["commanded"]
        override = self._tables["lever_fault"]["override_value"]
        own = self._tables["lever_info"]["default_value"]
        held = np.where(np.isnan(commanded), own, commanded)
        return np.asarray(np.where(np.isnan(override), held, override), dtype=np.float64)

    def publish(self, readings: Readings) -> None:
        """Make ``readings`` the newest frame. For the host only."""
        number = self.published + 1
        half = number % 2
        self._tables["gpu_reading"][half] = readings.gpus
        self._tables["node_reading"][half] = readings.nodes
        self._tables["signal_reading"][half] = readings.signals
        self._tables["frame"][half] = (number, readings.time_s)
        _fence()
        self._published[0] = number
        self._ring()

    def end(self) -> None:
        """Say that site time has come to its end. For the host only."""
        self.header["state"] = State.ENDED
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # somebody removed it; the mapping lives on
            ring(self.path)


def open_hall(path: Path, *, writable: bool) -> HallFile:
    """Open a shared hall.

    Raises:
        DriverError: If it does not exist, or is not of this version and layout.
    """
    try:
        with path.open("r+b" if writable else "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(HEADER.itemsize)
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            memory = mmap.mmap(file.fileno(), 0, access=access) if size else None
    except OSError as error:
        raise DriverError(
            f"shared hall {path} cannot be opened: {error.strerror}; "
            "the simulation host (coolcap sim) creates it"
        ) from error
    if memory is None or len(start) < HEADER.itemsize or not start.startswith(MAGIC):
        raise DriverError(f"{path} is not a shared hall: it does not start with {MAGIC.decode()}")
    header = np.frombuffer(start, HEADER)[0]
    if int(header["version"]) != VERSION or int(header["layout_hash"]) != layout_hash():
        raise DriverError(
            f"shared hall {path} has version {header['version']}, layout "
            f"{int(header['layout_hash']):016x}; this program reads version {VERSION}, layout "
            f"{layout_hash():016x}: start simulation host and agents from one installation"
        )
    return HallFile(path, memory)
