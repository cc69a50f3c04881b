"""Binary interface of the shared hall: one memory-mapped file that stands for a site's hardware.

The file is a header followed by tables of fixed-size records, each aligned as a C compiler aligns
a struct of these members on a 64-bit machine, little-endian, every table starting at a multiple
of 64 bytes. The header gives each table's place, so that a reader in another language needs the
records below and nothing else. Texts are UTF-8, filled up with zeros. NaN means "not measured"
or "not commanded". Times are site time in seconds since 1970-01-01 UTC.

Every field has one writer:

============== ================= ============================================================
table          written by        records
============== ================= ============================================================
header         host              1
gpu_info       host, at creation one per GPU, by node, then index
node_info      host, at creation one per node
lever_info     host, at creation one per lever of ``PLANT_LEVERS``
gpu_control    node's driver     one per GPU: what was asked of the device
node_ack       node's driver     one per node: newest telemetry a command has answered
lever_control  plant's driver    one per lever: what was commanded
plant_ack      plant's driver    1
gpu_fault      who injects them  one per GPU
lever_fault    who injects them  one per lever
frame          host              2: the head of each frame
gpu_reading    host              2 x one per GPU
node_reading   host              2 x one per node
signal_reading host              2 x one per signal of ``PLANT_SIGNALS``
============== ================= ============================================================

Readings are double-buffered: frame number ``n`` stands in half ``n % 2`` of the reading tables.
The host fills the half nobody reads, then sets ``published`` of the header to the new number. A
reader takes ``published``, copies what it wants from that half, and takes ``published`` again: if
it is unchanged, all it copied is of one instant; otherwise it starts over. After each frame the
host touches the file's time stamp, so that readers can wait for it instead of polling
(``bell.py``).

The limit a GPU enforces is the lowest of what was asked of it and what others impose::

    power_limit_enforced_w = min(power_limit_requested_w, power_limit_other_w)

The value a lever follows is the first of ``override_value``, ``commanded`` and ``default_value``
that is not NaN: a person's, ours, that of the hall's own program.
"""

import hashlib
from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import PLANT_SIGNALS, WORKLOAD_SIGNALS

MAGIC: Final = b"COOLHALL"
VERSION: Final = 1
TABLE_ALIGNMENT: Final = 64


class State(IntEnum):
    """What the host is doing."""

    RUNNING = 1
    ENDED = 2


class Fault(IntFlag):
    """What is wrong with a device; several may hold at once."""

    LOST = 1
    """It does not answer any more."""
    NO_PERMISSION = 2
    """Writes are refused for lack of a right."""
    IGNORED_SET = 4
    """Writes report success and change nothing."""
    HANG = 8
    """Calls block, for ``call_delay_s`` or until this is cleared, and then fail."""
    RESET_REQUIRED = 16
    """It must be reset before it can be used."""
    MIG = 32
    """It is partitioned; power cannot be told apart by partition."""
    MODULE_SCOPE = 64
    """Its limit applies to the whole module; one for the GPU alone is refused."""
    DRIVER_MISMATCH = 128
    """Library and kernel driver are of different versions, as after an upgrade."""
    FOREIGN_MANAGER = 256
    """Somebody sets ``foreign_limit_w`` again in every period."""


WORKLOAD_CLASSES: Final = ("", *(name.removesuffix("_ratio") for name in WORKLOAD_SIGNALS))
"""Workload class by its code in ``gpu_reading``; 0 is idle or unknown."""

HEADER: Final = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("state", "<u4"),
        ("layout_hash", "<u8"),
        ("published", "<u8"),
        ("host_pid", "<i8"),
        ("start_time_s", "<f8"),
        ("policy_period_s", "<f8"),
        ("site", "S64"),
    ],
    align=True,
)
TABLE_PLACE: Final = np.dtype(
    [("offset", "<u8"), ("record_bytes", "<u4"), ("record_count", "<u4")], align=True
)
"""One per table of :data:`TABLES`, in that order, right behind the header."""

