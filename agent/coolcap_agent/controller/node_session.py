"""The session with a node agent: capabilities and telemetry in, power caps out."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import grpc.aio
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from coolcap_agent.controller.agent_address import AgentConfig
from coolcap_agent.controller.fleet_state import FleetState
from coolcap_agent.controller.lease_client import HeldLease
from coolcap_agent.controller.relay_link import RelayedNode
from coolcap_agent.controller.session import (
    CALL_DEADLINE_S,
    AgentSession,
    Answer,
    Identity,
    IdentityError,
)
from coolcap_agent.controller.wire import node_rows
from coolcap_agent.daemon.wire import time_of
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.address import Address
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

TAKEN: Final = frozenset(
    {
        common_pb2.OUTCOME_UNSPECIFIED,
        common_pb2.OUTCOME_APPLIED,
        common_pb2.OUTCOME_CLAMPED,
        common_pb2.OUTCOME_UNCHANGED,
    }
)
"""Outcomes of a command that was carried out, if need be as near as the agent allows."""


class NodeSession(
    AgentSession[node_agent_pb2.NodeAgentSessionRequest, node_agent_pb2.NodeAgentSessionResponse]
):
    """One node agent. Devices of commands are GPU indices as text."""

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
        self._relayed: RelayedNode | None = None
        self._stub: node_agent_pb2_grpc.NodeAgentStub | RelayedNode
        self._gpu_count = state.gpu_count(config.name)
        self._uuids: dict[str, str] = {}
        self._indices: dict[str, str] = {}
        self._read_only: frozenset[str] = frozenset()

    @property
    def settled(self) -> bool:
        """Return whether the node is heard, and has nothing of ours left to put back.

        A node that lost its lease puts back what was there before, sooner or later; until it says
        that it has, nobody knows what it is held to.
        """
        seen = self.lease_seen
        ours = seen.state == common_pb2.LEASE_STATE_HELD and seen.epoch == self.lease.epoch
        return self.connected and not ours and seen.state != common_pb2.LEASE_STATE_RESTORING

    def relay(self, node: RelayedNode | None) -> None:
        """Go on behind a relay, or by a connection of its own with None."""
        if node is not self._relayed:
            self._relayed = node
            self._move.set()

    @property
    def _reachable(self) -> bool:
        return self._relayed is not None or super()._reachable

    @contextlib.asynccontextmanager
    async def _connect(self, address: Address | None) -> AsyncIterator[None]:
        if self._relayed is None:
            async with super()._connect(address):
                yield
        else:
            self._stub = self._relayed
            yield

    def _attach(self, channel: grpc.aio.Channel) -> None:
        self._stub = node_agent_pb2_grpc.NodeAgentStub(channel)

    async def _introduce(self) -> None:
        has = await self._stub.GetCapabilities(
            common_pb2.GetCapabilitiesRequest(), timeout=CALL_DEADLINE_S
        )
        if has.node_id != self.name:
            raise IdentityError(
                f"it says it is {has.node_id!r}, [[agents]] says {self.name!r}; correct one of them"
            )
        low_w, high_w = np.full(self._gpu_count, np.nan), np.full(self._gpu_count, np.nan)
        commandable = np.zeros(self._gpu_count, dtype=bool)
        gpus = {gpu.gpu_index: gpu for gpu in has.gpus if 0 <= gpu.gpu_index < self._gpu_count}
        if missing := sorted(set(range(self._gpu_count)) - set(gpus)):
            raise IdentityError(
                f"it has no GPU {', '.join(map(str, missing))}; the site file gives this node "
                f"{self._gpu_count} GPUs; correct the site file or the node"
            )
        for index, gpu in gpus.items():
            low_w[index], high_w[index] = gpu.power_cap_min_w, gpu.power_cap_max_w
            commandable[index] = gpu.commandable
        self._uuids = {str(index): gpu.gpu_uuid for index, gpu in gpus.items()}
        self._indices = {uuid: index for index, uuid in self._uuids.items()}
        self._read_only = frozenset(str(i) for i, gpu in gpus.items() if not gpu.commandable)
        self._state.take_cap_range(self.name, low_w=low_w, high_w=high_w, commandable=commandable)
        refusals = sorted({gpu.not_commandable_reason for gpu in has.gpus if not gpu.commandable})
        if refusals:
            self._faults.begin(f"{self.name} caps", f"{self.name}: read-only: {refusals[0]}")
        else:
            self._faults.end(f"{self.name} caps", f"{self.name}: caps can be set")

    def _open(
        self, requests: AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]
    ) -> AsyncIterator[node_agent_pb2.NodeAgentSessionResponse]:
        return aiter(self._stub.Session(requests))

    async def _acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        return await self._stub.AcquireLease(request, timeout=CALL_DEADLINE_S)

    async def _release(
        self, request: common_pb2.ReleaseLeaseRequest
    ) -> common_pb2.ReleaseLeaseResponse:
        return await self._stub.ReleaseLease(request, timeout=CALL_DEADLINE_S)

    def _renewal(
        self, request: common_pb2.RenewLeaseRequest
    ) -> node_agent_pb2.NodeAgentSessionRequest:
        return node_agent_pb2.NodeAgentSessionRequest(renew_lease=request)

    def _command_message(
        self,
        values: Mapping[str, float],
        *,
        lease: HeldLease,
        sequence: int,
        answers_time: Timestamp | None,
    ) -> node_agent_pb2.NodeAgentSessionRequest:
        return node_agent_pb2.NodeAgentSessionRequest(
            set_power_caps=node_agent_pb2.SetPowerCapsRequest(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=sequence,
                answers_time=answers_time,
                node_id=self.name,
                power_caps=[
                    node_agent_pb2.PowerCap(gpu_uuid=self._uuids[index], power_cap_w=cap_w)
                    for index, cap_w in values.items()
                    if index not in self._read_only
                ],
            )
        )

    def _take(self, response: node_agent_pb2.NodeAgentSessionResponse) -> None:
        kind = response.WhichOneof("response")
        if kind == "telemetry":
            self._take_telemetry(response.telemetry)
        elif kind == "set_power_caps":
            self._take_result(response.set_power_caps)
        elif kind == "lease":
            self._take_lease(response.lease)
        elif kind == "refusal":
            self._take_refusal(response.refusal)

    def _take_telemetry(self, message: node_agent_pb2.NodeTelemetry) -> None:
        if message.node_id != self.name:
            self._fault(f"it sends telemetry of {message.node_id!r}, which is ignored")
            return
        measure_time_s = time_of(message.measure_time)
        new = self._arrived(
            boot_id=message.boot_id, sequence=message.sequence, measure_time_s=measure_time_s
        )
        if new:
            rows = node_rows(message, gpu_count=self._gpu_count)
            self.lease_seen = message.lease
            self._state.take_node(self.name, rows, measure_time_s=measure_time_s)
            self._on_telemetry(self.name)

    def _take_result(self, message: node_agent_pb2.SetPowerCapsResponse) -> None:
        read_back: dict[str, float] = {}
        refusals: list[str] = []
        for result in message.results:
            index = self._indices.get(result.gpu_uuid, result.gpu_uuid)
            if result.HasField("power_limit_enforced_w"):
                read_back[index] = result.power_limit_enforced_w
            if result.outcome not in TAKEN:
                why = result.message or common_pb2.Outcome.Name(result.outcome)
                refusals.append(f"{self.name} GPU {index}: {why}")
        self._resolve(message.sequence, Answer(read_back=read_back, refusals=tuple(refusals)))

    def forget(self) -> None:
        """Forget the readings."""
        self._state.lose_node(self.name)
