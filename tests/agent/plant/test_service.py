"""The plant agent over gRPC: own limits and slew, take-over and hand-back, what cannot be read."""

import asyncio
import math
from pathlib import Path

import grpc.aio
import numpy as np
import pytest

from coolcap_agent import certs
from coolcap_agent.sim.hall_layout import Fault
from coolcap_envs.contract.signals import PLANT_COLUMN
from coolcap_proto.v1 import common_pb2, plant_agent_pb2
from support.small_plant import FLOW, SUPPLY, SmallPlantAgent, lever_of

CHW = "chw_supply_temp_setpoint_c"
TTL_S = 3.0


@pytest.fixture
def plant(tmp_path: Path, pki: certs.Pki) -> SmallPlantAgent:
    return SmallPlantAgent(tmp_path, pki)


def test_capabilities_name_every_lever_and_why_one_is_not_commandable(
    plant: SmallPlantAgent,
) -> None:
    async def play() -> plant_agent_pb2.PlantCapabilities:
        async with plant.serve() as served:
            return await served.client("viewer").GetCapabilities(
                common_pb2.GetCapabilitiesRequest(), timeout=5
            )

    levers = {lever.name: lever for lever in asyncio.run(play()).levers}

    assert (levers[SUPPLY].low, levers[SUPPLY].high) == (16.0, 25.0)
    assert (levers[SUPPLY].unit, levers[SUPPLY].slew_per_minute) == ("°C", 0.5)
    assert levers[SUPPLY].commandable
    assert not levers[CHW].commandable
    assert f"has no [limits.levers.{CHW}]" in levers[CHW].not_commandable_reason


def test_setpoints_are_set_read_back_and_given_back_on_release(plant: SmallPlantAgent) -> None:
    async def play() -> None:
        async with plant.serve() as served:
            lease = await served.acquire()
            answer = await served.set(lease, **{SUPPLY: 21.0, FLOW: 0.7})
            assert [r.outcome for r in answer.results] == [common_pb2.OUTCOME_APPLIED] * 2
            assert [r.setpoint_effective for r in answer.results] == [21.0, 0.7]
            assert plant.commanded(SUPPLY) == 21.0
            state = lever_of(await served.telemetry(), SUPPLY)
            assert state.state == plant_agent_pb2.LEVER_STATE_COMMANDED
            assert (state.setpoint_requested, state.setpoint_effective) == (21.0, 21.0)

            plant.clock.time_s += 60.0
            released = await served.client().ReleaseLease(
                common_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch),
                timeout=5,
            )
            assert {(r.lever, r.outcome) for r in released.results} == {
                (SUPPLY, common_pb2.OUTCOME_RESTORED),
                (FLOW, common_pb2.OUTCOME_RESTORED),
            }
            assert math.isnan(plant.commanded(SUPPLY))
            state = lever_of(await served.telemetry(), SUPPLY)
            assert state.state == plant_agent_pb2.LEVER_STATE_LOCAL
            assert not state.HasField("setpoint_requested")

    asyncio.run(play())


def test_controller_that_vanishes_has_its_setpoints_handed_back_within_their_slew(
    plant: SmallPlantAgent,
) -> None:
    """
    Up at 0.5 K/min, so a setpoint that was lowered by 3 K needs six minutes to be back.
    """

    async def play() -> list[float]:
        async with plant.serve() as served:
            lease = await served.acquire()
            await served.set(lease, **{SUPPLY: 17.0})
            plant.mono.time_s += TTL_S
            plant.clock.time_s += 60.0
            await served.agent.guard.tick()
            seen = [plant.commanded(SUPPLY)]
            telemetry = await served.telemetry()
            assert lever_of(telemetry, SUPPLY).state == plant_agent_pb2.LEVER_STATE_RESTORING
            assert telemetry.lease.state == common_pb2.LEASE_STATE_RESTORING
            while not math.isnan(seen[-1]):
                plant.clock.time_s += 60.0
                await served.agent.sample()
                seen.append(plant.commanded(SUPPLY))
            telemetry = await served.telemetry()
            assert telemetry.lease.state == common_pb2.LEASE_STATE_FREE
            return seen

    assert asyncio.run(play()) == pytest.approx(
        [17.5, 18.0, 18.5, 19.0, 19.5, math.nan], nan_ok=True
    )


def test_hand_back_in_one_step_where_the_config_says_so(plant: SmallPlantAgent) -> None:
    async def play() -> float:
        async with plant.serve(plant.config(top="ramp_back = false")) as served:
            lease = await served.acquire()
            await served.set(lease, **{SUPPLY: 17.0})
            plant.mono.time_s += TTL_S
            await served.agent.guard.tick()
            return plant.commanded(SUPPLY)

    assert math.isnan(asyncio.run(play()))


def test_change_faster_than_the_slew_is_clamped_to_it(plant: SmallPlantAgent) -> None:
    async def play() -> plant_agent_pb2.SetpointResult:
        async with plant.serve() as served:
            lease = await served.acquire()
            await served.set(lease, **{SUPPLY: 20.0})
            plant.clock.time_s += 30.0
            return (await served.set(lease, **{SUPPLY: 24.0})).results[0]

    result = asyncio.run(play())

    assert result.outcome == common_pb2.OUTCOME_CLAMPED
    assert (result.setpoint_asked, result.setpoint_requested) == (24.0, 20.25)
    assert (
        "supply_air_temp_setpoint_c 24.00 °C is further from 20.00 °C than 30 s allow at 0.5"
        in (result.message)
    )


