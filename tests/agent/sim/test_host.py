"""The host advances its plant in step with what agents wrote, and ends in good order."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.drivers.base import CoolingDriver, GpuDriver
from coolcap_agent.drivers.simulated import SimulatedCoolingDriver, SimulatedGpuDriver
from coolcap_agent.sim.config import PlantFault, SimConfig
from coolcap_agent.sim.hall_file import HallFile, Readings, open_hall
from coolcap_agent.sim.hall_layout import Fault, State
from coolcap_agent.sim.host import SimulationHost, availability, write_summary
from support.small_hall import DEMAND_W, START_S, SmallPlant
from support.small_site import small_site


class Agents:
    """Agents of both nodes and the plant that act while the host sleeps."""

    def __init__(self, path: Path) -> None:
        self.nodes = [SimulatedGpuDriver(path, node) for node in ("node-1", "node-2")]
        self.plant = SimulatedCoolingDriver(path)
        drivers: list[GpuDriver | CoolingDriver] = [*self.nodes, self.plant]
        for driver in drivers:
            driver.open()
        self.drivers = drivers
        self.each_frame: Callable[[float], None] = lambda _: None
        self.frames_s: list[float] = []

    def act(self, _: float) -> None:
        time_s = self.nodes[0].read_node().measure_time_s
        if self.frames_s and time_s == self.frames_s[-1]:
            return
        self.frames_s.append(time_s)
        self.each_frame(time_s)
        for driver in self.drivers:
            driver.acknowledge(answers_time_s=time_s)


def config(path: Path, **changes: object) -> SimConfig:
    values: dict[str, object] = {
        "site": "small",
        "seed": 3,
        "start_time_s": START_S,
        "duration_s": 150.0,
        "hall_file": path,
        **changes,
    }
    return SimConfig(**values)  # type: ignore[arg-type]


def build(
    path: Path, *, stop: threading.Event | None = None, **changes: object
) -> tuple[SimulationHost, SmallPlant, Agents]:
    layout, limits = small_site()
    plant = SmallPlant(layout, limits)
    agents: list[Agents] = []
    host = SimulationHost(
        plant,
        limits,
        config(path, **changes),
        stop=stop,
        mono_s=lambda: 0.0,
        sleep=lambda duration_s: agents[0].act(duration_s),
    )
    agents.append(Agents(path))
    return host, plant, agents[0]


def test_agents_see_every_frame_once_and_the_hall_ends(tmp_path: Path) -> None:
    host, _, agents = build(tmp_path / "hall")

    host.run()

    hall = open_hall(tmp_path / "hall", writable=False)
    assert agents.frames_s == [START_S + 30.0 * k for k in range(5)]
    assert (hall.state, hall.time_s()) == (State.ENDED, START_S + 150.0)


def test_limits_and_setpoints_act_in_the_period_after_they_were_written(tmp_path: Path) -> None:
    host, plant, agents = build(tmp_path / "hall")

    def command(time_s: float) -> None:
        if time_s == START_S + 30.0:
            uuid = agents.nodes[1].inventory()[0].uuid
            agents.nodes[1].set_power_limit(uuid, power_limit_w=250.0)
            agents.plant.set_setpoint("supply_air_temp_setpoint_c", value=24.0)

    agents.each_frame = command
    host.run()

    assert [asked.power_cap_w[2] for asked in plant.asked] == [500.0, 250.0, 250.0, 250.0, 250.0]
    assert [asked.plant[0] for asked in plant.asked] == [20.0, 24.0, 24.0, 24.0, 24.0]


def test_lost_command_of_a_restarted_agent_stays_in_force(tmp_path: Path) -> None:
    """The device holds a limit, not the process that set it."""
    host, plant, agents = build(tmp_path / "hall")

    def command(time_s: float) -> None:
        if time_s == START_S:
            uuid = agents.nodes[0].inventory()[0].uuid
            agents.nodes[0].set_power_limit(uuid, power_limit_w=250.0)
        elif time_s == START_S + 60.0:
            agents.nodes[0].close()
            agents.nodes[0].open()

    agents.each_frame = command
    host.run()

    assert {asked.power_cap_w[0] for asked in plant.asked} == {250.0}


def test_stopped_host_ends_the_hall_and_says_so(tmp_path: Path) -> None:
    stop = threading.Event()
    host, _, agents = build(tmp_path / "hall", stop=stop)
    agents.each_frame = lambda time_s: stop.set() if time_s == START_S + 60.0 else None

    host.run()

    hall = open_hall(tmp_path / "hall", writable=False)
    assert (hall.state, hall.time_s()) == (State.ENDED, START_S + 60.0)
    assert host.summary()["completed"] is False


def test_hall_ends_even_if_the_plant_model_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, plant, _ = build(tmp_path / "hall")

    def fail(_: float) -> None:
        raise FloatingPointError

    monkeypatch.setattr(plant, "advance", fail)

    with pytest.raises(FloatingPointError):
        host.run()
    assert open_hall(tmp_path / "hall", writable=False).state is State.ENDED


def test_faults_of_the_plant_follow_their_schedule(tmp_path: Path) -> None:
    trip = PlantFault(device="chiller", start_s=60.0, duration_s=60.0, available_ratio=0.0)
    host, plant, _ = build(tmp_path / "hall", faults=(trip,))

    host.run()

    assert [ratios["chiller"] for ratios in plant.available] == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert [ratios["crah"] for ratios in plant.available] == [1.0] * 5


def test_worst_of_overlapping_faults_decides() -> None:
    faults = tuple(
        PlantFault(device="crah", start_s=0.0, duration_s=60.0, available_ratio=ratio)
        for ratio in (0.7, 0.5, 0.9)
    )

    assert availability(faults, elapsed_s=0.0)["crah"] == 0.5
    assert availability(faults, elapsed_s=60.0)["crah"] == 1.0


def test_faults_of_devices_act_in_each_period(tmp_path: Path) -> None:
    host, plant, agents = build(tmp_path / "hall")
    hall: HallFile = open_hall(tmp_path / "hall", writable=True)

    def meddle(time_s: float) -> None:
        if time_s == START_S + 30.0:
            hall.table("gpu_fault")["foreign_limit_w"][0] = 333.0
            hall.table("gpu_fault")["flags"][0] = Fault.FOREIGN_MANAGER

    agents.each_frame = meddle
    host.run()

    assert [asked.power_cap_w[0] for asked in plant.asked] == [500.0, 333.0, 333.0, 333.0, 333.0]


def test_summary_tells_the_truth_and_the_cost_as_json(tmp_path: Path) -> None:
    host, _, _ = build(tmp_path / "hall")
    host.run()
    write_summary(tmp_path / "out" / "truth.json", host.summary())

    summary = json.loads((tmp_path / "out" / "truth.json").read_text())

    assert (summary["site"], summary["seed"], summary["completed"]) == ("small", 3, True)
    assert summary["start_time"] == "1970-01-12T13:46:40+00:00"
    assert summary["totals"]["elapsed_s"] == 150.0
    assert summary["totals"]["it_energy_kwh"] == pytest.approx(4 * 480.0 * 150.0 / 3.6e6)
    assert summary["missed_acknowledgements"] == {"node-1": 0, "node-2": 0, "plant": 0}
    assert summary["host"]["periods"] == 5.0


def test_several_frames_lead_from_one_step_to_the_next(tmp_path: Path) -> None:
    """Nobody need answer those in between, and energy is power times time in each of them."""
    host, plant, _ = build(tmp_path / "hall", duration_s=60.0, frames_per_period=3)
    hall = open_hall(tmp_path / "hall", writable=False)
    seen: list[tuple[float, float]] = []
    publish = HallFile.publish

    def spy(self: HallFile, readings: Readings) -> None:
        publish(self, readings)
        half = hall.published % 2
        seen.append((hall.time_s(), float(hall.table("gpu_reading")["energy_kwh"][half, 0])))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(HallFile, "publish", spy)
        host.run()

    elapsed_s = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert [time_s - START_S for time_s, _ in seen] == pytest.approx(elapsed_s)
    assert [kwh for _, kwh in seen] == pytest.approx([DEMAND_W * t / 3.6e6 for t in elapsed_s])
    assert len(plant.asked) == 2


def test_last_period_is_whole_even_if_the_duration_is_not(tmp_path: Path) -> None:
    host, _, _ = build(tmp_path / "hall", duration_s=100.0)

    host.run()

    assert open_hall(tmp_path / "hall", writable=False).time_s() == START_S + 120.0


def test_same_commands_give_the_same_readings(tmp_path: Path) -> None:
    readings = []
    for name in ("first", "second"):
        host, _, _ = build(tmp_path / name)
        host.run()
        hall = open_hall(tmp_path / name, writable=False)
        readings.append(hall.table("gpu_reading")[hall.published % 2].tobytes())

    assert readings[0] == readings[1]
    assert np.frombuffer(readings[0], np.uint8).any()
