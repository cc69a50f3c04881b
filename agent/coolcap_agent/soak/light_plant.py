"""A plant agent of which only the equipment is simulated: levers take effect at once."""

import math
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.session import Session, SessionPort
from coolcap_agent.daemon.wire import duration, timestamp
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_agent.soak.light_agent import LEASE_TTL_MAX_S, LightAgent
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import PLANT_SIGNALS
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc

Request = plant_agent_pb2.PlantAgentSessionRequest
Response = plant_agent_pb2.PlantAgentSessionResponse

START: Final = {
    "supply_air_temp_setpoint_c": 20.0,
    "chw_supply_temp_setpoint_c": 10.0,
    "cw_supply_temp_setpoint_c": 24.0,
    "air_flow_setpoint_ratio": 0.9,
}
"""Levers of the simulated plant and their values before anybody commands."""
_READINGS: Final = {
    "supply_air_temp_c": 20.0,
    "return_air_temp_c": 33.0,
    "inlet_temp_max_c": 23.0,
    "dew_point_c": 9.0,
    "air_flow_ratio": 0.9,
    "chw_supply_temp_c": 10.0,
    "chw_return_temp_c": 16.0,
    "cw_supply_temp_c": 24.0,
    "cw_return_temp_c": 29.0,
    "outdoor_temp_c": 18.0,
    "wet_bulb_temp_c": 13.0,
    "it_power_w": 7.0e6,
    "crah_fan_power_w": 2.5e5,
    "chiller_power_w": 7.0e5,
    "pump_power_w": 1.5e5,
    "tower_fan_power_w": 5.0e4,
    "loss_power_w": 3.0e5,
    "facility_power_w": 8.5e6,
    "crah_available_ratio": 1.0,
    "chiller_available_ratio": 1.0,
    "price_usd_per_kwh": 0.1,
    "grid_carbon_g_per_kwh": 300.0,
}
"""Constant and plausible: this fleet measures the controller, not the plant."""


class LightPlant(
    LightAgent,
    SessionPort[Request, plant_agent_pb2.SetSetpointsRequest, Response],
    plant_agent_pb2_grpc.PlantAgentServicer,
):
    """The simulated plant agent. Arguments as of ``LightNode``."""

    def __init__(self, name: str, *, folder: Path, period_s: float) -> None:
        super().__init__(name, folder=folder)
        self.telemetry: Latest[Response] = Latest()
        self._period_s = period_s
        self._boot_id = secrets.token_hex(8)
        self._setpoints = dict(START)

    async def GetCapabilities(  # noqa: N802
        self, request: common_pb2.GetCapabilitiesRequest, context: CallContext
    ) -> plant_agent_pb2.PlantCapabilities:
        """Return what this plant has and allows."""
        return plant_agent_pb2.PlantCapabilities(
            plant_id=self.name,
            agent_version="simulated",
            driver="simulated",
            lease_ttl_max=duration(LEASE_TTL_MAX_S),
            sampling_period=duration(self._period_s),
            levers=[
                plant_agent_pb2.Lever(
                    name=lever.name,
                    low=lever.low,
                    high=lever.high,
                    unit=lever.unit,
                    slew_per_minute=1.0,
                    commandable=True,
                )
                for lever in PLANT_LEVERS
                if lever.name in START
            ],
            signals=[signal.name for signal in PLANT_SIGNALS],
        )

    async def GetTelemetry(  # noqa: N802
        self, request: common_pb2.GetTelemetryRequest, context: CallContext
    ) -> plant_agent_pb2.PlantTelemetry:
        """Return the newest reading."""
        return self.reading().telemetry

    async def SetSetpoints(  # noqa: N802
        self, request: plant_agent_pb2.SetSetpointsRequest, context: CallContext
    ) -> plant_agent_pb2.SetSetpointsResponse:
        """Set setpoints and read them back."""
        try:
            return (await self.carry_out(request)).set_setpoints
        except RefusedError as refused:
            await refused.end_call(context)
            raise

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[Request], context: CallContext
    ) -> AsyncIterator[Response]:
        """Serve a controller."""
        async with aclosing(Session(self, self.telemetry).stream(request_iterator)) as responses:
            async for response in responses:
                yield response

    def command_of(self, request: Request) -> plant_agent_pb2.SetSetpointsRequest | None:
        """Return the command in a session message, if it is one."""
        return request.set_setpoints if request.HasField("set_setpoints") else None

    def sequence_of(self, command: plant_agent_pb2.SetSetpointsRequest) -> int:
        """Return the sequence of a command."""
        return command.sequence

    def renewal_of(self, request: Request) -> common_pb2.RenewLeaseRequest | None:
        """Return the renewal in a session message, if it is one."""
        return request.renew_lease if request.HasField("renew_lease") else None

    def renew(self, renewal: common_pb2.RenewLeaseRequest) -> Response:
        """Renew the lease. Raises RefusedError."""
        return Response(lease=self.renewed(renewal))

    async def carry_out(self, command: plant_agent_pb2.SetSetpointsRequest) -> Response:
        """Carry out a command. Raises RefusedError."""
        self.leases.require(lease_id=command.lease_id, epoch=command.epoch)
        self._written = self._written or bool(command.setpoints)
        answer = Response()
        result = answer.set_setpoints
        result.epoch, result.sequence = command.epoch, command.sequence
        for wanted in command.setpoints:
            self._setpoints[wanted.lever] = wanted.value
            result.results.add(
                lever=wanted.lever,
                outcome=common_pb2.OUTCOME_APPLIED,
                setpoint_asked=wanted.value,
                setpoint_requested=wanted.value,
                setpoint_effective=wanted.value,
            )
        return answer

    def refusal(self, refused: RefusedError, *, sequence: int) -> Response:
        """Return a refusal as a session message."""
        return Response(
            refusal=refused.message_for_session(sequence=sequence, epoch=self.leases.epoch)
        )

    def sample(self) -> None:
        """Publish a reading; restore if the lease is over."""
        self.restore_if_over()
        self.telemetry.put(self.reading())

    def reading(self) -> Response:
        """Return a new reading."""
        message = Response()
        telemetry = message.telemetry
        telemetry.plant_id = self.name
        telemetry.measure_time.CopyFrom(timestamp(math.floor(time.time() * 1e6) / 1e6))
        telemetry.sequence = self.telemetry.version + 1
        telemetry.boot_id = self._boot_id
        for signal, value in _READINGS.items():
            telemetry.readings.add(signal=signal, value=value, validity=common_pb2.VALIDITY_VALID)
        for lever, value in self._setpoints.items():
            telemetry.levers.add(
                lever=lever,
                setpoint_requested=value,
                setpoint_effective=value,
                state=plant_agent_pb2.LEVER_STATE_COMMANDED,
            )
        return message

    def put_back(self) -> None:
        """Put all levers back to where they were before."""
        self._setpoints = dict(START)
