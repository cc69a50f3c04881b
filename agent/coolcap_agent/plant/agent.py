"""The plant agent put together: equipment, guard, commander, sampler and service."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coolcap_agent.clock import Clock
from coolcap_agent.daemon import wire as shared_wire
from coolcap_agent.daemon.commander import Acknowledger, Commander
from coolcap_agent.daemon.control import Control, acknowledger_of, open_clock
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.daemon.latest import Latest
from coolcap_agent.daemon.point import Spec
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.version import agent_version
from coolcap_agent.daemon.write_log import open_record
from coolcap_agent.drivers.base import LeverInfo
from coolcap_agent.logging import FaultLog
from coolcap_agent.metrics.lease import lease_seen
from coolcap_agent.plant import wire
from coolcap_agent.plant.config import PlantConfig
from coolcap_agent.plant.counters import Counters
from coolcap_agent.plant.equipment import Equipment, LeverPoint, in_force
from coolcap_agent.plant.limits import lever_key
from coolcap_agent.plant.restraint import PlantRestraint
from coolcap_agent.plant.sampler import LeverSample, PlantSample, Sampler
from coolcap_agent.plant.service import PlantService, Response
from coolcap_agent.plant.time_sync import TimeSync
from coolcap_agent.plant.trip import TripLatch
from coolcap_agent.plant.trust import SensorTrust
from coolcap_agent.plant.watch import Watch
from coolcap_agent.rpc.server import RpcServer
from coolcap_proto.v1 import plant_agent_pb2, plant_agent_pb2_grpc

if TYPE_CHECKING:
    from coolcap_agent.metrics.plant import PlantMetrics

log = logging.getLogger(__name__)

OPEN_DEADLINE_S = 60.0
"""Longest wait for one attempt to connect."""


class PlantAgent:
    """One plant agent whose equipment is connected.

    Attributes:
        watch: Its state, and why it is in it.
    """

    def __init__(
        self,
        config: PlantConfig,
        *,
        equipment: Equipment,
        state: StateDir,
        clock: Clock,
        acknowledger: Acknowledger | None = None,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put an agent together.

        Args:
            config: What it is told.
            equipment: Connected.
            state: Its folder.
            clock: Site time.
            acknowledger: Told of commands that were carried out; None: the equipment.
            mono_s: Monotonic clock.
        """
        self._config = config
        self._equipment = equipment
        self._clock = clock
        self._faults = FaultLog(log)
        self._boot_id = secrets.token_hex(8)
        self._telemetry: Latest[Response] = Latest()
        self._metrics: PlantMetrics | None = None
        self._record = open_record(state, faults=self._faults, now_s=clock.now_s)
        self._restraint = PlantRestraint(config.limits.joint)
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
            driver=acknowledger or equipment,
            faults=self._faults,
            ramp_back=config.ramp_back,
            ramp_max_s=config.hand_back_max_s,
            restraint=self._restraint,
            write_log=self._record,
            mono_s=mono_s,
        )
        self._trust = SensorTrust(config.trust)
        self._counters = Counters(state.folder / "counters.json", faults=self._faults)
        self._sampler = Sampler(
            equipment,
            age_max_s=config.signal_age_max_s,
            clock=clock,
            faults=self._faults,
            trust=self._trust,
            counters=self._counters,
        )
        self.watch = Watch(
            control=self._control,
            restraint=self._restraint,
            points=self._points,
            inlet=config.limits.inlet,
            fallback=config.fallback,
            latch=TripLatch(state.folder),
            record=self._record,
            now_s=mono_s if config.agent.simulated_clock is None else clock.now_s,
            time_s=clock.now_s,
        )
        self._time_sync = TimeSync(
            offset_max_s=config.clock_offset_max_s,
            faults=self._faults,
            wall_s=time.time,
            mono_s=time.monotonic,
        )

    @property
    def guard(self) -> Guard:
        """Return what holds lease and journal."""
        return self._control.guard

    @property
    def commander(self) -> Commander:
        """Return what carries out commands."""
        return self._control.commander

    @property
    def clock(self) -> Clock:
        """Return the clock that paces sampling."""
        return self._clock

    def offer(self, server: RpcServer) -> None:
        """Add the service to a server."""
        service = PlantService(
            plant_id=self._config.agent.agent_id,
            capabilities=self._capabilities,
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
        if self._config.agent.simulated_clock is None:
            await self._look_at_the_clock()
        before = self._control.reconciler.before_reading()
        sample = await self._sampler.sample()
        found = {
            lever_key(lever.info.name): in_force(lever.reading)
            for lever in sample.levers
            if lever.reading is not None
        }
        await self._control.reconciler.reconcile(found, before=before)
        await self.watch.look(sample)
        self._telemetry.put(Response(telemetry=self._message(sample)))
        if self._metrics is not None:
            self._metrics.put(sample, lease_seen(self.guard), self.watch.state)
        await self.guard.advance_ramps()

    def collector(self) -> "PlantMetrics":
        """Return what gives the agent's metrics, filled from the next sample on."""
        from coolcap_agent.metrics.plant import PlantMetrics

        self._metrics = PlantMetrics(self._config.agent.agent_id)
        return self._metrics

    async def close(self) -> None:
        """Disconnect from the equipment."""
        self._counters.save()
        await self._record.close()
        await self._equipment.close()

    async def reload(self, config: PlantConfig) -> None:
        """Take over the keys of a config that need no restart; a lease goes on.

        What is held and lies outside new limits is brought in with the next readings.
        """
        if config.fixed != self._config.fixed:
            keys = config.fixed.keys() | self._config.fixed.keys()
            changed = sorted(k for k in keys if config.fixed.get(k) != self._config.fixed.get(k))
            log.warning("%s changed and needs a restart; it stays as it was", ", ".join(changed))
        read_only = self._config.agent.read_only
        for info in self._equipment.infos:
            point = self._points[lever_key(info.name)]
            point.spec = config.limits.spec(info, read_only=read_only)
        self._restraint.joint = config.limits.joint
        self.watch.configure(inlet=config.limits.inlet, fallback=config.fallback)
        self._trust.config = config.trust
        self._sampler.age_max_s = config.signal_age_max_s
        self._control.restorer.ramp = config.ramp_back
        self._control.restorer.ramp_max_s = config.hand_back_max_s
        self._time_sync.offset_max_s = config.clock_offset_max_s
        log.info("%s was read again", self._config.agent.path)
        await self._record.say(
            who="agent", what="config read again", reason=f"SIGHUP; {config.limits.origin}"
        )

    async def _look_at_the_clock(self) -> None:
        if jump := self._time_sync.look():
            log.warning("%s; leases and ramps run on and are not touched by it", jump)
            await self._record.say(who="agent", what=jump, reason="seen at a reading")

    def _capabilities(self) -> plant_agent_pb2.PlantCapabilities:
        infos = self._equipment.infos
        return capabilities(
            self._config, [(info, self._points[lever_key(info.name)].spec) for info in infos]
        )

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
            plant_state=self.watch.state,
            plant_state_reason=self.watch.reason,
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
    return PlantAgent(
        config,
        equipment=equipment,
        state=state,
        clock=clock,
        acknowledger=acknowledger_of(config.agent, config.driver),
    )
