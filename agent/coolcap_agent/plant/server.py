"""Entry points of ``coolcap plant``."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from coolcap_agent.daemon import process
from coolcap_agent.daemon.state_dir import StateDir, StateDirError
from coolcap_agent.daemon.wire import plain, restore_report
from coolcap_agent.drivers.probe import LeverProbe, probe_levers
from coolcap_agent.logging import FaultLog
from coolcap_agent.plant import wire
from coolcap_agent.plant.agent import (
    OPEN_DEADLINE_S,
    PlantAgent,
    capabilities,
    log,
    open_plant,
)
from coolcap_agent.plant.config import PlantConfig, read_plant_config
from coolcap_agent.plant.equipment import Equipment
from coolcap_agent.plant.sampler import Sampler
from coolcap_agent.plant.trip import Reset, Trip, TripLatch
from coolcap_agent.plant.trust import SensorTrust
from coolcap_envs.contract.errors import ConfigError
from coolcap_proto.v1 import common_pb2, plant_agent_pb2


def run_plant(path: Path) -> int:
    """Run the plant agent until it is told to stop; return the exit code.

    Raises:
        ConfigError: If the config is unusable.
    """
    config = read_plant_config(path)

    async def make(state: StateDir) -> PlantAgent:
        agent = await open_plant(config, state)
        _reload_on_sighup(agent, path)
        return agent

    return process.run(config.agent, make)


def _reload_on_sighup(agent: PlantAgent, path: Path) -> None:
    running: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            config = await asyncio.to_thread(read_plant_config, path)
        except ConfigError as error:
            log.error("the config stays as it was: %s", error)
            return
        await agent.reload(config)

    def begin() -> None:
        task = asyncio.create_task(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)


def plant_reset(path: Path, *, who: str, reason: str) -> Trip:
    """Ask the plant agent, running or not, to leave its trip; return the trip.

    Raises:
        CoolcapError: If the config is unusable or there is no trip.
    """
    config = read_plant_config(path)
    return TripLatch(config.agent.state_dir).ask_to_reset(Reset(who=who, reason=reason))


def plant_restore(path: Path) -> dict[str, Any]:
    """Put back what a dead plant agent's journal holds, and return what became of each value.

    Raises:
        CoolcapError: If config, journal or equipment are unusable, or the agent is alive.
    """
    config = read_plant_config(path)
    return restore_report(process.restore(config.agent, lambda state: open_plant(config, state)))


def plant_probe(path: Path) -> list[LeverProbe]:
    """Prove each lever commandable: write the value in force, read back, give it back.

    Raises:
        CoolcapError: If config or equipment are unusable, the agent runs, or a dead agent's
            journal has not been restored.
    """
    config = read_plant_config(path)
    with StateDir(config.agent.state_dir) as state:
        if state.journal.exists():
            raise StateDirError(
                f"{state.journal} holds values from before a write that was not undone; run "
                f"`coolcap plant restore --config {path}` first"
            )
        config.driver.open()
        try:
            return list(probe_levers(config.driver, write=not config.agent.read_only))
        finally:
            config.driver.close()


def plant_once(path: Path) -> dict[str, Any]:
    """Return levers and one reading; writes nothing and needs no running agent.

    Raises:
        CoolcapError: If config or driver are unusable.
    """
    return asyncio.run(_once(read_plant_config(path)))


async def _once(config: PlantConfig) -> dict[str, Any]:
    equipment = Equipment(config.driver, deadline_s=config.agent.device_deadline_s)
    await equipment.open(deadline_s=OPEN_DEADLINE_S)
    faults = FaultLog(log)
    try:
        levers = [
            (info, config.limits.spec(info, read_only=config.agent.read_only))
            for info in equipment.infos
        ]
        sample = await Sampler(
            equipment,
            age_max_s=config.signal_age_max_s,
            clock=config.agent.clock(),
            faults=faults,
            trust=SensorTrust(config.trust),
        ).sample()
    finally:
        await equipment.close()
    telemetry = wire.telemetry_message(
        sample,
        plant_id=config.agent.agent_id,
        sequence=1,
        boot_id="",
        lease=common_pb2.LeaseStatus(),
        states={
            lever.info.name: plant_agent_pb2.LEVER_STATE_UNSPECIFIED for lever in sample.levers
        },
        commanded={},
        faults={info.name: faults.about(info.name) for info, _ in levers},
    )
    telemetry.ClearField("lease")
    return {"capabilities": plain(capabilities(config, levers)), "telemetry": plain(telemetry)}
