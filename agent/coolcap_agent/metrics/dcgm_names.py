"""The same readings under the names and units of NVIDIA's dcgm-exporter, for dashboards that exist.

Names, units and help follow its default counters (etc/default-counters.csv of dcgm-exporter). On a
host where dcgm-exporter runs as well, drop one of the two in the scrape config.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import Metric

from coolcap_agent.drivers.base import GpuReading
from coolcap_agent.metrics.families import Samples, gauge
from coolcap_agent.metrics.gpu_extras import GpuExtras

MJ_PER_KWH: Final = 3.6e9
"""Millijoules, DCGM's unit of energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    meaning: str
    read: Callable[[GpuReading], float]


_FIELDS: Final = (
    _Field(name="POWER_USAGE", meaning="Power draw (in W)", read=lambda r: r.power_w),
    _Field(
        name="TOTAL_ENERGY_CONSUMPTION",
        meaning="Total energy consumption since boot (in mJ)",
        read=lambda r: r.energy_kwh * MJ_PER_KWH,
    ),
    _Field(
        name="POWER_MGMT_LIMIT",
        meaning="Power limit asked of the device (in W)",
        read=lambda r: r.power_limit_requested_w,
    ),
    _Field(
        name="ENFORCED_POWER_LIMIT",
        meaning="Power limit the device enforces (in W)",
        read=lambda r: r.power_limit_enforced_w,
    ),
    _Field(name="SM_CLOCK", meaning="SM clock frequency (in MHz)", read=lambda r: r.sm_clock_mhz),
    _Field(name="GPU_TEMP", meaning="GPU temperature (in C)", read=lambda r: r.gpu_temp_c),
    _Field(name="MEMORY_TEMP", meaning="Memory temperature (in C)", read=lambda r: r.hbm_temp_c),
    _Field(
        name="GPU_UTIL", meaning="GPU utilization (in %)", read=lambda r: 100.0 * r.gpu_util_ratio
    ),
    _Field(
        name="MEM_COPY_UTIL",
        meaning="Memory utilization (in %)",
        read=lambda r: 100.0 * r.mem_util_ratio,
    ),
)


def dcgm_families(
    gpus: Sequence[tuple[Sequence[str], GpuReading | None, GpuExtras]], *, labels: Sequence[str]
) -> Iterator[Metric]:
    """Give the families of all GPUs.

    Args:
        gpus: Values of the labels, newest reading and the rest, by GPU.
        labels: Names of the labels.
    """
    for field in _FIELDS:
        samples: Samples = [
            (values, field.read(reading)) for values, reading, _ in gpus if reading is not None
        ]
        # All are gauges: as a counter the name would have to end in _total, which DCGM's does not.
        yield gauge(f"DCGM_FI_DEV_{field.name}", field.meaning, labels, samples)
    xids: Samples = [
        (values, 0.0 if math.isnan(extras.xid) else extras.xid) for values, _, extras in gpus
    ]
    yield gauge("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered", labels, xids)
