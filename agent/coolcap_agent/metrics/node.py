"""Metrics of the node agent: each GPU, labelled as NVIDIA's dcgm-exporter labels them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from coolcap_agent.drivers.base import GpuReading
from coolcap_agent.metrics.dcgm_names import dcgm_families
from coolcap_agent.metrics.families import Samples, counter, gauge, of_agent
from coolcap_agent.metrics.gpu_extras import GpuExtras
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.naming import PREFIX, metric_name
from coolcap_agent.node.sampler import GpuSample, GpuState, NodeSample

LABELS: Final = ("gpu", "UUID", "modelName", "hostname")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """One quantity of a GPU's reading."""

    name: str
    unit: str
    meaning: str
    read: Callable[[GpuReading], float]
    counts: bool = False


_FAMILIES: Final = (
    _Family(
        name="power_w",
        unit="W",
        meaning="power, from the energy counter where there is one",
        read=lambda r: r.power_w,
    ),
    _Family(
        name="power_limit_requested_w",
        unit="W",
        meaning="power limit last set by anybody",
        read=lambda r: r.power_limit_requested_w,
    ),
    _Family(
        name="power_limit_w",
        unit="W",
        meaning="power limit the device enforces",
        read=lambda r: r.power_limit_enforced_w,
    ),
    _Family(
        name="temp_c", unit="°C", meaning="temperature of the die", read=lambda r: r.gpu_temp_c
    ),
    _Family(
        name="memory_temp_c",
        unit="°C",
        meaning="temperature of the memory",
        read=lambda r: r.hbm_temp_c,
    ),
    _Family(
        name="sm_clock_mhz",
        unit="MHz",
        meaning="clock of the multiprocessors",
        read=lambda r: r.sm_clock_mhz,
    ),
    _Family(
        name="sm_clock_limit_mhz",
        unit="MHz",
        meaning="ceiling of the clock, absent without one",
        read=lambda r: r.sm_clock_limit_mhz,
    ),
    _Family(
        name="temp_margin_k",
        unit="K",
        meaning="distance of the die from its highest operating temperature",
        read=lambda r: r.temp_margin_k,
    ),
    _Family(
        name="utilization_ratio",
        unit="1",
        meaning="share of time a kernel was running",
        read=lambda r: r.gpu_util_ratio,
    ),
    _Family(
        name="memory_utilization_ratio",
        unit="1",
        meaning="share of time device memory was busy",
        read=lambda r: r.mem_util_ratio,
    ),
    _Family(
        name="energy_kwh",
        unit="kWh",
        meaning="energy used",
        read=lambda r: r.energy_kwh,
        counts=True,
    ),
    _Family(
        name="work_gpu_h",
        unit="GPU·h",
        meaning="useful work, in seconds of an uncapped GPU at full demand",
        read=lambda r: r.work_gpu_h,
        counts=True,
    ),
)


class NodeMetrics(Collector):
    """Keeps the newest sample and gives it to scrapers.

    Args:
        node_id: Id of the node.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._seen: tuple[NodeSample, LeaseSeen, Mapping[str, GpuExtras]] | None = None

    def put(
        self, sample: NodeSample, lease: LeaseSeen, extras: Mapping[str, GpuExtras] | None = None
    ) -> None:
        """Replace what is shown."""
        self._seen = (sample, lease, extras or {})

    def collect(self) -> Iterable[Metric]:
        """Give all families; nothing before the first sample."""
        if self._seen is None:
            return
        sample, lease, extras = self._seen
        yield from of_agent(self._node_id, lease, measure_time_s=sample.measure_time_s)
        yield from self._of_node(sample)
        yield self._inventory(sample.gpus)
        answers = {GpuState.OK, GpuState.READ_ONLY}
        yield gauge(
            f"{PREFIX}_gpu_up",
            "whether the GPU answers",
            LABELS,
            [(self._labels(gpu), float(gpu.state in answers)) for gpu in sample.gpus],
        )
        for family in _FAMILIES:
            name, factor = metric_name(family.name, family.unit, of="gpu")
            samples: Samples = [
                (self._labels(gpu), family.read(gpu.reading) * factor)
                for gpu in sample.gpus
                if gpu.reading is not None
            ]
            make = counter if family.counts else gauge
            yield make(name, family.meaning, LABELS, samples)
        yield gauge(
            f"{PREFIX}_gpu_thermal_ceiling_watts",
            "highest cap the thermal guard allows now; absent: it does not act",
            LABELS,
            [(self._labels(gpu), _extras_of(gpu, extras).thermal_ceiling_w) for gpu in sample.gpus],
        )
        yield from dcgm_families(
            [(self._labels(gpu), gpu.reading, _extras_of(gpu, extras)) for gpu in sample.gpus],
            labels=LABELS,
        )

    def _labels(self, gpu: GpuSample) -> list[str]:
        return [str(gpu.info.index), gpu.info.uuid, gpu.info.model, self._node_id]

    def _inventory(self, gpus: Sequence[GpuSample]) -> Metric:
        family = InfoMetricFamily(f"{PREFIX}_gpu", "what the GPU accepts", labels=LABELS)
        for gpu in gpus:
            limits = {
                "power_limit_min_watts": f"{gpu.info.power_limit_min_w:g}",
                "power_limit_max_watts": f"{gpu.info.power_limit_max_w:g}",
                "power_limit_default_watts": f"{gpu.info.power_limit_default_w:g}",
            }
            family.add_metric(self._labels(gpu), limits)
        return family

    def _of_node(self, sample: NodeSample) -> Iterator[Metric]:
        node = sample.node
        if node is None:
            return
        where = [self._node_id]
        for name, unit, meaning, number, make in (
            ("power_w", "W", "power at the server's input", node.it_power_w, gauge),
            ("inlet_temp_c", "°C", "air or coolant that enters", node.inlet_temp_c, gauge),
            ("energy_kwh", "kWh", "energy at the server's input", node.it_energy_kwh, counter),
        ):
            full, factor = metric_name(name, unit, of="node")
            yield make(full, meaning, ["hostname"], [(where, number * factor)])


def _extras_of(gpu: GpuSample, extras: Mapping[str, GpuExtras]) -> GpuExtras:
    return extras.get(gpu.info.uuid, GpuExtras())