@pytest.mark.parametrize(
    ("lever", "value", "outcome", "part"),
    [
        (SUPPLY, 45.0, common_pb2.OUTCOME_REFUSED_OUT_OF_RANGE, "45.00 °C is outside 10.00 to 35"),
        (CHW, 12.0, common_pb2.OUTCOME_REFUSED_NOT_COMMANDABLE, "has no [limits.levers."),
        ("no_such_lever", 1.0, common_pb2.OUTCOME_REFUSED_UNKNOWN_DEVICE, "known are supply_air"),
    ],
)
def test_setpoint_that_may_not_be_written_is_refused_for_its_lever_alone(
    plant: SmallPlantAgent, lever: str, value: float, outcome: int, part: str
) -> None:
    async def play() -> plant_agent_pb2.SetSetpointsResponse:
        async with plant.serve() as served:
            return await served.set(await served.acquire(), **{lever: value, FLOW: 0.7})

    first, second = asyncio.run(play()).results

    assert first.outcome == outcome
    assert part in first.message
    assert not first.HasField("setpoint_requested")
    assert second.outcome == common_pb2.OUTCOME_APPLIED


def test_setpoint_that_is_no_number_refuses_the_whole_command(plant: SmallPlantAgent) -> None:
    async def play() -> tuple[grpc.StatusCode, str]:
        async with plant.serve() as served:
            lease = await served.acquire()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served.set(lease, **{FLOW: 0.7, SUPPLY: math.nan})
            return caught.value.code(), caught.value.details() or ""

    code, message = asyncio.run(play())

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "supply_air_temp_setpoint_c nan °C is not a finite number" in message
    assert math.isnan(plant.commanded(FLOW))


def test_lever_that_somebody_else_moved_is_told_and_not_fought(plant: SmallPlantAgent) -> None:
    async def play() -> None:
        async with plant.serve() as served:
            lease = await served.acquire()
            await served.set(lease, **{SUPPLY: 21.0})
            plant.command_behind_its_back(SUPPLY, 18.0)
            state = lever_of(await served.telemetry(), SUPPLY)
            assert state.state == plant_agent_pb2.LEVER_STATE_OVERRIDDEN
            assert "leaving it alone" in state.message
            assert plant.commanded(SUPPLY) == 18.0

    asyncio.run(play())


def test_lever_that_does_not_answer_is_told_and_the_others_go_on(plant: SmallPlantAgent) -> None:
    async def play() -> None:
        async with plant.serve() as served:
            plant.fault(SUPPLY, Fault.LOST)
            state = lever_of(await served.telemetry(), SUPPLY)
            assert state.state == plant_agent_pb2.LEVER_STATE_UNREACHABLE
            assert not state.HasField("setpoint_effective")
            lease = await served.acquire()
            first, second = (await served.set(lease, **{SUPPLY: 21.0, FLOW: 0.7})).results
            assert first.outcome == common_pb2.OUTCOME_DEVICE_UNREACHABLE
            assert second.outcome == common_pb2.OUTCOME_APPLIED

    asyncio.run(play())


def test_each_signal_says_whether_it_may_be_used(plant: SmallPlantAgent) -> None:
    def spoil() -> None:
        readings = plant.small.hall.table("signal_reading")
        for half in range(readings.shape[0]):
            rows = readings[half]
            rows["value"][PLANT_COLUMN["supply_air_temp_c"]] = 300.0
            rows["value"][PLANT_COLUMN["cdu_flow_ratio"]] = np.nan
            rows["measure_time_s"][PLANT_COLUMN["wet_bulb_temp_c"]] -= 1000.0

    async def play() -> plant_agent_pb2.PlantTelemetry:
        async with plant.serve() as served:
            spoil()
            return await served.telemetry()

    readings = {reading.signal: reading for reading in asyncio.run(play()).readings}

    assert readings["it_power_w"].validity == common_pb2.VALIDITY_VALID
    assert readings["it_power_w"].measure_time.seconds == 1_000_000
    assert readings["supply_air_temp_c"].validity == common_pb2.VALIDITY_OUT_OF_RANGE
    assert readings["wet_bulb_temp_c"].validity == common_pb2.VALIDITY_STALE
    assert readings["cdu_flow_ratio"].validity == common_pb2.VALIDITY_NOT_MEASURED
    assert not readings["cdu_flow_ratio"].HasField("value")


def test_command_that_answers_telemetry_lets_the_simulated_hall_go_on(
    plant: SmallPlantAgent,
) -> None:
    async def play() -> float:
        async with plant.serve() as served:
            telemetry = await served.telemetry()
            request = served.request(await served.acquire())
            request.answers_time.CopyFrom(telemetry.measure_time)
            await served.client().SetSetpoints(request, timeout=5)
            return float(plant.small.hall.table("plant_ack")["answers_time_s"][0])

    assert asyncio.run(play()) == plant.clock.time_s
