"""Messages of the node agent, to and from what it computes with."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from coolcap_agent.daemon import wire
from coolcap_agent.daemon.commands import Answer, Command, Result
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import GpuInfo, GpuReading
from coolcap_agent.journal import Key
from coolcap_agent.node.limits import clock_key, power_key
from coolcap_agent.node.sampler import GpuSample, NodeSample
from coolcap_proto.v1 import common_pb2, node_agent_pb2

WORKLOAD_CLASSES: Final[Mapping[str, node_agent_pb2.WorkloadClass.ValueType]] = {
    "training": node_agent_pb2.WORKLOAD_CLASS_TRAINING,
    "prefill": node_agent_pb2.WORKLOAD_CLASS_PREFILL,
    "decode": node_agent_pb2.WORKLOAD_CLASS_DECODE,
    "memory_bound": node_agent_pb2.WORKLOAD_CLASS_MEMORY_BOUND,
}
CLOCKS_EVENT_REASONS: Final[Mapping[str, node_agent_pb2.ClocksEventReason.ValueType]] = {
    "gpu_idle": node_agent_pb2.CLOCKS_EVENT_REASON_IDLE,
    "applications_clocks_setting": node_agent_pb2.CLOCKS_EVENT_REASON_CLOCK_SETTING,
    "sw_power_cap": node_agent_pb2.CLOCKS_EVENT_REASON_SW_POWER_CAP,
    "hw_slowdown": node_agent_pb2.CLOCKS_EVENT_REASON_HW_SLOWDOWN,
    "sync_boost": node_agent_pb2.CLOCKS_EVENT_REASON_SYNC_BOOST,
    "sw_thermal_slowdown": node_agent_pb2.CLOCKS_EVENT_REASON_SW_THERMAL_SLOWDOWN,
    "hw_thermal_slowdown": node_agent_pb2.CLOCKS_EVENT_REASON_HW_THERMAL_SLOWDOWN,
    "hw_power_brake_slowdown": node_agent_pb2.CLOCKS_EVENT_REASON_HW_POWER_BRAKE,
    "display_clock_setting": node_agent_pb2.CLOCKS_EVENT_REASON_DISPLAY_CLOCK,
    "board_limit": node_agent_pb2.CLOCKS_EVENT_REASON_BOARD_LIMIT,
    "reliability": node_agent_pb2.CLOCKS_EVENT_REASON_RELIABILITY,
}


def command_of(request: node_agent_pb2.SetPowerCapsRequest) -> Command:
    """Return a request as a command."""
    targets: list[tuple[Key, float]] = []
    for cap in request.power_caps:
        if cap.HasField("power_cap_w"):
            targets.append((power_key(cap.gpu_uuid), cap.power_cap_w))
        if cap.HasField("sm_clock_max_mhz"):
            targets.append((clock_key(cap.gpu_uuid), cap.sm_clock_max_mhz))
    answers = request.HasField("answers_time")
    return Command(
        lease_id=request.lease_id,
        epoch=request.epoch,
        sequence=request.sequence,
        answers_time_s=wire.time_of(request.answers_time) if answers else None,
        targets=targets,
        content=request.SerializeToString(deterministic=True),
    )


def answer_message(
    request: node_agent_pb2.SetPowerCapsRequest, answer: Answer
) -> node_agent_pb2.SetPowerCapsResponse:
    """Return an answer, with one entry per GPU of the request."""
    results = {result.key: result for result in answer.results}
    return node_agent_pb2.SetPowerCapsResponse(
        epoch=answer.epoch,
        sequence=answer.sequence,
        answers_time=(
            None if answer.answers_time_s is None else wire.timestamp(answer.answers_time_s)
        ),
        apply_time=wire.timestamp(answer.apply_time_s),
        results=[
            _result_message(
                cap, results.get(power_key(cap.gpu_uuid)), results.get(clock_key(cap.gpu_uuid))
            )
            for cap in request.power_caps
        ],
    )


def _result_message(
    cap: node_agent_pb2.PowerCap, result: Result | None, clock: Result | None
) -> node_agent_pb2.PowerCapResult:
    message = node_agent_pb2.PowerCapResult(gpu_uuid=cap.gpu_uuid)
    texts: list[str] = []
    if result is not None:
        message.outcome = wire.outcome_value(result.outcome)
        message.power_cap_w = result.asked
        if result.in_force is not None:
            _set_limits(message, result.in_force.requested, result.in_force.effective)
        texts.append(result.message)
    if clock is not None:
        message.sm_clock_outcome = wire.outcome_value(clock.outcome)
        message.sm_clock_max_mhz = clock.asked
        if clock.in_force is not None and math.isfinite(clock.in_force.effective):
            message.sm_clock_limit_mhz = clock.in_force.effective
        texts.append(clock.message)
    message.message = "; ".join(text for text in texts if text)
    return message


def _set_limits(
    message: node_agent_pb2.PowerCapResult, requested_w: float, enforced_w: float
) -> None:
    if math.isfinite(requested_w):
        message.power_limit_requested_w = requested_w
    if math.isfinite(enforced_w):
        message.power_limit_enforced_w = enforced_w


def capabilities_message(
    *,
    node_id: str,
    agent_version: str,
    driver: str,
    lease_ttl_max_s: float,
    sample_period_s: float,
    gpus: Sequence[tuple[GpuInfo, Spec, Spec]],
) -> node_agent_pb2.NodeCapabilities:
    """Return what a node has and allows; each GPU with its power cap and its clock ceiling."""
    return node_agent_pb2.NodeCapabilities(
        node_id=node_id,
        agent_version=agent_version,
        driver=driver,
        lease_ttl_max=wire.duration(lease_ttl_max_s),
        sampling_period=wire.duration(sample_period_s),
        gpus=[_gpu_capabilities(info, spec, clock) for info, spec, clock in gpus],
    )


def _gpu_capabilities(info: GpuInfo, spec: Spec, clock: Spec) -> node_agent_pb2.GpuCapabilities:
    return node_agent_pb2.GpuCapabilities(
        gpu_uuid=info.uuid,
        gpu_index=info.index,
        gpu_model=info.model,
        power_limit_min_w=info.power_limit_min_w,
        power_limit_max_w=info.power_limit_max_w,
        power_limit_default_w=info.power_limit_default_w,
        power_cap_min_w=spec.low,
        power_cap_max_w=spec.high,
        power_cap_slew_w_per_s=wire.optional(spec.rise_max_per_s),
        sm_clock_min_mhz=None if clock.refusal else clock.low,
        sm_clock_max_mhz=wire.optional(info.sm_clock_max_mhz),
        commandable=not spec.refusal,
        not_commandable_reason=spec.refusal,
    )


def telemetry_message(
    sample: NodeSample,
    *,
    node_id: str,
    sequence: int,
    boot_id: str,
    lease: common_pb2.LeaseStatus,
    faults: Mapping[str, str],
) -> node_agent_pb2.NodeTelemetry:
    """Return a sample as telemetry.

    Args:
        sample: What was read.
        node_id: The node's name.
        sequence: Number of the message since the process began.
        boot_id: The process.
        lease: State of the lease.
        faults: What is wrong, by GPU.
    """
    message = node_agent_pb2.NodeTelemetry(
        node_id=node_id,
        measure_time=wire.timestamp(sample.measure_time_s),
        sequence=sequence,
        boot_id=boot_id,
        lease=lease,
        gpus=[_gpu_telemetry(gpu, faults.get(gpu.info.uuid, "")) for gpu in sample.gpus],
    )
    if sample.node is not None:
        for field in ("it_power_w", "it_energy_kwh", "inlet_temp_c"):
            _set_measured(message, field, getattr(sample.node, field))
    return message


MEASURED: Final = (
    "power_w",
    "energy_kwh",
    "power_limit_requested_w",
    "power_limit_enforced_w",
    "gpu_temp_c",
    "hbm_temp_c",
    "sm_clock_mhz",
    "sm_clock_limit_mhz",
    "gpu_util_ratio",
    "mem_util_ratio",
    "work_rate_ratio",
    "work_gpu_h",
    "latency_ratio",
)
"""Fields that ``GpuReading`` and ``GpuTelemetry`` have in common."""


def _gpu_telemetry(gpu: GpuSample, fault: str) -> node_agent_pb2.GpuTelemetry:
    message = node_agent_pb2.GpuTelemetry(
        gpu_uuid=gpu.info.uuid,
        gpu_index=gpu.info.index,
        state=node_agent_pb2.GpuState.Value(f"GPU_STATE_{gpu.state.name}"),
        message=fault,
    )
    if gpu.reading is not None:
        _fill_reading(message, gpu.reading, work_measured=gpu.work_measured)
    return message


def _fill_reading(
    message: node_agent_pb2.GpuTelemetry, reading: GpuReading, *, work_measured: bool
) -> None:
    for field in MEASURED:
        _set_measured(message, field, getattr(reading, field))
    if math.isfinite(reading.work_rate_ratio):
        message.work_rate_source = (
            node_agent_pb2.WORK_RATE_SOURCE_APPLICATION
            if work_measured
            else node_agent_pb2.WORK_RATE_SOURCE_CLOCK_NORMALISED
        )
    if reading.workload_class in WORKLOAD_CLASSES:
        message.workload_class = WORKLOAD_CLASSES[reading.workload_class]
    message.clocks_event_reasons.extend(
        CLOCKS_EVENT_REASONS[name]
        for name in reading.clocks_event_reasons
        if name in CLOCKS_EVENT_REASONS
    )


def _set_measured(
    message: node_agent_pb2.NodeTelemetry | node_agent_pb2.GpuTelemetry, field: str, value: float
) -> None:
    if math.isfinite(value):
        setattr(message, field, value)
