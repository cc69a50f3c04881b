"""Messages of the plant agent, to and from what it computes with."""

import math
from collections.abc import Mapping, Sequence

from coolcap_agent.daemon import wire
from coolcap_agent.daemon.commands import Answer, Command, Result
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import LeverInfo
from coolcap_agent.plant.limits import lever_key
from coolcap_agent.plant.sampler import LeverSample, PlantSample, SignalSample
from coolcap_agent.plant.state import PlantState
from coolcap_envs.contract.signals import PLANT_SIGNALS
from coolcap_proto.v1 import common_pb2, plant_agent_pb2


def command_of(request: plant_agent_pb2.SetSetpointsRequest) -> Command:
    """Return a request as a command."""
    answers = request.HasField("answers_time")
    return Command(
        lease_id=request.lease_id,
        epoch=request.epoch,
        sequence=request.sequence,
        answers_time_s=wire.time_of(request.answers_time) if answers else None,
        targets=[(lever_key(setpoint.lever), setpoint.value) for setpoint in request.setpoints],
        content=request.SerializeToString(deterministic=True),
    )


def answer_message(answer: Answer) -> plant_agent_pb2.SetSetpointsResponse:
    """Return an answer."""
    return plant_agent_pb2.SetSetpointsResponse(
        epoch=answer.epoch,
        sequence=answer.sequence,
        answers_time=(
            None if answer.answers_time_s is None else wire.timestamp(answer.answers_time_s)
        ),
        apply_time=wire.timestamp(answer.apply_time_s),
        results=[_result_message(result) for result in answer.results],
    )


def _result_message(result: Result) -> plant_agent_pb2.SetpointResult:
    effective = result.in_force.effective if result.in_force else math.nan
    return plant_agent_pb2.SetpointResult(
        lever=result.key[1],
        outcome=wire.outcome_value(result.outcome),
        setpoint_asked=result.asked,
        setpoint_requested=result.written,
        setpoint_effective=wire.optional(effective),
        message=result.message,
    )


def capabilities_message(
    *,
    plant_id: str,
    agent_version: str,
    driver: str,
    lease_ttl_max_s: float,
    sample_period_s: float,
    levers: Sequence[tuple[LeverInfo, Spec]],
) -> plant_agent_pb2.PlantCapabilities:
    """Return what a plant has and allows."""
    return plant_agent_pb2.PlantCapabilities(
        plant_id=plant_id,
        agent_version=agent_version,
        driver=driver,
        lease_ttl_max=wire.duration(lease_ttl_max_s),
        sampling_period=wire.duration(sample_period_s),
        levers=[_lever_message(info, spec) for info, spec in levers],
        signals=[signal.name for signal in PLANT_SIGNALS],
    )


def _lever_message(info: LeverInfo, spec: Spec) -> plant_agent_pb2.Lever:
    return plant_agent_pb2.Lever(
        name=info.name,
        low=spec.low,
        high=spec.high,
        unit=info.unit,
        slew_per_minute=60.0 * min(spec.rise_max_per_s, spec.fall_max_per_s),
        commandable=not spec.refusal,
        not_commandable_reason=spec.refusal,
    )


def telemetry_message(
    sample: PlantSample,
    *,
    plant_id: str,
    sequence: int,
    boot_id: str,
    lease: common_pb2.LeaseStatus,
    states: Mapping[str, plant_agent_pb2.LeverState.ValueType],
    commanded: Mapping[str, float],
    faults: Mapping[str, str],
    plant_state: PlantState = PlantState.LOCAL,
    plant_state_reason: str = "",
) -> plant_agent_pb2.PlantTelemetry:
    """Return a sample as telemetry.

    Args:
        sample: What was read.
        plant_id: The plant's name.
        sequence: Number of the message since the process began.
        boot_id: The process.
        lease: State of the lease.
        states: Who decides, by lever.
        commanded: What was last written under the live lease, by lever.
        faults: What is wrong, by lever.
        plant_state: State of the agent.
        plant_state_reason: Why it is in it.
    """
    return plant_agent_pb2.PlantTelemetry(
        plant_id=plant_id,
        measure_time=wire.timestamp(sample.measure_time_s),
        sequence=sequence,
        boot_id=boot_id,
        readings=[_reading_message(signal) for signal in sample.signals],
        levers=[
            plant_agent_pb2.LeverReading(
                lever=lever.info.name,
                setpoint_requested=commanded.get(lever.info.name),
                setpoint_effective=_effective(lever),
                state=states[lever.info.name],
                message=faults.get(lever.info.name, ""),
            )
            for lever in sample.levers
        ],
        lease=lease,
        plant_state=plant_agent_pb2.PlantState.Value(f"PLANT_STATE_{plant_state.name}"),
        plant_state_reason=plant_state_reason,
    )


def _effective(lever: LeverSample) -> float | None:
    return wire.optional(lever.reading.value) if lever.reading else None


def _reading_message(sample: SignalSample) -> plant_agent_pb2.SignalReading:
    reading = sample.reading
    known = math.isfinite(reading.measure_time_s)
    measured = wire.timestamp(reading.measure_time_s) if known else None
    return plant_agent_pb2.SignalReading(
        signal=reading.signal,
        value=wire.optional(reading.value),
        measure_time=measured,
        validity=common_pb2.Validity.Value(f"VALIDITY_{sample.validity.name}"),
        origin=f"{reading.origin}: {reading.problem}" if reading.problem else reading.origin,
    )
