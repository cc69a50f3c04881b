"""A node agent of which only the GPUs are simulated, small enough for two thousand in one process.

Real: the service ``coolcap.v1.NodeAgent`` with its session, mutual TLS with a certificate per node,
leases with epochs on disk, refusals, restore at the end of a lease. Simulated: GPUs are numbers
that follow their caps; there is no journal, since there is no device whose value could be lost.
"""

import math
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.lease_calls import check_addressee
from coolcap_agent.daemon.session import Session, SessionPort
from coolcap_agent.daemon.wire import NANOS_PER_S, duration
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_agent.soak.light_agent import LEASE_TTL_MAX_S, LightAgent
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

Request = node_agent_pb2.NodeAgentSessionRequest
Response = node_agent_pb2.NodeAgentSessionResponse

CAP_MIN_W: Final = 200.0
CAP_MAX_W: Final = 700.0
"""Power limits of an H100 SXM5, as in the shipped sites."""
OTHER_POWER_W: Final = 2100.0
"""Of a server beside its eight GPUs; simulated, within the 4.6 kW the allocator takes at worst."""


class LightNode(
    LightAgent,
    SessionPort[Request, node_agent_pb2.SetPowerCapsRequest, Response],
    node_agent_pb2_grpc.NodeAgentServicer,
):
    """One simulated node agent.

    Args:
        name: Its id.
        gpu_count: Number of its GPUs.
        folder: Where the epoch of its lease is kept.
        period_s: Period of its readings.
    """

    def __init__(self, name: str, *, gpu_count: int, folder: Path, period_s: float) -> None:
        super().__init__(name, folder=folder)
        self.cap_w = [CAP_MAX_W] * gpu_count
        self.telemetry: Latest[Response] = Latest()
        self.command_count = 0
        self._period_s = period_s
        self._boot_id = secrets.token_hex(8)
        self._draw = random.Random(name)
        self._uuids = [f"GPU-{name}-{index}" for index in range(gpu_count)]
        self._load = [self._draw.uniform(0.5, 1.1) for _ in range(gpu_count)]
        self._energy_kwh = [self._draw.uniform(0.0, 1000.0) for _ in range(gpu_count)]

    # The API

    async def GetCapabilities(  # noqa: N802
        self, request: common_pb2.GetCapabilitiesRequest, context: CallContext
    ) -> node_agent_pb2.NodeCapabilities:
        """Return what this node has and allows."""
        return self.capabilities()

    def capabilities(self) -> node_agent_pb2.NodeCapabilities:
        """Return what this node has and allows."""
        return node_agent_pb2.NodeCapabilities(
            node_id=self.name,
            agent_version="simulated",
            driver="simulated",
            lease_ttl_max=duration(LEASE_TTL_MAX_S),
            sampling_period=duration(self._period_s),
            gpus=[
                node_agent_pb2.GpuCapabilities(
                    gpu_uuid=uuid,
                    gpu_index=index,
                    gpu_model="simulated",
                    power_limit_min_w=CAP_MIN_W,
                    power_limit_max_w=CAP_MAX_W,
                    power_limit_default_w=CAP_MAX_W,
                    power_cap_min_w=CAP_MIN_W,
                    power_cap_max_w=CAP_MAX_W,
                    commandable=True,
                )
                for index, uuid in enumerate(self._uuids)
            ],
        )

    async def GetTelemetry(  # noqa: N802
        self, request: common_pb2.GetTelemetryRequest, context: CallContext
    ) -> node_agent_pb2.NodeTelemetry:
        """Return the newest reading."""
        return self.reading().telemetry

    async def SetPowerCaps(  # noqa: N802
        self, request: node_agent_pb2.SetPowerCapsRequest, context: CallContext
    ) -> node_agent_pb2.SetPowerCapsResponse:
        """Set power caps and read them back."""
        try:
            return (await self.carry_out(request)).set_power_caps
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

    # What the session asks for

    def command_of(self, request: Request) -> node_agent_pb2.SetPowerCapsRequest | None:
        """Return the command in a session message, if it is one."""
        return request.set_power_caps if request.HasField("set_power_caps") else None

    def sequence_of(self, command: node_agent_pb2.SetPowerCapsRequest) -> int:
        """Return the sequence of a command."""
        return command.sequence

    def renewal_of(self, request: Request) -> common_pb2.RenewLeaseRequest | None:
        """Return the renewal in a session message, if it is one."""
        return request.renew_lease if request.HasField("renew_lease") else None

    def renew(self, renewal: common_pb2.RenewLeaseRequest) -> Response:
        """Renew the lease. Raises RefusedError."""
        return Response(lease=self.renewed(renewal))

    async def carry_out(self, command: node_agent_pb2.SetPowerCapsRequest) -> Response:
        """Carry out a command. Raises RefusedError."""
        check_addressee("node_id", asked=command.node_id, own=self.name)
        self.leases.require(lease_id=command.lease_id, epoch=command.epoch)
        answer = Response()
        result = answer.set_power_caps
        result.epoch, result.sequence = command.epoch, command.sequence
        for cap in command.power_caps:
            held_w = min(max(cap.power_cap_w, CAP_MIN_W), CAP_MAX_W)
            self.cap_w[self._uuids.index(cap.gpu_uuid)] = held_w
            result.results.add(
                gpu_uuid=cap.gpu_uuid,
                outcome=common_pb2.OUTCOME_APPLIED,
                power_cap_w=cap.power_cap_w,
                power_limit_requested_w=held_w,
                power_limit_enforced_w=held_w,
            )
        self._written = self._written or bool(command.power_caps)
        self.command_count += 1
        return answer

    def refusal(self, refused: RefusedError, *, sequence: int) -> Response:
        """Return a refusal as a session message."""
        return Response(
            refusal=refused.message_for_session(sequence=sequence, epoch=self.leases.epoch)
        )

    # The hardware

    def sample(self) -> None:
        """Read the simulated GPUs and publish the reading; restore if the lease is over."""
        self.restore_if_over()
        self.telemetry.put(self.reading())

    def reading(self) -> Response:
        """Return a new reading."""
        message = Response()
        telemetry = message.telemetry
        telemetry.node_id = self.name
        now_s = time.time()
        telemetry.measure_time.seconds = math.floor(now_s)
        telemetry.measure_time.nanos = int((now_s % 1.0) * NANOS_PER_S)
        telemetry.sequence = self.telemetry.version + 1
        telemetry.boot_id = self._boot_id
        total_w = OTHER_POWER_W
        for index, uuid in enumerate(self._uuids):
            cap_w = self.cap_w[index]
            power_w = min(cap_w, CAP_MAX_W * self._load[index])
            total_w += power_w
            self._energy_kwh[index] += power_w * self._period_s / 3.6e6
            telemetry.gpus.add(
                gpu_uuid=uuid,
                gpu_index=index,
                state=node_agent_pb2.GPU_STATE_OK,
                power_w=power_w,
                energy_kwh=self._energy_kwh[index],
                power_limit_requested_w=cap_w,
                power_limit_enforced_w=cap_w,
                gpu_temp_c=30.0 + 0.05 * power_w,
                hbm_temp_c=40.0 + 0.05 * power_w,
                sm_clock_mhz=1980.0 * min(1.0, 0.4 + cap_w / 1000.0),
                gpu_util_ratio=0.9,
                mem_util_ratio=0.4,
                work_rate_ratio=0.9,
                work_gpu_h=self._energy_kwh[index],
                workload_class=node_agent_pb2.WORKLOAD_CLASS_TRAINING,
            )
        telemetry.it_power_w = total_w
        telemetry.it_energy_kwh = sum(self._energy_kwh)
        telemetry.inlet_temp_c = 22.0
        return message

    def put_back(self) -> None:
        """Put all caps back to the highest, where they were before."""
        self.cap_w = [CAP_MAX_W] * len(self.cap_w)
