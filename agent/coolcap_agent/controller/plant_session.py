"""The session with the plant agent: capabilities and telemetry in, setpoints out."""

from collections.abc import AsyncIterator, Callable, Mapping

import grpc.aio
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from coolcap_agent.controller.agent_address import AgentConfig
from coolcap_agent.controller.fleet_state import FleetState
from coolcap_agent.controller.lease_client import HeldLease
from coolcap_agent.controller.node_session import TAKEN
from coolcap_agent.controller.session import (
    CALL_DEADLINE_S,
    AgentSession,
    Answer,
    Identity,
    IdentityError,
)
from coolcap_agent.controller.wire import plant_row
from coolcap_agent.daemon.wire import time_of
from coolcap_agent.logging import FaultLog
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc


class PlantSession(
    AgentSession[
        plant_agent_pb2.PlantAgentSessionRequest, plant_agent_pb2.PlantAgentSessionResponse
    ]
):
    """The plant agent. Devices of commands are levers."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        identity: Identity,
        faults: FaultLog,
        on_telemetry: Callable[[str], None],
        state: FleetState,
    ) -> None:
        super().__init__(config, identity=identity, faults=faults, on_telemetry=on_telemetry)
        self._state = state
        self.not_commandable: dict[str, str] = {}
        self.overridden: dict[str, str] = {}

    def _attach(self, channel: grpc.aio.Channel) -> None:
        self._stub = plant_agent_pb2_grpc.PlantAgentStub(channel)

    async def _introduce(self) -> None:
        has = await self._stub.GetCapabilities(
            common_pb2.GetCapabilitiesRequest(), timeout=CALL_DEADLINE_S
        )
        if has.plant_id != self.name:
            raise IdentityError(
                f"it says it is {has.plant_id!r}, [[agents]] says {self.name!r}; correct one of "
                "them"
            )
        low, high = np.full(len(PLANT_LEVERS), np.nan), np.full(len(PLANT_LEVERS), np.nan)
        self.not_commandable = {}
        for lever in has.levers:
            column = PLANT_LEVER_COLUMN.get(lever.name)
            if column is None:
                continue
            low[column], high[column] = lever.low, lever.high
            if not lever.commandable:
                self.not_commandable[lever.name] = lever.not_commandable_reason
        self._state.take_lever_range(low=low, high=high)

    def _open(
        self, requests: AsyncIterator[plant_agent_pb2.PlantAgentSessionRequest]
    ) -> AsyncIterator[plant_agent_pb2.PlantAgentSessionResponse]:
        return aiter(self._stub.Session(requests))

    async def _acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        return await self._stub.AcquireLease(request, timeout=CALL_DEADLINE_S)

    async def _release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse:
        return await self._stub.ReleaseLease(request, timeout=CALL_DEADLINE_S)

    def _renewal(
        self, request: common_pb2.RenewLeaseRequest
    ) -> plant_agent_pb2.PlantAgentSessionRequest:
        return plant_agent_pb2.PlantAgentSessionRequest(renew_lease=request)

    def _command_message(
        self,
        values: Mapping[str, float],
        *,
        lease: HeldLease,
        sequence: int,
        answers_time: Timestamp | None,
    ) -> plant_agent_pb2.PlantAgentSessionRequest:
        return plant_agent_pb2.PlantAgentSessionRequest(
            set_setpoints=plant_agent_pb2.SetSetpointsRequest(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=sequence,
                answers_time=answers_time,
                plant_id=self.name,
                setpoints=[
                    plant_agent_pb2.Setpoint(lever=lever, value=value)
                    for lever, value in values.items()
                    if lever not in self.not_commandable
                ],
            )
        )

    def _take(self, response: plant_agent_pb2.PlantAgentSessionResponse) -> None:
        kind = response.WhichOneof("response")
        if kind == "telemetry":
            self._take_telemetry(response.telemetry)
        elif kind == "set_setpoints":
            self._take_result(response.set_setpoints)
        elif kind == "lease":
            self._take_lease(response.lease)
        elif kind == "refusal":
            self._take_refusal(response.refusal)

    def _take_telemetry(self, message: plant_agent_pb2.PlantTelemetry) -> None:
        if message.plant_id != self.name:
            self._fault(f"it sends telemetry of {message.plant_id!r}, which is ignored")
            return
        measure_time_s = time_of(message.measure_time)
        new = self._arrived(
            boot_id=message.boot_id, sequence=message.sequence, measure_time_s=measure_time_s
        )
        if new:
            values, times_s = plant_row(message)
            self.lease_seen = message.lease
            self.overridden = {
                reading.lever: reading.message
                for reading in message.levers
                if reading.state == plant_agent_pb2.LEVER_STATE_OVERRIDDEN
            }
            self._state.take_plant(self.name, values, times_s, measure_time_s=measure_time_s)
            self._on_telemetry(self.name)

    def _take_result(self, message: plant_agent_pb2.SetSetpointsResponse) -> None:
        read_back: dict[str, float] = {}
        refusals: list[str] = []
        for result in message.results:
            if result.HasField("setpoint_effective"):
                read_back[result.lever] = result.setpoint_effective
            if result.outcome not in TAKEN:
                why = result.message or common_pb2.Outcome.Name(result.outcome)
                refusals.append(f"{result.lever}: {why}")
        self._resolve(message.sequence, Answer(read_back=read_back, refusals=tuple(refusals)))

    def forget(self) -> None:
        """Forget the readings."""
        self.overridden = {}
        self._state.lose_plant(self.name)
