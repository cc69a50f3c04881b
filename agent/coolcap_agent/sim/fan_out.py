"""From control groups to devices and back: the plant model knows groups, the hall holds GPUs."""

import uuid
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_agent.drivers.clocks_event_reasons import (
    APPLICATIONS_CLOCKS_SETTING,
    GPU_IDLE,
    SW_POWER_CAP,
    SW_THERMAL_SLOWDOWN,
)
from coolcap_agent.sim.hall_create import Hardware
from coolcap_agent.sim.hall_file import HallFile, Readings, Records
from coolcap_agent.sim.hall_layout import GPU_INFO, LEVER_INFO
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

UUID_NAMESPACE: Final = uuid.UUID("6f2b1f64-30a5-5d0c-9d35-0c1a5f0c0a11")
"""Makes the UUIDs of simulated GPUs the same in every run of a site; otherwise arbitrary."""

THERMAL_SLOWDOWN_TEMP_C: Final = 87.0
"""Maximum operating temperature of an H100 die, where its thermal margin (NVML field 194, T.Limit)
is 0. Used only to name the reason of a lowered clock; the plant model does the slowing."""

IDLE_UTIL_RATIO: Final = 0.005
AT_LIMIT_RATIO: Final = 0.97
"""A slowed GPU drawing this share of its enforced limit or more is held back by it."""

AVERAGED_S: Final = 1.0
"""Window of NVML's power usage on Ampere (except GA100) and newer, NVML API reference. Taken as
the time constant of a first-order lag where frames are closer than that."""

J_PER_KWH: Final = 3.6e6

_COPIED = {
    "power_w": "gpu_power_w",
    "gpu_temp_c": "gpu_temp_c",
    "hbm_temp_c": "hbm_temp_c",
    "sm_clock_mhz": "sm_clock_mhz",
    "gpu_util_ratio": "gpu_util_ratio",
    "mem_util_ratio": "mem_util_ratio",
    "work_rate_ratio": "work_rate_ratio",
    "latency_ratio": "latency_ratio",
}
_COUNTED = {"sw_power_cap_s": SW_POWER_CAP, "sw_thermal_slowdown_s": SW_THERMAL_SLOWDOWN}


def hardware_of(layout: Layout, limits: Limits) -> Hardware:
    """Return the devices of a site: its GPUs by node and index, and its levers."""
    nodes = {name: row for row, name in enumerate(layout.nodes)}
    rows = sorted(
        (nodes[layout.node_names[group]], index, group)
        for group, indices in enumerate(layout.gpu_indices)
        for index in indices
    )
    gpus = np.zeros(len(rows), GPU_INFO)
    for gpu, (node, index, group) in zip(gpus, rows, strict=True):
        name = f"{layout.name}/{layout.node_names[group]}/{index}"
        gpu["uuid"] = f"GPU-{uuid.uuid5(UUID_NAMESPACE, name)}".encode()
        gpu["model"] = layout.gpu_models[group].encode()
        gpu["node"], gpu["index"], gpu["group"] = node, index, group
        for bound in ("min", "max", "default"):
            field = f"power_limit_{bound}_w"
            gpu[field] = getattr(layout, field)[group]
        gpu["sm_clock_max_mhz"] = layout.sm_clock_max_mhz[group]
    levers = np.zeros(len(PLANT_LEVERS), LEVER_INFO)
    levers["name"] = [lever.name.encode() for lever in PLANT_LEVERS]
    levers["present"] = layout.plant_levers
    levers["low"] = [lever.low for lever in PLANT_LEVERS]
    levers["high"] = [lever.high for lever in PLANT_LEVERS]
    levers["default_value"] = limits.lever_default
    return Hardware(site=layout.name, node_names=layout.nodes, gpu_info=gpus, lever_info=levers)


