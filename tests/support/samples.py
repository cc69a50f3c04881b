"""One sample of each daemon, made by hand, for what shows samples to others."""

from math import nan

from agent.controller.fake_plant import LoopBench
from coolcap_agent.controller.modes import Mode
from coolcap_agent.drivers.base import GpuInfo, GpuReading, NodeReading, SignalReading
from coolcap_agent.metrics.controller import ControllerMetrics
from coolcap_agent.node.sampler import GpuSample, GpuState, NodeSample
from coolcap_agent.plant.sampler import PlantSample, SignalSample
from coolcap_agent.plant.validity import Validity
from coolcap_agent.sink.base import SinkStatus
from coolcap_agent.telemetry_log.recorder import AgentSeen
from coolcap_envs.contract.meters import Totals
from support.small_site import PLANT_READINGS

TIME_S = 1_767_571_200.0


def node_sample() -> NodeSample:
    """Return a node with a GPU that tells no memory temperature, and one that does not answer."""
    infos = [
        GpuInfo(
            uuid=f"GPU-{i}",
            index=i,
            model="test",
            power_limit_min_w=100.0,
            power_limit_max_w=500.0,
            power_limit_default_w=500.0,
            sm_clock_max_mhz=2000.0,
        )
        for i in range(2)
    ]
    reading = GpuReading(
        uuid="GPU-0",
        measure_time_s=TIME_S,
        power_w=400.0,
        energy_kwh=2.0,
        power_limit_requested_w=450.0,
        power_limit_enforced_w=450.0,
        gpu_temp_c=60.0,
        hbm_temp_c=nan,
        sm_clock_mhz=1800.0,
        gpu_util_ratio=0.9,
        mem_util_ratio=0.4,
        work_rate_ratio=1.0,
        work_gpu_h=2.0,
        latency_ratio=0.0,
        workload_class="training",
    )
    return NodeSample(
        measure_time_s=TIME_S,
        gpus=[
            GpuSample(info=infos[0], state=GpuState.OK, reading=reading),
            GpuSample(info=infos[1], state=GpuState.LOST, reading=None),
        ],
        node=NodeReading(
            measure_time_s=TIME_S, it_power_w=960.0, it_energy_kwh=5.0, inlet_temp_c=22.0
        ),
    )


def plant_sample() -> PlantSample:
    """Return a plant whose dew point is not to be trusted."""
    signals = [
        SignalSample(
            reading=SignalReading(signal=name, value=value, measure_time_s=TIME_S, origin="test"),
            validity=Validity.STALE if name == "dew_point_c" else Validity.VALID,
        )
        for name, value in PLANT_READINGS.items()
    ]
    return PlantSample(measure_time_s=TIME_S, signals=signals, levers=[])


def fill_controller(metrics: ControllerMetrics) -> None:
    """Show the small site in shadow, with an agent that is lost and lines that were dropped."""
    bench = LoopBench(mode=Mode.SHADOW)
    bench.decide()
    agents = [
        AgentSeen(name=name, kind="node", connected=live, lease_held=False, age_s=1.0)
        for name, live in (("node-1", True), ("node-2", False))
    ]
    metrics.put(
        bench.loop.state,
        agents,
        totals=Totals(elapsed_s=30.0, covered_s=30.0, it_energy_kwh=1.0, facility_energy_kwh=1.2),
        log=SinkStatus(written=100, waiting=0, dropped=3, problem=""),
    )
