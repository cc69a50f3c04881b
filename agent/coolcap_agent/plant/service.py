"""Servicer of ``coolcap.v1.PlantAgent``: translates and delegates."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import grpc

from coolcap_agent.daemon.commander import Commander
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.lease_calls import LeaseCalls, check_addressee
from coolcap_agent.daemon.session import Session, SessionPort
from coolcap_agent.plant import wire
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc

Request = plant_agent_pb2.PlantAgentSessionRequest
Response = plant_agent_pb2.PlantAgentSessionResponse


class PlantService(
    LeaseCalls,
    SessionPort[Request, plant_agent_pb2.SetSetpointsRequest, Response],
    plant_agent_pb2_grpc.PlantAgentServicer,
):
    """Answers the calls of one plant agent."""

    def __init__(
        self,
        *,
        plant_id: str,
        capabilities: Callable[[], plant_agent_pb2.PlantCapabilities],
        guard: Guard,
        commander: Commander,
        telemetry: Latest[Response],
    ) -> None:
        super().__init__(guard)
        self._plant_id = plant_id
        self._capabilities = capabilities
        self._commander = commander
        self._telemetry = telemetry

    async def GetCapabilities(  # noqa: N802
        self, request: common_pb2.GetCapabilitiesRequest, context: CallContext
    ) -> plant_agent_pb2.PlantCapabilities:
        """Return what this plant has and allows."""
        return self._capabilities()

    async def GetTelemetry(  # noqa: N802
        self, request: common_pb2.GetTelemetryRequest, context: CallContext
    ) -> plant_agent_pb2.PlantTelemetry:
        """Return the newest reading."""
        newest = self._telemetry.value
        if newest is None:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"{self._plant_id} has no reading yet; try again in a moment",
            )
        return newest.telemetry

    async def SetSetpoints(  # noqa: N802
        self, request: plant_agent_pb2.SetSetpointsRequest, context: CallContext
    ) -> plant_agent_pb2.SetSetpointsResponse:
        """Write setpoints and read them back."""
        try:
            return (await self.carry_out(request)).set_setpoints
        except RefusedError as refused:
            await refused.end_call(context)
            raise

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[Request], context: CallContext
    ) -> AsyncIterator[Response]:
        """Serve a controller: newest telemetry and answers up, commands and renewals down."""
        async with aclosing(Session(self, self._telemetry).stream(request_iterator)) as responses:
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
        check_addressee("plant_id", asked=command.plant_id, own=self._plant_id)
        answer = await self._commander.carry_out(wire.command_of(command))
        return Response(set_setpoints=wire.answer_message(answer))

    def refusal(self, refused: RefusedError, *, sequence: int) -> Response:
        """Return a refusal as a session message."""
        return Response(
            refusal=refused.message_for_session(sequence=sequence, epoch=self._guard.leases.epoch)
        )
