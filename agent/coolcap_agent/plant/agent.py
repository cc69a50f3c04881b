"""The plant agent put together: equipment, guard, commander, sampler and service."""

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
from coolcap_agent.drivers.base import LeverInfo
from coolcap_agent.logging import FaultLog
from coolcap_agent.metrics.lease import lease_seen
from coolcap_agent.plant import wire
from coolcap_agent.plant.config import PlantConfig
from coolcap_agent.plant.equipment import Equipment, LeverPoint, in_force
from coolcap_agent.plant.limits import lever_key
from coolcap_agent.plant.sampler import LeverSample, PlantSample, Sampler
from coolcap_agent.plant.service import PlantService, Response
from coolcap_agent.rpc.server import RpcServer
from coolcap_proto.v1 import plant_agent_pb2, plant_agent_pb2_grpc

if TYPE_CHECKING:
    from coolcap_agent.metrics.plant import PlantMetrics

log = logging.getLogger(__name__)

OPEN_DEADLINE_S = 60.0
"""Longest wait for one attempt to connect."""


class PlantAgent:
    """One plant agent whose equipment is connected."""

    def __init__(
        self,
        config: PlantConfig,
        *,
        equipment: Equipment,
        state: StateDir,
        clock: Clock,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._equipment = equipment
        self._clock = clock
        self._faults = FaultLog(log)
        self._boot_id = secrets.token_hex(8)
        self._telemetry: Latest[Response] = Latest()
        self._metrics: PlantMetrics | None = None
        self._points = {
            lever_key(info.name): LeverPoint(
                equipment, info.name, config.limits.spec(info, read_only=config.agent.read_only)
            )
            for info in equipment.infos
        }
        self._control = Control.build(
            config.agent,
            points=self._points,
            state=state,
            clock=clock,
            driver=equipment,
            faults=self._faults,
            ramp_back=config.ramp_back,
            mono_s=mono_s,
        )
        self._sampler = Sampler(
            equipment, age_max_s=config.signal_age_max_s, clock=clock, faults=self._faults
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
        service = PlantService(
            plant_id=self._config.agent.agent_id,
            capabilities=capabilities(
                self._config,
                [(info, self._points[lever_key(info.name)].spec) for info in self._equipment.infos],
            ),
            guard=self.guard,
            commander=self._control.commander,
            telemetry=self._telemetry,
        )
        server.add(
            plant_agent_pb2_grpc.add_PlantAgentServicer_to_server,
            service,
            plant_agent_pb2.DESCRIPTOR.services_by_name["PlantAgent"],
        )

    async def sample(self) -> None:
        """Read everything once, compare it with what was commanded, and publish it."""
        before = self._control.reconciler.before_reading()
        sample = await self._sampler.sample()
        found = {
            lever_key(lever.info.name): in_force(lever.reading)
            for lever in sample.levers
            if lever.reading is not None
        }
        await self._control.reconciler.reconcile(found, before=before)
        self._telemetry.put(Response(telemetry=self._message(sample)))
        if self._metrics is not None:
            self._metrics.put(sample, lease_seen(self.guard))
        await self.guard.advance_ramps()

    def collector(self) -> "PlantMetrics":
        """Return what gives the agent's metrics, filled from the next sample on."""
        from coolcap_agent.metrics.plant import PlantMetrics

        self._metrics = PlantMetrics(self._config.agent.agent_id)
        return self._metrics

    async def close(self) -> None:
        """Disconnect from the equipment."""
        await self._equipment.close()

    def _message(self, sample: PlantSample) -> plant_agent_pb2.PlantTelemetry:
        names = [info.name for info in self._equipment.infos]
        held = [name for name in names if self.guard.holds(lever_key(name))]
        commanded = self._control.commander.commanded
        return wire.telemetry_message(
            sample,
            plant_id=self._config.agent.agent_id,
            sequence=self._telemetry.version + 1,
            boot_id=self._boot_id,
            lease=shared_wire.lease_status(self.guard),
            states={lever.info.name: self._state(lever) for lever in sample.levers},
            commanded={
                name: commanded[lever_key(name)] for name in held if lever_key(name) in commanded
            },
            faults={name: self._faults.about(name) for name in names},
        )

    def _state(self, lever: LeverSample) -> plant_agent_pb2.LeverState.ValueType:
        key = lever_key(lever.info.name)
        if lever.reading is None:
            return plant_agent_pb2.LEVER_STATE_UNREACHABLE
        if in_force(lever.reading).overridden or key in self._control.reconciler.overridden:
            return plant_agent_pb2.LEVER_STATE_OVERRIDDEN
        if self.guard.holds(key):
            return plant_agent_pb2.LEVER_STATE_COMMANDED
        if self.guard.restores(key):
            return plant_agent_pb2.LEVER_STATE_RESTORING
        return plant_agent_pb2.LEVER_STATE_LOCAL


def capabilities(
    config: PlantConfig, levers: Sequence[tuple[LeverInfo, Spec]]
) -> plant_agent_pb2.PlantCapabilities:
    """Return what this plant has and allows."""
    return wire.capabilities_message(
        plant_id=config.agent.agent_id,
        agent_version=agent_version(),
        driver=config.driver_name,
        lease_ttl_max_s=config.agent.lease.ttl_max_s,
        sample_period_s=config.agent.sample_period_s,
        levers=levers,
    )


async def open_plant(config: PlantConfig, state: StateDir) -> PlantAgent:
    """Connect to the equipment.

    Raises:
        DriverError: If it cannot be reached.
        WorkerError: If it does not answer.
    """
    clock = open_clock(config.agent, config.driver)
    equipment = Equipment(config.driver, deadline_s=config.agent.device_deadline_s)
    await equipment.open(deadline_s=OPEN_DEADLINE_S)
    return PlantAgent(config, equipment=equipment, state=state, clock=clock)
