"""Entry point of ``coolcap control``: builds, serves operators, ticks, hands back at the end."""

import asyncio
import contextlib
import gc
import logging
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coolcap_agent.clock import Clock
from coolcap_agent.controller.config import ControlConfig, read_control_config
from coolcap_agent.controller.controller import Controller, open_sink
from coolcap_agent.controller.demand_response import DemandResponse, EventFile, EventSource
from coolcap_agent.controller.election import Election
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.fleet_state import FleetState
from coolcap_agent.controller.pace import pace_real, pace_simulated
from coolcap_agent.controller.policy_runner import PolicyRunner, load_policy
from coolcap_agent.controller.reload import Reloader
from coolcap_agent.controller.service import ControllerService
from coolcap_agent.controller.session import Identity
from coolcap_agent.daemon.notify import notify, watchdog_period_s
from coolcap_agent.daemon.process import open_patiently
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.logging import FaultLog, set_up_logging
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import Tls
from coolcap_envs.contract.errors import CoolcapError
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc

if TYPE_CHECKING:
    from coolcap_agent.controller.discovery import Discoverer

log = logging.getLogger(__name__)

START_PATIENCE_S: Final = 10.0
"""Longest wait for all agents before the first tick; those that come later join in."""
GRACE_S: Final = 1.0


def run_control(path: Path) -> int:
    """Run the controller until it is told to stop; return the exit code.

    Raises:
        ConfigError: If the config is unusable.
    """
    config = read_control_config(path)
    set_up_logging(config.log)
    code = 0
    try:
        tls = config.load_tls()
        with StateDir(config.state_dir):
            asyncio.run(_run(config, tls))
    except* (CoolcapError, OSError) as group:
        for error in _leaves(group):
            log.error("%s", error)
        code = 1
    return code


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _run(config: ControlConfig, tls: Tls) -> None:
    task = asyncio.create_task(_serve(config, tls))
    stopping = False

    def stop(name: str) -> None:
        nonlocal stopping
        log.info("%s: %s is stopping", name, config.name)
        if not stopping:
            stopping = True
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number.name)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:
            raise


async def _serve(config: ControlConfig, tls: Tls) -> None:
    # A refused bundle ends the start: nobody is to think that it decides.
    loaded = await asyncio.to_thread(load_policy, config.policy, config.policy_key)
    # A simulated clock is a file that may not be there yet.
    clock = await open_patiently(lambda: asyncio.to_thread(config.clock))
    instance_id = secrets.token_hex(8)
    fleet = Fleet(
        config.agents,
        identity=Identity(
            holder=f"{config.name}@{config.layout.name}",
            instance_id=instance_id,
            lease_ttl_s=config.loop.lease_ttl_s,
            tls=tls,
        ),
        state=FleetState(config.layout, start_time_s=clock.now_s()),
        faults=FaultLog(log),
    )
    election = Election(config, fleet, candidate=f"{config.name}/{instance_id}")
    controller = Controller(
        config,
        fleet=fleet,
        clock=clock,
        runner=PolicyRunner(loaded, deadline_s=config.loop.policy_deadline_s),
        sink=open_sink(config),
        leadership=election.leadership,
    )
    reloader = Reloader(controller, after=controller.note_reload)
    # Before anything is served: a hangup that finds no handler ends the process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)
    server = RpcServer(tls=tls)
    service = ControllerService(controller)
    server.add(
        controller_pb2_grpc.add_ControllerServicer_to_server,
        service,
        controller_pb2.DESCRIPTOR.services_by_name["Controller"],
    )
    scraped = contextlib.ExitStack()
    shown = contextlib.AsyncExitStack()
    try:
        if config.metrics is not None:
            # Some MB, which a controller without metrics need not spend.
            from coolcap_agent.metrics.endpoint import MetricsEndpoint

            endpoint = MetricsEndpoint(config.metrics, controller.collector())
            scraped.callback(endpoint.close)
            log.info("%s shows its metrics at http://%s/metrics", config.name, endpoint.address)
        if config.console is not None:
            from coolcap_agent.console.server import ConsoleServer

            console = ConsoleServer(config.console, controller, service, tls=tls)
            shown.push_async_callback(console.stop)
            await console.start()
            log.info("%s shows its console at %s", config.name, console.url)
        address = config.server.listen
        port = await server.start(address)
        log.info("%s serves on %s", config.name, Address(host=address.host, port=port))
        fleet.start()
        discoverer = _discoverer(config, fleet)
        if discoverer is not None:
            await discoverer.look()
        writes = config.loop.mode.holds_setpoints and election.leadership is None
        if not await fleet.wait_ready(leases=writes, patience_s=START_PATIENCE_S):
            log.warning("not all agents are there yet; beginning without them")
        await server.set_serving(True)
        notify("READY=1")
        # What the start has made lives for ever: collections need not look at it again.
        gc.freeze()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pace(config, controller, clock))
            tasks.create_task(_keep_watchdog_quiet())
            election.start(tasks, controller, tls=tls)
            if discoverer is not None:
                tasks.create_task(discoverer.run())
            tasks.create_task(reloader.run())
            _follow_events(controller, tasks, fleet.faults)
    finally:
        notify("STOPPING=1")
        await shown.aclose()
        await server.stop(grace_s=GRACE_S)
        # No tick may come after the leases are given back: it would acquire and write again.
        await controller.end_ticks()
        await fleet.stop()
        await controller.close()
        await asyncio.to_thread(scraped.close)


def _follow_events(controller: Controller, tasks: asyncio.TaskGroup, faults: FaultLog) -> None:
    """Follow the events that ask for less power."""
    asked = controller.config.demand_response
    sources: list[EventSource] = []
    if asked is not None and asked.file is not None:
        sources.append(EventFile(asked.file))
    if asked is not None and asked.openadr is not None:
        # Half a second to import, which a site without a programme need not spend.
        from coolcap_agent.controller.openadr import OpenAdrEvents

        sources.append(OpenAdrEvents(asked.openadr))
    for source in sources:
        demand = DemandResponse(
            source,
            lambda: controller.config.demand_response,
            budgets=controller.budgets,
            faults=faults,
        )
        tasks.create_task(demand.run())


def _discoverer(config: ControlConfig, fleet: Fleet) -> "Discoverer | None":
    """Return what finds agents; None where all are named."""
    if config.discovery is None:
        return None
    # Some MB, which a controller that finds nobody need not spend.
    from coolcap_agent.controller.discovery import Discoverer, open_source

    return Discoverer(
        open_source(config.discovery, config.layout, config.server.tls),
        fleet,
        period_s=config.discovery.period_s,
        faults=fleet.faults,
    )


async def _pace(config: ControlConfig, controller: Controller, clock: Clock) -> None:
    policy_s, fast_s = config.loop.policy_period_s, config.loop.fast_period_s
    if config.simulated_clock is None:
        await pace_real(controller, clock=clock, policy_period_s=policy_s, fast_period_s=fast_s)
    else:
        await pace_simulated(
            controller, frames=controller.fleet, policy_period_s=policy_s, fast_period_s=fast_s
        )


async def _keep_watchdog_quiet() -> None:
    """Tell systemd that the event loop turns."""
    period_s = watchdog_period_s()
    while period_s is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s)
