"""Entry points of ``coolcap node``."""

import asyncio
from pathlib import Path
from typing import Any

from coolcap_agent.daemon import process
from coolcap_agent.daemon.wire import plain, restore_report
from coolcap_agent.logging import FaultLog
from coolcap_agent.node import wire
from coolcap_agent.node.agent import (
    OPEN_DEADLINE_S,
    capabilities,
    gpu_specs,
    log,
    open_node,
)
from coolcap_agent.node.config import NodeConfig, read_node_config
from coolcap_agent.node.gpus import Gpus
from coolcap_agent.node.sampler import Sampler
from coolcap_proto.v1 import common_pb2


def run_node(path: Path) -> int:
    """Run the node agent until it is told to stop; return the exit code.

    Raises:
        ConfigError: If the config is unusable.
    """
    config = read_node_config(path)
    return process.run(config.agent, lambda state: open_node(config, state))


def node_restore(path: Path) -> dict[str, Any]:
    """Put back what a dead node agent's journal holds, and return what became of each value.

    Raises:
        CoolcapError: If config, journal or GPUs are unusable, or the agent is alive.
    """
    config = read_node_config(path)
    return restore_report(process.restore(config.agent, lambda state: open_node(config, state)))


def node_once(path: Path) -> dict[str, Any]:
    """Return inventory and one reading; writes nothing and needs no running agent.

    Raises:
        CoolcapError: If config or driver are unusable.
    """
    return asyncio.run(_once(read_node_config(path)))


async def _once(config: NodeConfig) -> dict[str, Any]:
    gpus = Gpus(config.driver, deadline_s=config.agent.device_deadline_s)
    await gpus.open(deadline_s=OPEN_DEADLINE_S)
    faults = FaultLog(log)
    try:
        specs = gpu_specs(config, gpus.infos)
        read_only = frozenset(info.uuid for info, cap, _ in specs if cap.refusal)
        rights = dict(gpus.rights())
        clock = config.agent.clock()
        sample = await Sampler(gpus, read_only=read_only, clock=clock, faults=faults).sample()
    finally:
        await gpus.close()
    telemetry = wire.telemetry_message(
        sample,
        node_id=config.agent.agent_id,
        sequence=1,
        boot_id="",
        lease=common_pb2.LeaseStatus(),
        faults={info.uuid: faults.about(info.uuid) for info in gpus.infos},
    )
    telemetry.ClearField("lease")
    return {
        "rights": rights,
        "capabilities": plain(capabilities(config, specs)),
        "telemetry": plain(telemetry),
    }
