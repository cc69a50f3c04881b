"""The node agent put together: GPUs, guard, commander, sampler and service."""

import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from coolcap_agent.clock import Clock
from coolcap_agent.daemon import wire as shared_wire
from coolcap_agent.daemon.control import Control, open_clock
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.point import Spec
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.version import agent_version
from coolcap_agent.daemon.write_log import NoWriteLog, open_record
from coolcap_agent.drivers.base import GpuInfo
from coolcap_agent.journal import Key
from coolcap_agent.logging import FaultLog
from coolcap_agent.metrics.gpu_extras import GpuExtras
from coolcap_agent.metrics.lease import lease_seen
from coolcap_agent.node import wire
from coolcap_agent.node.config import NodeConfig
from coolcap_agent.node.gpus import ClockPoint, GpuPoint, Gpus
from coolcap_agent.node.health import GpuHealth
from coolcap_agent.node.limits import clock_key, power_key
from coolcap_agent.node.sampler import NodeSample, Sampler
from coolcap_agent.node.service import NodeService, Response
from coolcap_agent.node.thermal_guard import ThermalGuard
from coolcap_agent.node.work_signal import WorkSignal
from coolcap_agent.node.xid_watch import XidWatch
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
        self._health: GpuHealth | None = None
        self._specs = gpu_specs(config, gpus.infos)
        self._points = make_points(gpus, self._specs)
        self._record = (
            open_record(state, faults=self._faults, now_s=clock.now_s)
            if config.record_writes
            else NoWriteLog()
        )
        simulated = config.agent.simulated_clock is not None
        self._thermal_guard = ThermalGuard(
            self._points,
            margin_min_k=config.limits.thermal_margin_min_k,
            mono_s=clock.now_s if simulated else mono_s,
        )
        self._control = Control.build(
            config.agent,
            points=self._points,
            state=state,
            clock=clock,
            driver=gpus,
            faults=self._faults,
            ramp_back=False,
            restraint=self._thermal_guard,
            write_log=self._record,
            mono_s=mono_s,
        )
        self._sampler = Sampler(
            gpus,
            read_only=frozenset(info.uuid for info, cap, _ in self._specs if cap.refusal),
            clock=clock,
            faults=self._faults,
        )
        self._xids = XidWatch(self._faults, mono_s=mono_s)
        self._work = WorkSignal(self._faults, mono_s)
        for source in config.work:
            self._work.add(source)

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
            capabilities=capabilities(self._config, self._specs),
            guard=self.guard,
            commander=self._control.commander,
            telemetry=self._telemetry,
        )
        described = node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"]
        server.add(node_agent_pb2_grpc.add_NodeAgentServicer_to_server, service, described)
        self._health = GpuHealth(server, service=described.full_name)

    async def sample(self) -> None:
        """Read everything once, compare it with what was commanded, and publish it."""
        before = self._control.reconciler.before_reading()
        sample = await self._sampler.sample()
        self._xids.note(self._gpus.take_events())
        found = {
            key: point.in_force(gpu.reading)
            for gpu in sample.gpus
            if gpu.reading is not None
            for key, point in self._points_of(gpu.info.uuid)
        }
        await self._control.reconciler.reconcile(found, before=before)
        await self._thermal_guard.watch(
            sample.gpus, guard=self.guard, commander=self._control.commander
        )
        sample = replace(sample, gpus=self._work.measured(sample.gpus))
        self._telemetry.put(Response(telemetry=self._message(sample)))
        if self._health is not None:
            await self._health.tell(sample.gpus, self._xids)
        if self._metrics is not None:
            self._metrics.put(sample, lease_seen(self.guard), self._extras(sample))

    def collector(self) -> "NodeMetrics":
        """Return what gives the agent's metrics, filled from the next sample on."""
        from coolcap_agent.metrics.node import NodeMetrics

        self._metrics = NodeMetrics(self._config.agent.agent_id)
        return self._metrics

    async def close(self) -> None:
        """Disconnect from the GPUs."""
        self._work.close()
        await self._record.close()
        await self._gpus.close()

    def _points_of(self, uuid: str) -> Sequence[tuple[Key, GpuPoint]]:
        """Return the levers of a GPU that readings are compared with: its cap, a clock it takes."""
        cap, clock = power_key(uuid), clock_key(uuid)
        pairs: list[tuple[Key, GpuPoint]] = [(cap, self._points[cap])]
        if not self._points[clock].spec.refusal:
            pairs.append((clock, self._points[clock]))
        return pairs

    def _extras(self, sample: NodeSample) -> Mapping[str, GpuExtras]:
        """Return what metrics show beside readings."""
        ceilings = self._thermal_guard.ceilings
        found: dict[str, GpuExtras] = {}
        for gpu in sample.gpus:
            ceiling = ceilings.get(power_key(gpu.info.uuid))
            found[gpu.info.uuid] = GpuExtras(
                xid=self._xids.xid(gpu.info.uuid),
                thermal_ceiling_w=math.nan if ceiling is None else ceiling.value_w,
            )
        return found

    def _message(self, sample: NodeSample) -> node_agent_pb2.NodeTelemetry:
        return wire.telemetry_message(
            sample,
            node_id=self._config.agent.agent_id,
            sequence=self._telemetry.version + 1,
            boot_id=self._boot_id,
            lease=shared_wire.lease_status(self.guard),
            faults={gpu.info.uuid: self._faults.about(gpu.info.uuid) for gpu in sample.gpus},
        )


def gpu_specs(config: NodeConfig, infos: Sequence[GpuInfo]) -> Sequence[tuple[GpuInfo, Spec, Spec]]:
    """Return each GPU with what may be done with its power cap and its clock ceiling."""
    limits, read_only = config.limits, config.agent.read_only
    return [
        (
            info,
            limits.spec(info, read_only=read_only),
            limits.clock_spec(info, read_only=read_only),
        )
        for info in infos
    ]


def make_points(gpus: Gpus, specs: Sequence[tuple[GpuInfo, Spec, Spec]]) -> Mapping[Key, GpuPoint]:
    """Return the control points of a node: two for each GPU."""
    points: dict[Key, GpuPoint] = {}
    for info, cap, clock in specs:
        points[cap.key] = GpuPoint(gpus, info.uuid, cap)
        points[clock.key] = ClockPoint(gpus, info.uuid, clock)
    return points


def capabilities(
    config: NodeConfig, gpus: Sequence[tuple[GpuInfo, Spec, Spec]]
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
    """Connect to the GPUs, and say who else may set limits on this host.

    Raises:
        DriverError: If they cannot be reached.
        WorkerError: If they do not answer.
    """
    clock = open_clock(config.agent, config.driver)
    gpus = Gpus(config.driver, deadline_s=config.agent.device_deadline_s)
    await gpus.open(deadline_s=OPEN_DEADLINE_S)
    others = gpus.rights().get("foreign_managers")
    for other in others if isinstance(others, list) else ():
        log.warning("another program on this host may change limits: %s", other)
    return NodeAgent(config, gpus=gpus, state=state, clock=clock)