GPU_INFO: Final = np.dtype(
    [
        ("uuid", "S48"),
        ("model", "S32"),
        ("node", "<u4"),
        ("index", "<u4"),
        ("group", "<u4"),
        ("power_limit_min_w", "<f8"),
        ("power_limit_max_w", "<f8"),
        ("power_limit_default_w", "<f8"),
        ("sm_clock_max_mhz", "<f8"),
    ],
    align=True,
)
NODE_INFO: Final = np.dtype([("name", "S64")], align=True)
LEVER_INFO: Final = np.dtype(
    [
        ("name", "S48"),
        ("present", "<u4"),
        ("low", "<f8"),
        ("high", "<f8"),
        ("default_value", "<f8"),
    ],
    align=True,
)
GPU_CONTROL: Final = np.dtype(
    [
        ("power_limit_requested_w", "<f8"),
        ("sm_clock_limit_mhz", "<f8"),
        ("persistence_mode", "<u4"),
    ],
    align=True,
)
ACK: Final = np.dtype([("answers_time_s", "<f8")], align=True)
LEVER_CONTROL: Final = np.dtype([("commanded", "<f8")], align=True)
GPU_FAULT: Final = np.dtype(
    [
        ("flags", "<u4"),
        ("xid", "<u4"),
        ("xid_count", "<u4"),
        ("power_limit_other_w", "<f8"),
        ("foreign_limit_w", "<f8"),
        ("call_delay_s", "<f8"),
        ("energy_zero_kwh", "<f8"),
    ],
    align=True,
)
"""``xid``: NVML's number of the newest critical event, the ``xid_count``-th. ``energy_zero_kwh``:
what the energy counter stood at when the driver was loaded last."""

LEVER_FAULT: Final = np.dtype([("flags", "<u4"), ("override_value", "<f8")], align=True)
"""``override_value``: what a person at the equipment holds the lever to; NaN: nobody does."""

FRAME: Final = np.dtype([("number", "<u8"), ("time_s", "<f8")], align=True)
GPU_READING: Final = np.dtype(
    [
        ("measure_time_s", "<f8"),
        ("power_w", "<f8"),
        ("power_average_w", "<f8"),
        ("energy_kwh", "<f8"),
        ("gpu_temp_c", "<f8"),
        ("hbm_temp_c", "<f8"),
        ("sm_clock_mhz", "<f8"),
        ("gpu_util_ratio", "<f8"),
        ("mem_util_ratio", "<f8"),
        ("work_rate_ratio", "<f8"),
        ("work_gpu_h", "<f8"),
        ("latency_ratio", "<f8"),
        ("sw_power_cap_s", "<f8"),
        ("sw_thermal_slowdown_s", "<f8"),
        ("workload_class", "<u4"),
        ("clocks_event_reasons", "<u4"),
    ],
    align=True,
)
"""``power_w`` is the mean since the last frame, ``power_average_w`` that over about 1 s, as NVML's
power usage on current devices. The ``_s`` fields count the time a reason held the clocks back."""

NODE_READING: Final = np.dtype(
    [
        ("measure_time_s", "<f8"),
        ("it_power_w", "<f8"),
        ("it_energy_kwh", "<f8"),
        ("inlet_temp_c", "<f8"),
    ],
    align=True,
)
SIGNAL_READING: Final = np.dtype([("measure_time_s", "<f8"), ("value", "<f8")], align=True)

TABLES: Final = {
    "gpu_info": GPU_INFO,
    "node_info": NODE_INFO,
    "lever_info": LEVER_INFO,
    "gpu_control": GPU_CONTROL,
    "node_ack": ACK,
    "lever_control": LEVER_CONTROL,
    "plant_ack": ACK,
    "gpu_fault": GPU_FAULT,
    "lever_fault": LEVER_FAULT,
    "frame": FRAME,
    "gpu_reading": GPU_READING,
    "node_reading": NODE_READING,
    "signal_reading": SIGNAL_READING,
}
"""Tables of the file, in order."""

FIRST_TABLE_PLACE: Final = HEADER.itemsize


def record_counts(*, gpu_count: int, node_count: int) -> dict[str, int]:
    """Return how many records each table holds, both halves counted."""
    levers, signals = len(PLANT_LEVERS), len(PLANT_SIGNALS)
    return {
        "gpu_info": gpu_count,
        "node_info": node_count,
        "lever_info": levers,
        "gpu_control": gpu_count,
        "node_ack": node_count,
        "lever_control": levers,
        "plant_ack": 1,
        "gpu_fault": gpu_count,
        "lever_fault": levers,
        "frame": 2,
        "gpu_reading": 2 * gpu_count,
        "node_reading": 2 * node_count,
        "signal_reading": 2 * signals,
    }


def _describe(name: str, dtype: np.dtype[np.void]) -> str:
    fields = dtype.fields
    assert fields is not None, "every record is a struct"
    parts = [f"{key}@{offset}:{member.str}" for key, (member, offset, *_) in fields.items()]
    return f"{name}[{dtype.itemsize}]({','.join(parts)})"


def layout_hash() -> int:
    """Return 64 bits that change with any record, signal, lever, class or their order."""
    parts = [_describe("header", HEADER), _describe("table_place", TABLE_PLACE)]
    parts += [_describe(name, dtype) for name, dtype in TABLES.items()]
    parts += [f"{s.name}:{s.unit}" for s in PLANT_SIGNALS]
    parts += [f"{lever.name}:{lever.unit}" for lever in PLANT_LEVERS]
    parts += WORKLOAD_CLASSES
    digest = hashlib.sha256(";".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little")
