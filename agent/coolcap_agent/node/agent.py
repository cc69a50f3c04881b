"""The node agent put together: GPUs, guard, commander, sampler and service."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coolcap_agent.clock import Clock
from coolcap_agent.daemon import wire as shared_wire
from coolcap_agent.daemon.control import Control, open_clock
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.point import Spec
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.version import agent_version
from coolcap_agent.drivers.base import GpuInfo
from coolcap_agent.logging import FaultLog
from coolcap_agent.metrics.lease import lease_seen
from coolcap_agent.node import wire
from coolcap_agent.node.config import NodeConfig
from coolcap_agent.node.gpus import GpuPoint, Gpus, in_force
from coolcap_agent.node.limits import power_key
from coolcap_agent.node.sampler import NodeSample, Sampler
from coolcap_agent.node.service import NodeService, Response
from coolcap_agent.rpc.server import RpcServer
from coolcap_proto.v1 import node_agent_pb2, node_agent_pb2_grpc

if TYPE_CHECKING:
    from coolcap_agent.metrics.node import NodeMetrics

log = logging.getLogger(__name__)

OPEN_DEADLINE_S = 60.0
"""Longest wait for one attempt to connect; a GPU's firmware may block a call for 45 s."""


class NodeAgent:
    """One node agent whose GPUs are connected."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        gpus: Gpus,
        state: StateDir,
        clock: Clock,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._gpus = gpus
        self._clock = clock
        self._faults = FaultLog(log)
        self._boot_id = secrets.token_hex(8)
        self._telemetry: Latest[Response] = Latest()
        self._metrics: NodeMetrics | None = None
        self._points = {
            power_key(info.uuid): GpuPoint(
                gpus, info.uuid, config.limits.spec(info, read_only=config.agent.read_only)
            )
            for info in gpus.infos
        }
        self._control = Control.build(
            config.agent,
            points=self._points,
            state=state,
            clock=clock,
            driver=gpus,
            faults=self._faults,
            ramp_back=False,
            mono_s=mono_s,
        )
        self._sampler = Sampler(
            gpus,
            read_only=frozenset(key[0] for key, p in self._points.items() if p.spec.refusal),
            clock=clock,
            faults=self._faults,
        )

    @property
    def guard(self) -> Guard:
        """Return what holds lease and journal."""
        return self._control.guard

    @property
    def clock(self) -> Clock:
        """Return the clock that paces sampling."""
        return self._clock

    def offer(self, server: RpcServer) -> None:
        """Add the service to a server."""
        service = NodeService(
            node_id=self._config.agent.agent_id,
            capabilities=capabilities(
                self._config,
                [(info, self._points[power_key(info.uuid)].spec) for info in self._gpus.infos],
            ),
            guard=self.guard,
            commander=self._control.commander,
            telemetry=self._telemetry,
        )
        server.add(
            node_agent_pb2_grpc.add_NodeAgentServicer_to_server,
            service,
            node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"],
        )

    async def sample(self) -> None:
        """Read everything once, compare it with what was commanded, and publish it."""
        before = self._control.reconciler.before_reading()
        sample = await self._sampler.sample()
        found = {
            power_key(gpu.info.uuid): in_force(gpu.reading)
            for gpu in sample.gpus
            if gpu.reading is not None
        }
        await self._control.reconciler.reconcile(found, before=before)
        self._telemetry.put(Response(telemetry=self._message(sample)))
        if self._metrics is not None:
            self._metrics.put(sample, lease_seen(self.guard))

    def collector(self) -> "NodeMetrics":
        """Return what gives the agent's metrics, filled from the next sample on."""
        from coolcap_agent.metrics.node import NodeMetrics

        self._metrics = NodeMetrics(self._config.agent.agent_id)
        return self._metrics

    async def close(self) -> None:
        """Disconnect from the GPUs."""
        await self._gpus.close()

    def _message(self, sample: NodeSample) -> node_agent_pb2.NodeTelemetry:
        return wire.telemetry_message(
            sample,
            node_id=self._config.agent.agent_id,
            sequence=self._telemetry.version + 1,
            boot_id=self._boot_id,
            lease=shared_wire.lease_status(self.guard),
            faults={gpu.info.uuid: self._faults.about(gpu.info.uuid) for gpu in sample.gpus},
        )


def capabilities(
    config: NodeConfig, gpus: Sequence[tuple[GpuInfo, Spec]]
) -> node_agent_pb2.NodeCapabilities:
    """Return what a node has and allows."""
    return wire.capabilities_message(
        node_id=config.agent.agent_id,
        agent_version=agent_version(),
        driver=config.driver_name,
        lease_ttl_max_s=config.agent.lease.ttl_max_s,
        sample_period_s=config.agent.sample_period_s,
        gpus=gpus,
    )


async def open_node(config: NodeConfig, state: StateDir) -> NodeAgent:
    """Connect to the GPUs.

    Raises:
        DriverError: If they cannot be reached.
        WorkerError: If they do not answer.
    """
    clock = open_clock(config.agent, config.driver)
    gpus = Gpus(config.driver, deadline_s=config.agent.device_deadline_s)
    await gpus.open(deadline_s=OPEN_DEADLINE_S)
    return NodeAgent(config, gpus=gpus, state=state, clock=clock)
