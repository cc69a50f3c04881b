"""From the agents' messages to numbers: the only place of the controller that knows both.

Only readings the agent calls valid come through; everything else is NaN, which is "unknown".
"""

from typing import Final

import numpy as np

from coolcap_agent.daemon.wire import time_of
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.signals import (
    GROUP_COLUMN,
    GROUP_SIGNALS,
    PLANT_COLUMN,
    PLANT_SIGNALS,
    WORKLOAD_SIGNALS,
)
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_proto.v1 import common_pb2, node_agent_pb2, plant_agent_pb2

_WORKLOADS: Final = (
    node_agent_pb2.WORKLOAD_CLASS_TRAINING,
    node_agent_pb2.WORKLOAD_CLASS_PREFILL,
    node_agent_pb2.WORKLOAD_CLASS_DECODE,
    node_agent_pb2.WORKLOAD_CLASS_MEMORY_BOUND,
)
"""In the order of ``WORKLOAD_SIGNALS``."""
_ANSWERS: Final = (node_agent_pb2.GPU_STATE_OK, node_agent_pb2.GPU_STATE_READ_ONLY)
_POWER: Final = GROUP_COLUMN["gpu_power_w"]
_IT_POWER: Final = GROUP_COLUMN["it_power_w"]
_IT_ENERGY: Final = GROUP_COLUMN["it_energy_kwh"]
_INLET: Final = GROUP_COLUMN["inlet_temp_c"]
_COLUMNS: Final = [
    GROUP_COLUMN[name]
    for name in (
        "gpu_power_w",
        "power_limit_w",
        "sm_clock_mhz",
        "gpu_util_ratio",
        "mem_util_ratio",
        "gpu_temp_c",
        "hbm_temp_c",
        "work_rate_ratio",
        "work_gpu_h",
        "latency_ratio",
        "it_energy_kwh",
        *WORKLOAD_SIGNALS,
    )
]
"""Columns in the order of :func:`_measured`."""
_NAN: Final = float("nan")
_CLASSES: Final = {
    workload: tuple(float(workload == other) for other in _WORKLOADS)
    for workload in (node_agent_pb2.WORKLOAD_CLASS_UNSPECIFIED, *_WORKLOADS)
}
_NO_CLASS: Final = _CLASSES[node_agent_pb2.WORKLOAD_CLASS_UNSPECIFIED]
_UNKNOWN: Final = (_NAN,) * len(_COLUMNS)


def _measured(gpu: node_agent_pb2.GpuTelemetry) -> tuple[float, ...]:
    has = gpu.HasField
    return (
        gpu.power_w if has("power_w") else _NAN,
        gpu.power_limit_enforced_w if has("power_limit_enforced_w") else _NAN,
        gpu.sm_clock_mhz if has("sm_clock_mhz") else _NAN,
        gpu.gpu_util_ratio if has("gpu_util_ratio") else _NAN,
        gpu.mem_util_ratio if has("mem_util_ratio") else _NAN,
        gpu.gpu_temp_c if has("gpu_temp_c") else _NAN,
        gpu.hbm_temp_c if has("hbm_temp_c") else _NAN,
        gpu.work_rate_ratio if has("work_rate_ratio") else _NAN,
        gpu.work_gpu_h if has("work_gpu_h") else _NAN,
        gpu.latency_ratio if has("latency_ratio") else 0.0,  # no target, nothing is late
        gpu.energy_kwh if has("energy_kwh") else _NAN,
        *_CLASSES.get(gpu.workload_class, _NO_CLASS),
    )


def node_rows(message: node_agent_pb2.NodeTelemetry, *, gpu_count: int) -> FloatArray:
    """Return one row of ``GROUP_SIGNALS`` per GPU index, shape ``[gpu_count, S]``.

    What the server draws beside its GPUs is shared evenly among them, so that the rows add up to
    the server. GPUs with an index beyond ``gpu_count`` are not part of the layout and are left out.
    """
    measured = [_UNKNOWN] * gpu_count
    for gpu in message.gpus:
        if 0 <= gpu.gpu_index < gpu_count and gpu.state in _ANSWERS:
            measured[gpu.gpu_index] = _measured(gpu)
    rows = np.full((gpu_count, len(GROUP_SIGNALS)), np.nan)
    rows[:, _COLUMNS] = measured
    energy_kwh = rows[:, _IT_ENERGY].copy()
    rows[:, _IT_ENERGY] = np.nan
    if message.HasField("it_power_w"):
        power_w = rows[:, _POWER]
        rows[:, _IT_POWER] = power_w + (message.it_power_w - power_w.sum()) / gpu_count
    if message.HasField("it_energy_kwh"):
        rest_kwh = message.it_energy_kwh - energy_kwh.sum()
        rows[:, _IT_ENERGY] = energy_kwh + rest_kwh / gpu_count
    if message.HasField("inlet_temp_c"):
        rows[:, _INLET] = message.inlet_temp_c
    return rows


def plant_row(message: plant_agent_pb2.PlantTelemetry) -> tuple[FloatArray, FloatArray]:
    """Return values and measure times (s) of ``PLANT_SIGNALS``; NaN where not valid."""
    values = np.full(len(PLANT_SIGNALS), np.nan)
    times_s = np.full(len(PLANT_SIGNALS), np.nan)
    measure_time_s = time_of(message.measure_time)
    for reading in message.readings:
        column = PLANT_COLUMN.get(reading.signal)
        if column is None or not reading.HasField("value"):
            continue
        if reading.validity != common_pb2.VALIDITY_VALID:
            continue
        values[column] = reading.value
        own = reading.HasField("measure_time")
        times_s[column] = time_of(reading.measure_time) if own else measure_time_s
    for lever in message.levers:
        column = PLANT_LEVER_COLUMN.get(lever.lever)
        if column is not None and lever.HasField("setpoint_effective"):
            values[column] = lever.setpoint_effective
            times_s[column] = measure_time_s
    return values, times_s
