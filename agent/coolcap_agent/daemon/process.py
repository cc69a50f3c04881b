"""An agent as a process: opens, restores, serves, and leaves everything as it found it."""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from coolcap_agent.clock import Clock
from coolcap_agent.config import AgentConfig
from coolcap_agent.daemon.guard import Guard, Restored
from coolcap_agent.daemon.notify import notify, watchdog_period_s
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.state_dir import LOCK_NAME, StateDir
from coolcap_agent.daemon.worker import WorkerError
from coolcap_agent.drivers.base import DriverError
from coolcap_agent.logging import set_up_logging
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.identity import in_a_child
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import Tls
from coolcap_envs.contract.errors import CoolcapError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_PATIENCE_S: Final = 30.0
"""A driver that cannot be opened at start is tried again for this long (it may be loading)."""
OPEN_PAUSE_S: Final = 0.5
TOUCH_S: Final = 10.0
"""How often the event loop shows in the file system that it turns."""
GRACE_S: Final = 1.0
"""Calls in progress may take this long to end when the agent stops."""


class Agent(Protocol):
    """What a daemon is apart from being a process."""

    @property
    def guard(self) -> Guard:
        """Return what holds lease and journal."""
        ...

    @property
    def clock(self) -> Clock:
        """Return the clock that paces sampling."""
        ...

    def offer(self, server: RpcServer) -> None:
        """Add the agent's service to a server."""
        ...

    async def sample(self) -> None:
        """Read everything once and publish it."""
        ...

    def collector(self) -> "Collector":
        """Return what gives the agent's metrics, filled from the next sample on."""
        ...

    async def close(self) -> None:
        """Disconnect from the hardware."""
        ...


class NotRestoredError(CoolcapError):
    """The agent ends while values from before the first write are not back; the journal stays."""


def run(config: AgentConfig, make: Callable[[StateDir], Awaitable[Agent]]) -> int:
    """Run an agent until SIGTERM or SIGINT, and return the exit code.

    Args:
        config: What both agents share.
        make: Connects to the hardware; DriverError and WorkerError are tried again for a while.
    """
    set_up_logging(config.log)
    code = 0
    try:
        tls = in_a_child(config.load_tls)
        with StateDir(config.state_dir) as state:
            asyncio.run(_run(config, lambda: make(state), tls))
    except* CoolcapError as group:
        for error in _leaves(group):
            log.error("%s", error)
        code = 1
    return code


def restore(
    config: AgentConfig, make: Callable[[StateDir], Awaitable[Agent]]
) -> Sequence[Restored]:
    """Restore what a dead agent's journal holds, and return what became of each value.

    Raises:
        StateDirError: If the agent is alive.
        CoolcapError: If hardware or journal cannot be reached.
    """

    async def start() -> Sequence[Restored]:
        agent = await make(state)
        try:
            return await agent.guard.start(at_once=True)
        finally:
            await agent.close()

    with StateDir(config.state_dir) as state:
        return asyncio.run(start())


async def _run(config: AgentConfig, make: Callable[[], Awaitable[Agent]], tls: Tls) -> None:
    task = asyncio.create_task(_serve(config, make, tls))
    stopping = False

    def stop(name: str) -> None:
        nonlocal stopping
        log.info("%s: %s is stopping", name, config.agent_id)
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


async def _serve(config: AgentConfig, make: Callable[[], Awaitable[Agent]], tls: Tls) -> None:
    agent = await open_patiently(make)
    with contextlib.ExitStack() as scraped:
        try:
            await agent.guard.start()
            if config.metrics is not None:
                scraped.callback(_show_metrics(config.metrics, agent, config.agent_id))
            await _offer(config, agent, tls)
        finally:
            notify("STOPPING=1")
            results = await agent.guard.shut_down()
            await agent.close()
            if failed := [result for result in results if result.outcome is not Outcome.RESTORED]:
                raise NotRestoredError(
                    f"{len(failed)} values are not restored and stay in the journal for the next "
                    "start"
                )


def _show_metrics(listen: Address, agent: Agent, name: str) -> Callable[[], None]:
    """Serve an agent's metrics and return what ends it. Raises BindError."""
    # Some MB and a tenth of a second, which an agent without metrics need not spend.
    from coolcap_agent.metrics.endpoint import MetricsEndpoint

    endpoint = MetricsEndpoint(listen, agent.collector())
    log.info("%s shows its metrics at http://%s/metrics", name, endpoint.address)
    return endpoint.close


async def _offer(config: AgentConfig, agent: Agent, tls: Tls) -> None:
    server = RpcServer(tls=tls)
    agent.offer(server)
    address = config.server.listen
    port = await server.start(address)
    try:
        await agent.sample()
        await server.set_serving(True)
        log.info("%s serves on %s", config.agent_id, Address(host=address.host, port=port))
        notify("READY=1")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.guard.run())
            tasks.create_task(_sample_for_ever(config, agent))
            tasks.create_task(_keep_watchdog_quiet())
            tasks.create_task(_touch_for_ever(config.state_dir / LOCK_NAME))
    finally:
        # Nobody may write any more before values go back, or it would be written after them.
        agent.guard.close()
        await server.stop(grace_s=GRACE_S)


async def open_patiently(make: Callable[[], Awaitable[T]]) -> T:
    """Connect, trying again for a while where the hardware is not ready.

    Raises:
        DriverError: If it never became ready.
        WorkerError: If it never answered.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + OPEN_PATIENCE_S
    told = False
    while True:
        try:
            return await make()
        except (DriverError, WorkerError) as error:
            if loop.time() >= end_s:
                raise
            if not told:
                log.warning("%s; trying again for %g s", error, OPEN_PATIENCE_S)
                told = True
        await asyncio.sleep(OPEN_PAUSE_S)


async def _sample_for_ever(config: AgentConfig, agent: Agent) -> None:
    """Sample once per period of site time.

    On the host's clock the phase is random, so that a fleet does not report in one instant.
    """
    clock, period_s = agent.clock, config.sample_period_s
    next_s = clock.now_s()
    if config.simulated_clock is None:
        next_s -= random.uniform(0.0, period_s)
    while True:
        # Where the clock was set, go on from there instead of waiting or catching up.
        now_s = clock.now_s()
        next_s = min(max(next_s + period_s, now_s), now_s + period_s)
        await clock.sleep_until(next_s)
        await agent.sample()


async def _keep_watchdog_quiet() -> None:
    """Tell systemd that the event loop turns."""
    period_s = watchdog_period_s()
    while period_s is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s)


async def _touch_for_ever(path: Path) -> None:
    """Give the lock's file a new time again and again, for those who watch without systemd."""
    while True:
        with contextlib.suppress(OSError):
            os.utime(path)
        await asyncio.sleep(TOUCH_S)


def _leaves(group: BaseExceptionGroup[CoolcapError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(error)
        else:
            found.append(error)
    return found
