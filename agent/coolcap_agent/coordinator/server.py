"""Entry point of ``coolcap coordinate``."""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from coolcap_agent.coordinator.config import CoordinatorConfig, read_coordinator_config
from coolcap_agent.coordinator.coordinator import Coordinator
from coolcap_agent.coordinator.remote_hall import RemoteHall
from coolcap_agent.daemon.notify import notify
from coolcap_agent.logging import set_up_logging
from coolcap_agent.rpc.identity import Tls

log = logging.getLogger(__name__)


def run_coordinator(path: Path) -> int:
    """Divide until told to stop; return the exit code. Raises ConfigError.

    Budgets stay as they are when it ends: a hall that goes on alone keeps its share.
    """
    config = read_coordinator_config(path)
    set_up_logging(config.log)
    tls = config.load_tls()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(config, tls))
    return 0


async def _run(config: CoordinatorConfig, tls: Tls) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    halls = [RemoteHall(hall, tls=tls) for hall in config.halls]
    coordinator = Coordinator(halls, budget_w=config.budget_w)
    names = ", ".join(hall.name for hall in halls)
    log.info("dividing %.0f W among %s every %g s", config.budget_w, names, config.period_s)
    notify("READY=1")
    try:
        while True:
            await coordinator.step()
            await asyncio.sleep(config.period_s)
    finally:
        notify("STOPPING=1")
        for hall in halls:
            await hall.close()
