"""The simulation host: advances a plant model in step with the agents that control it.

In each period it waits until every agent has answered the newest frame, takes limits and setpoints
from the hall, advances the plant and publishes the next frame, or several that lead up to it.
"""

import json
import logging
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from coolcap_agent.durable import write_durably
from coolcap_agent.logging import set_up_logging
from coolcap_agent.sim.config import FAULT_DEVICES, PlantFault, SimConfig
from coolcap_agent.sim.fan_out import FanOut, hardware_of
from coolcap_agent.sim.faults import advance_faults
from coolcap_agent.sim.ground_truth import GroundTruth
from coolcap_agent.sim.hall_create import create_hall
from coolcap_agent.sim.in_between import between
from coolcap_agent.sim.lock_step import LockStep, Pace
from coolcap_envs.contract.plant import Plant
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.limits import Limits

_LOG = logging.getLogger(__name__)


class HostedPlant(Plant, Protocol):
    """What the host needs of a plant model, of one site and without batch axes."""

    def read_truth(self) -> Telemetry:
        """Return the true state, untouched by sensor faults."""
        ...

    def advance(self, dt_s: float) -> None:
        """Let site time pass with the setpoints in force."""
        ...

    def set_available(self, *, crah: float, chiller: float, tower: float, pump: float) -> None:
        """Say which share of each kind of devices is fit to run."""
        ...


class SimulationHost:
    """One run of one site.

    Args:
        plant: The plant model, at the start of the run.
        limits: Limits of the site, for levers' defaults and to judge violations.
        config: What to run.
        stop: Set it to end the run within the present period.
        mono_s: The host's monotonic clock.
        sleep: Pauses the process.
    """

    def __init__(
        self,
        plant: HostedPlant,
        limits: Limits,
        config: SimConfig,
        *,
        stop: threading.Event | None = None,
        mono_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plant, self._config = plant, config
        self._stop = stop or threading.Event()
        hardware = hardware_of(plant.layout, limits)
        self._fan_out = FanOut(plant.layout, hardware)
        self._hall = create_hall(
            config.hall_file,
            hardware,
            self._fan_out.frame(plant.read(), None),
            policy_period_s=config.period_s,
        )
        self._truth = GroundTruth(limits)
        self._truth.add(plant.read_truth())
        self._lock_step = LockStep(
            self._hall,
            timeout_s=config.ack_timeout_s,
            start_timeout_s=config.start_timeout_s,
            stopped=self._stop.is_set,
            mono_s=mono_s,
            sleep=sleep,
        )
        self._pace = Pace(config.speed, stopped=self._stop.is_set, mono_s=mono_s, sleep=sleep)
        self._mono_s = mono_s
        self._cost = {"periods": 0.0, "wall_s": 0.0, "cpu_s": 0.0, "plant_cpu_s": 0.0}

    def run(self) -> None:
        """Run to the end of the configured duration, or until stopped; the hall has ended then."""
        start_s, before = self._config.start_time_s, self._plant.read()
        time_s = float(before.time_s)
        start_mono_s, start_cpu_s = self._mono_s(), time.process_time()
        try:
            while time_s < start_s + self._config.duration_s:
                self._lock_step.wait(time_s)
                if self._stop.is_set():
                    break
                after = self._advance(time_s - start_s)
                self._publish(before, after)
                before, time_s = after, float(after.time_s)
        finally:
            self._hall.end()
            self._cost["wall_s"] += self._mono_s() - start_mono_s
            self._cost["cpu_s"] += time.process_time() - start_cpu_s

    def summary(self) -> dict[str, object]:
        """Return what really happened, and what running it cost."""
        start_time = datetime.fromtimestamp(self._config.start_time_s, UTC)
        return {
            "site": self._plant.layout.name,
            "seed": self._config.seed,
            "start_time": start_time.isoformat(),
            "completed": self._truth.totals.elapsed_s >= self._config.duration_s,
            **self._truth.as_dict(),
            "missed_acknowledgements": self._lock_step.missed_count,
            "host": self._cost,
        }

    def _advance(self, elapsed_s: float) -> Telemetry:
        """Advance the plant by a period and return its readings."""
        self._plant.set_available(**availability(self._config.faults, elapsed_s=elapsed_s))
        advance_faults(self._hall)
        start_cpu_s = time.process_time()
        self._plant.apply(self._fan_out.setpoints(self._hall))
        self._plant.advance(self._config.period_s)
        self._cost["plant_cpu_s"] += time.process_time() - start_cpu_s
        self._cost["periods"] += 1.0
        self._truth.add(self._plant.read_truth())
        return self._plant.read()

    def _publish(self, before: Telemetry, after: Telemetry) -> None:
        """Publish the frames of a period, each when its time has come."""
        count = self._config.frames_per_period
        for number in range(1, count + 1):
            self._pace.wait(self._config.period_s / count)
            if self._stop.is_set():
                return
            readings = between(before, after, part_ratio=number / count)
            self._hall.publish(self._fan_out.frame(readings, self._hall))


def availability(faults: tuple[PlantFault, ...], *, elapsed_s: float) -> dict[str, float]:
    """Return the share of each kind of devices that is fit to run; the worst fault decides."""
    ratios = dict.fromkeys(FAULT_DEVICES, 1.0)
    for fault in faults:
        if fault.start_s <= elapsed_s < fault.start_s + fault.duration_s:
            ratios[fault.device] = min(ratios[fault.device], fault.available_ratio)
    return ratios


def write_summary(path: Path, summary: dict[str, object]) -> None:
    """Write a summary as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode())


def run_host(config: SimConfig) -> int:
    """Run a site as a process of its own; SIGTERM and SIGINT end it in good order.

    Returns:
        The process's exit status, 0.

    Raises:
        ConfigError: If the site cannot be simulated.
        DriverError: If the hall cannot be created.
    """
    from coolcap_agent.sim.site_plant import account, load_site_plant  # loads Numba

    set_up_logging(config.log)
    plant = load_site_plant(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host = SimulationHost(plant, plant.limits, config, stop=stop)
    _LOG.info("simulating %s in %s", plant.layout.name, config.hall_file)
    host.run()
    if config.summary_file is not None:
        write_summary(config.summary_file, {**host.summary(), "plant_totals": account(plant)})
    _LOG.info("simulation of %s ended", plant.layout.name)
    return 0
