"""A whole plant agent inside the test's process, over equipment in memory."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from coolcap_agent.daemon.commands import Answer, Command
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.drivers.base import Holder, LeverInfo, LeverReading, SignalReading
from coolcap_agent.lease import Lease
from coolcap_agent.plant.agent import PlantAgent
from coolcap_agent.plant.config import read_plant_config
from coolcap_agent.plant.equipment import Equipment
from coolcap_agent.plant.limits import lever_key
from coolcap_agent.plant.state import PlantState
from support.fake_points import HandClock

SUPPLY, CW, FLOW, CDU = (
    "supply_air_temp_setpoint_c",
    "cw_supply_temp_setpoint_c",
    "air_flow_setpoint_ratio",
    "cdu_supply_temp_setpoint_c",
)
LOCAL = {SUPPLY: 20.0, CW: 24.0, FLOW: 0.8, CDU: 30.0}
UNITS = {SUPPLY: "°C", CW: "°C", FLOW: "1", CDU: "°C"}
DEVICE = {SUPPLY: (10.0, 35.0), CW: (5.0, 45.0), FLOW: (0.2, 1.0), CDU: (15.0, 50.0)}
OWN = {SUPPLY: (16.0, 26.0), CW: (16.0, 30.0), FLOW: (0.4, 1.0), CDU: (18.0, 40.0)}
RATE_PER_MIN = {SUPPLY: 0.5, CW: 1.0, FLOW: 0.1, CDU: 1.0}
STEP_SPAN_MAX_S = 300.0
NORMAL = {
    "inlet_temp_max_c": 23.0,
    "dew_point_c": 9.0,
    "wet_bulb_temp_c": 12.0,
    "it_power_w": 20_000.0,
}

CONFIG = """
plant_id = "plant"
state_dir = "state"
sample_period_s = 30.0
hand_back_max_s = 3600.0
[server]
certificate_file = "plant.crt"
key_file = "plant.key"
ca_file = "ca.crt"
[lease]
ttl_default_s = 90.0
ttl_max_s = 90.0
[driver]
name = "simulated"
[driver.simulated]
hall = "hall.bin"
[fallback]
well_s = 60.0
per_day_max = 2
{more}
[limits.inlet]
high_c = 32.0
unknown_max_s = 120.0
"""


def own_limits(**changed: tuple[float, float]) -> str:
    """The agent's limits of every lever as TOML."""
    return "".join(
        f"[limits.levers.{lever}]\nlow = {low}\nhigh = {high}\n"
        f"rise_max_per_min = {RATE_PER_MIN[lever]}\nfall_max_per_min = {RATE_PER_MIN[lever]}\n"
        for lever, (low, high) in {**OWN, **changed}.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One write that reached the equipment, and what was in force before it."""

    time_s: float
    lever: str
    before: float
    value: float


class MemoryCooling:
    """Levers that follow at once, sensors that show what the test says."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.values = dict(LOCAL)
        self.ours: set[str] = set()
        self.other: dict[str, float] = {}
        self.signals: dict[str, float] = dict(NORMAL)
        self.written: list[Written] = []
        self.released: list[str] = []

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def levers(self) -> Sequence[LeverInfo]:
        """The four levers."""
        return [
            LeverInfo(name=lever, unit=UNITS[lever], low=low, high=high)
            for lever, (low, high) in DEVICE.items()
        ]

    def read(self) -> Sequence[SignalReading]:
        """What the test says the sensors show."""
        return [
            SignalReading(
                signal=signal,
                value=value,
                measure_time_s=self._clock.now_s(),
                origin="memory",
                problem="" if math.isfinite(value) else "no number",
            )
            for signal, value in self.signals.items()
        ]

    def read_setpoint(self, lever: str) -> float:
        """What is in force."""
        return self.other.get(lever, self.values[lever])

    def read_lever(self, lever: str) -> LeverReading:
        """What is in force and who decides."""
        holder = Holder.OURS if lever in self.ours else Holder.LOCAL
        if lever in self.other:
            holder = Holder.OTHER
        return LeverReading(lever=lever, value=self.read_setpoint(lever), holder=holder)

    def set_setpoint(self, lever: str, *, value: float) -> None:
        """Follow."""
        before = self.values[lever]
        self.written.append(
            Written(time_s=self._clock.now_s(), lever=lever, before=before, value=value)
        )
        self.values[lever] = value
        self.ours.add(lever)

    def adopt(self, lever: str, *, before: float) -> None:
        """Do nothing."""

    def release(self, lever: str) -> None:
        """Go back to the local program."""
        self.released.append(lever)
        self.ours.discard(lever)
        self.values[lever] = LOCAL[lever]

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Do nothing."""


class WatchedPlant:
    """The agent, its equipment and a clock in the test's hand."""

    def __init__(self, folder: Path, agent: PlantAgent, driver: MemoryCooling) -> None:
        self.folder, self.agent, self.driver = folder, agent, driver
        self._sequence = 0

    @property
    def clock(self) -> HandClock:
        clock = self.agent.clock
        assert isinstance(clock, HandClock)
        return clock

    @property
    def state(self) -> PlantState:
        return self.agent.watch.state

    async def acquire(self) -> Lease:
        """Take the lease, renewing one's own."""
        return await self.agent.guard.acquire(holder="control", instance_id="1", ttl_s=None)

    async def command(self, lease: Lease, **setpoints: float) -> Answer:
        """Command levers under a lease."""
        self._sequence += 1
        return await self.agent.commander.carry_out(
            Command(
                lease_id=lease.lease_id,
                epoch=lease.epoch,
                sequence=self._sequence,
                answers_time_s=None,
                targets=[(lever_key(lever), value) for lever, value in setpoints.items()],
                content=str((self._sequence, setpoints)).encode(),
            )
        )

    async def sample(self, *, after_s: float = 30.0, **signals: float) -> None:
        """Let time pass, let sensors show something, and have the agent read them."""
        self.clock.time_s += after_s
        self.driver.signals.update(signals)
        await self.agent.sample()
        await self.agent.guard.tick()


@asynccontextmanager
async def watched_plant(folder: Path, *, more: str = "") -> AsyncIterator[WatchedPlant]:
    """A plant agent that was started; ``more`` is added to its config."""
    clock = HandClock()
    driver = MemoryCooling(clock)
    path = folder / "plant.toml"
    path.write_text(CONFIG.format(more=more) + own_limits())
    config = replace(read_plant_config(path), driver=driver)
    with StateDir(config.agent.state_dir) as state:
        equipment = Equipment(driver, deadline_s=5.0)
        await equipment.open(deadline_s=5.0)
        agent = PlantAgent(
            config, equipment=equipment, state=state, clock=clock, mono_s=clock.mono_s
        )
        await agent.guard.start()
        try:
            yield WatchedPlant(folder, agent, driver)
        finally:
            await agent.close()
