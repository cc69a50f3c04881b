"""The simulated drivers pass the suite of all drivers, and do what only they promise."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.drivers.driver_suite import CoolingBench, CoolingDriverSuite, GpuBench, GpuDriverSuite
from coolcap_agent.drivers.base import DeviceLost, DriverError
from coolcap_agent.drivers.simulated import (
    SimulatedCoolingDriver,
    SimulatedGpuDriver,
    make_cooling_driver,
    make_gpu_driver,
)
from coolcap_agent.sim.hall_layout import Fault
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.signals import PLANT_SIGNALS
from support.small_hall import DEMAND_W, SERVER_RATIO, START_S, SmallHall


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


def gpu_driver(small: SmallHall, node: str = "node-2") -> SimulatedGpuDriver:
    driver = SimulatedGpuDriver(small.path, node)
    driver.open()
    return driver


def cooling_driver(small: SmallHall) -> SimulatedCoolingDriver:
    driver = SimulatedCoolingDriver(small.path)
    driver.open()
    return driver


def gpu_row(small: SmallHall, uuid: str) -> int:
    uuids: list[bytes] = small.hall.table("gpu_info")["uuid"].tolist()
    return uuids.index(uuid.encode())


def gpu_fault(small: SmallHall, flag: Fault) -> Callable[[str], None]:
    def inject(uuid: str) -> None:
        small.hall.table("gpu_fault")["flags"][gpu_row(small, uuid)] = flag

    return inject


def lever_fault(small: SmallHall, flag: Fault) -> Callable[[str], None]:
    def inject(lever: str) -> None:
        small.hall.table("lever_fault")["flags"][PLANT_LEVER_COLUMN[lever]] = flag

    return inject


class TestSimulatedGpuDriver(GpuDriverSuite):
    """The shared suite on simulated GPUs."""

    @pytest.fixture
    def bench(self, small: SmallHall) -> GpuBench:
        def limit_elsewhere(uuid: str, limit_w: float) -> None:
            faults = small.hall.table("gpu_fault")
            faults["power_limit_other_w"][gpu_row(small, uuid)] = limit_w

        return GpuBench(
            driver=gpu_driver(small),
            advance=small.advance,
            reopen=lambda: gpu_driver(small),
            lose=gpu_fault(small, Fault.LOST),
            deny=gpu_fault(small, Fault.NO_PERMISSION),
            ignore_writes=gpu_fault(small, Fault.IGNORED_SET),
            limit_elsewhere=limit_elsewhere,
        )


class TestSimulatedCoolingDriver(CoolingDriverSuite):
    """The shared suite on simulated cooling equipment."""

    @pytest.fixture
    def bench(self, small: SmallHall) -> CoolingBench:
        def override(lever: str, value: float) -> None:
            row = PLANT_LEVER_COLUMN[lever]
            small.hall.table("lever_fault")["override_value"][row] = value

        return CoolingBench(
            driver=cooling_driver(small),
            reopen=lambda: cooling_driver(small),
            lose=lever_fault(small, Fault.LOST),
            deny=lever_fault(small, Fault.NO_PERMISSION),
            ignore_writes=lever_fault(small, Fault.IGNORED_SET),
            override=override,
        )


def test_nodes_see_their_own_gpus_only(small: SmallHall) -> None:
    first, second = (
        [gpu.uuid for gpu in gpu_driver(small, node).inventory()] for node in ("node-1", "node-2")
    )

    assert len(first) == len(second) == 2
    assert not set(first) & set(second)


def test_uuids_are_the_same_in_every_run(small: SmallHall, tmp_path: Path) -> None:
    again = SmallHall.create(tmp_path / "again")

    uuids = [[gpu.uuid for gpu in gpu_driver(hall).inventory()] for hall in (small, again)]

    assert uuids[0] == uuids[1]


def test_limit_takes_effect_in_the_next_frame(small: SmallHall) -> None:
    driver = gpu_driver(small)
    uuid = driver.inventory()[1].uuid
    driver.set_power_limit(uuid, power_limit_w=150.0)

    before = driver.read_gpu(uuid)
    small.advance(30.0)
    after = driver.read_gpu(uuid)

    assert (before.measure_time_s, before.power_w) == (START_S, DEMAND_W)
    assert (after.measure_time_s, after.power_w) == (START_S + 30.0, 150.0)


def test_node_reads_the_sum_of_its_groups(small: SmallHall) -> None:
    reading = gpu_driver(small).read_node()

    assert reading.it_power_w == pytest.approx(2 * SERVER_RATIO * DEMAND_W)
    assert reading.it_energy_kwh == pytest.approx(2.0)
    assert reading.inlet_temp_c == 22.0


def test_missing_right_is_named_in_the_inventory(small: SmallHall) -> None:
    driver = gpu_driver(small)
    uuid = driver.inventory()[0].uuid
    gpu_fault(small, Fault.NO_PERMISSION)(uuid)

    reasons = [gpu.read_only_reason for gpu in driver.inventory()]

    assert ["no_permission" in reason for reason in reasons] == [True, False]


def test_gpu_that_requires_a_reset_counts_as_lost(small: SmallHall) -> None:
    driver = gpu_driver(small)
    uuid = driver.inventory()[0].uuid
    gpu_fault(small, Fault.RESET_REQUIRED)(uuid)

    with pytest.raises(DeviceLost, match="requires a reset"):
        driver.read_gpu(uuid)


def test_gpu_that_hangs_blocks_the_call_and_then_fails(small: SmallHall) -> None:
    driver = gpu_driver(small)
    uuid = driver.inventory()[0].uuid
    gpu_fault(small, Fault.HANG)(uuid)
    small.hall.table("gpu_fault")["call_delay_s"] = 0.05
    start_s = time.monotonic()

    with pytest.raises(DeviceLost, match="did not answer in time"):
        driver.read_gpu(uuid)

    assert time.monotonic() - start_s >= 0.05


def test_lever_holds_the_site_default_until_commanded_and_after_release(small: SmallHall) -> None:
    driver = cooling_driver(small)
    lever = "supply_air_temp_setpoint_c"

    values = [driver.read_setpoint(lever)]
    driver.set_setpoint(lever, value=23.0)
    values.append(driver.read_setpoint(lever))
    driver.release(lever)
    values.append(driver.read_setpoint(lever))

    assert values == [20.0, 23.0, 20.0]


def test_plant_follows_the_person_who_overrides_a_command(small: SmallHall) -> None:
    cooling_driver(small).set_setpoint("supply_air_temp_setpoint_c", value=23.0)
    small.hall.table("lever_fault")["override_value"][0] = 18.0

    small.advance(30.0)

    assert small.plant.asked[-1].plant[0] == 18.0


def test_all_signals_are_read_and_absent_ones_are_nan(small: SmallHall) -> None:
    readings = cooling_driver(small).read()

    assert [reading.signal for reading in readings] == [signal.name for signal in PLANT_SIGNALS]
    by_name = {reading.signal: reading for reading in readings}
    assert by_name["supply_air_temp_c"].value == 20.0
    assert np.isnan(by_name["cdu_supply_temp_c"].value)
    assert by_name["supply_air_temp_c"].measure_time_s == START_S


def test_acknowledgements_arrive_in_the_hall(small: SmallHall) -> None:
    gpu_driver(small).acknowledge(answers_time_s=START_S)
    cooling_driver(small).acknowledge(answers_time_s=START_S + 30.0)

    assert small.hall.table("node_ack")["answers_time_s"].tolist() == [-np.inf, START_S]
    assert small.hall.table("plant_ack")["answers_time_s"].tolist() == [START_S + 30.0]


def test_unknown_node_is_refused_with_the_known_ones(small: SmallHall) -> None:
    with pytest.raises(DriverError, match="no node 'node-9'; its nodes are: node-1, node-2"):
        gpu_driver(small, "node-9")


def test_driver_that_was_not_opened_says_so(small: SmallHall) -> None:
    with pytest.raises(DriverError, match="is not open"):
        SimulatedGpuDriver(small.path, "node-1").inventory()


def test_drivers_are_made_from_a_config_table(small: SmallHall) -> None:
    tables = [Table({"hall": "hall"}, path="driver.simulated", problems=[]) for _ in range(2)]

    gpus = make_gpu_driver(tables[0], node_id="node-1", folder=small.path.parent)
    cooling = make_cooling_driver(tables[1], plant_id="any", folder=small.path.parent)
    gpus.open()
    cooling.open()

    assert len(gpus.inventory()) == 2
    assert len(cooling.levers()) == 4
    assert [table.keys() for table in tables] == [(), ()]


def test_missing_path_of_the_hall_is_a_config_problem(tmp_path: Path) -> None:
    table = Table({}, path="driver.simulated", problems=[])

    make_gpu_driver(table, node_id="node-1", folder=tmp_path)

    assert table.problems == ["driver.simulated.hall is missing: a text is needed"]