class FanOut:
    """Turns telemetry of groups into frames of device readings, and device limits into setpoints.

    GPUs of one group read alike. Energy counters of GPUs are kept here: the plant model counts
    energy at the server input only.
    """

    def __init__(self, layout: Layout, hardware: Hardware) -> None:
        self._layout = layout
        self._gpus = hardware.gpu_info
        self._group: NDArray[np.int64] = hardware.gpu_info["group"].astype(np.int64)
        self._node_of_group = np.array([layout.nodes.index(name) for name in layout.node_names])
        self._place_in_group = np.array(
            [
                (layout.gpu_indices[gpu["group"]].index(int(gpu["index"])) + 0.5)
                / len(layout.gpu_indices[gpu["group"]])
                for gpu in hardware.gpu_info
            ]
        )
        self._energy_kwh = np.zeros(len(hardware.gpu_info))
        self._average_w = np.full(len(hardware.gpu_info), np.nan)
        self._held_s = {field: np.zeros(len(hardware.gpu_info)) for field in _COUNTED}
        self._time_s: float | None = None

    def setpoints(self, hall: HallFile) -> Setpoints:
        """Return what the devices of ``hall`` hold now, per group.

        A group whose GPUs have different limits gets their mean: the same power, though not quite
        the pace of its slowest member. A clock limit is the lowest of the group, the highest clock
        without one.
        """
        control = hall.table("gpu_control")
        limit_w = self._enforced_w(hall)
        lowest_mhz = self._layout.sm_clock_max_mhz.copy()
        np.fmin.at(lowest_mhz, self._group, control["sm_clock_limit_mhz"])
        return Setpoints(
            power_cap_w=self._sum(limit_w) / self._layout.gpu_count,
            sm_clock_max_mhz=lowest_mhz,
            plant=np.where(self._layout.plant_levers, hall.lever_values(), np.nan),
        )

    def frame(self, telemetry: Telemetry, hall: HallFile | None) -> Readings:
        """Return ``telemetry`` as readings of devices; call once per published frame, in order.

        Args:
            telemetry: Of one site, without batch axes; power is the mean since the last frame.
            hall: Whose limits explain the clocks; None before it exists.
        """
        time_s = float(telemetry.time_s)
        readings = Readings.unmeasured(
            time_s=time_s, gpu_count=len(self._gpus), node_count=len(self._layout.nodes)
        )
        self._fill_gpus(readings.gpus, telemetry, time_s, hall)
        self._fill_nodes(readings.nodes, telemetry, time_s)
        readings.signals["value"] = telemetry.plant
        readings.signals["measure_time_s"] = time_s - telemetry.plant_age_s
        return readings

    def _enforced_w(self, hall: HallFile) -> FloatArray:
        requested_w = hall.table("gpu_control")["power_limit_requested_w"]
        other_w = hall.table("gpu_fault")["power_limit_other_w"]
        return np.asarray(np.minimum(requested_w, other_w), dtype=np.float64)

    def _sum(self, per_gpu: FloatArray) -> FloatArray:
        total = np.bincount(self._group, weights=per_gpu, minlength=self._layout.group_count)
        return total.astype(np.float64)

    def _fill_gpus(
        self, gpus: Records, telemetry: Telemetry, time_s: float, hall: HallFile | None
    ) -> None:
        for field, signal in _COPIED.items():
            gpus[field] = telemetry.group(signal)[self._group]
        gpus["measure_time_s"] = time_s - telemetry.groups_age_s[self._group]
        work_gpu_h = telemetry.group("work_gpu_h") / self._layout.gpu_count
        gpus["work_gpu_h"] = work_gpu_h[self._group]
        elapsed_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        self._energy_kwh += np.nan_to_num(gpus["power_w"]) * elapsed_s / J_PER_KWH
        gpus["energy_kwh"] = self._energy_kwh
        weight = min(1.0, elapsed_s / AVERAGED_S)
        lagged_w = self._average_w + weight * (gpus["power_w"] - self._average_w)
        self._average_w = np.where(np.isnan(self._average_w), gpus["power_w"], lagged_w)
        gpus["power_average_w"] = self._average_w
        gpus["workload_class"] = self._workload_classes(telemetry)
        if hall is not None:
            gpus["clocks_event_reasons"] = self._reasons(gpus, hall)
        for field, reason in _COUNTED.items():
            self._held_s[field][gpus["clocks_event_reasons"] & reason != 0] += elapsed_s
            gpus[field] = self._held_s[field]

    def _workload_classes(self, telemetry: Telemetry) -> NDArray[np.int64]:
        """Deal the classes' shares out to the group's GPUs in index order; the rest is idle."""
        shares = np.stack([telemetry.group(name) for name in WORKLOAD_SIGNALS], axis=-1)
        upto = np.cumsum(np.nan_to_num(shares), axis=-1)[self._group]
        passed = (self._place_in_group[:, None] >= upto).sum(axis=-1)
        return np.where(passed < len(WORKLOAD_SIGNALS), passed + 1, 0)

    def _reasons(self, gpus: Records, hall: HallFile) -> NDArray[np.int64]:
        ceiling_mhz = hall.table("gpu_control")["sm_clock_limit_mhz"]
        busy = gpus["gpu_util_ratio"] > IDLE_UTIL_RATIO
        slowed = busy & (gpus["sm_clock_mhz"] < 0.999 * self._gpus["sm_clock_max_mhz"])
        hot = gpus["gpu_temp_c"] >= THERMAL_SLOWDOWN_TEMP_C
        at_ceiling = gpus["sm_clock_mhz"] >= 0.999 * ceiling_mhz
        at_limit = gpus["power_w"] >= AT_LIMIT_RATIO * self._enforced_w(hall)
        # The mean of a group lies below its hungriest unit, whose cap holds all of them back.
        capped = at_limit | ~(at_ceiling | hot)
        reasons = np.where(busy, 0, GPU_IDLE).astype(np.int64)
        reasons[slowed & at_ceiling] |= APPLICATIONS_CLOCKS_SETTING
        reasons[slowed & capped] |= SW_POWER_CAP
        reasons[slowed & hot] |= SW_THERMAL_SLOWDOWN
        return reasons

    def _fill_nodes(self, nodes: Records, telemetry: Telemetry, time_s: float) -> None:
        for field in ("it_power_w", "it_energy_kwh"):
            nodes[field] = np.bincount(
                self._node_of_group, weights=telemetry.group(field), minlength=len(nodes)
            )
        inlet_c = np.full(len(nodes), -np.inf)
        np.fmax.at(inlet_c, self._node_of_group, telemetry.group("inlet_temp_c"))
        nodes["inlet_temp_c"] = np.where(np.isinf(inlet_c), np.nan, inlet_c)
        age_s = np.zeros(len(nodes))
        np.maximum.at(age_s, self._node_of_group, telemetry.groups_age_s)
        nodes["measure_time_s"] = time_s - age_s
