"""The suite of all GPU drivers on ``drivers/nvml.py`` over the simulated NVML.

Run by ``test_agent_driver.py`` in a process that finds the library.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.drivers.driver_suite import GpuBench, GpuDriverSuite
from coolcap_agent.drivers.base import DeviceLost, DriverError, GpuEvent
from coolcap_agent.drivers.nvml import NvmlDriver
from coolcap_agent.sim.faults import clear_faults, set_fault
from support.small_hall import DEMAND_W, SmallHall


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHall:
    monkeypatch.setenv("COOLCAP_HALL", str(tmp_path / "hall"))
    monkeypatch.setenv("COOLCAP_NODE", "node-2")
    return SmallHall.create(tmp_path / "hall")


@pytest.fixture
def open_driver(small: SmallHall) -> Iterator[Callable[[], NvmlDriver]]:
    """Open drivers and let NVML go at the end: a process has one session, on one hall."""
    drivers: list[NvmlDriver] = []

    def make() -> NvmlDriver:
        drivers.append(NvmlDriver(assume_rights=True))
        drivers[-1].now_s = small.hall.time_s
        drivers[-1].open()
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


class TestNvmlDriver(GpuDriverSuite):
    @pytest.fixture
    def bench(self, small: SmallHall, open_driver: Callable[[], NvmlDriver]) -> GpuBench:
        return GpuBench(
            driver=open_driver(),
            advance=small.advance,
            reopen=open_driver,
            lose=lambda uuid: set_fault(small.hall, uuid, "gpu-lost"),
            deny=lambda uuid: set_fault(small.hall, uuid, "no-permission"),
            ignore_writes=lambda uuid: set_fault(small.hall, uuid, "ignored-set"),
            limit_elsewhere=lambda uuid, limit_w: set_fault(
                small.hall, uuid, "out-of-band-limit", value=limit_w
            ),
        )


def test_cap_of_the_agent_reaches_the_plant_and_comes_back_as_power(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    driver = open_driver()
    uuid, other = (gpu.uuid for gpu in driver.inventory())
    small.advance(1.0)
    driver.read_gpu(uuid)
    driver.set_power_limit(uuid, power_limit_w=150.0)
    small.advance(1.0)

    capped, free = driver.read_gpu(uuid), driver.read_gpu(other)

    assert capped.power_w == pytest.approx(150.0)
    assert capped.power_limit_enforced_w == 150.0
    assert free.power_w == pytest.approx(DEMAND_W)


@pytest.mark.parametrize("fault", ["hang", "reset-required"])
def test_gpu_that_answers_no_more_is_lost_to_the_driver(
    small: SmallHall, open_driver: Callable[[], NvmlDriver], fault: str
) -> None:
    driver = open_driver()
    uuid = driver.inventory()[0].uuid
    set_fault(small.hall, uuid, fault, value=0.01 if fault == "hang" else None)

    with pytest.raises(DeviceLost, match=uuid):
        driver.read_gpu(uuid)


def test_driver_of_another_version_is_reported_as_such(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    set_fault(small.hall, "node-2/0", "driver-mismatch")

    with pytest.raises(DriverError, match="upgraded"):
        open_driver()


def test_gpu_lost_before_the_start_is_left_out(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    set_fault(small.hall, "node-2/0", "gpu-lost")

    assert [gpu.index for gpu in open_driver().inventory()] == [1]


@pytest.mark.parametrize(("fault", "xid"), [("xid", 48), ("gpu-lost", 79), ("hang", 119)])
def test_critical_event_is_told_with_its_gpu_even_if_that_answers_no_more(
    small: SmallHall, open_driver: Callable[[], NvmlDriver], fault: str, xid: int
) -> None:
    driver = open_driver()
    uuid = driver.inventory()[1].uuid
    set_fault(small.hall, uuid, fault)
    events: list[GpuEvent] = []
    while not events:
        events += driver.take_events()

    clear_faults(small.hall, uuid)
    assert events == [GpuEvent(uuid=uuid, xid=xid)]


def test_gpu_that_was_lost_is_read_again_when_it_is_back(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    driver = open_driver()
    uuid = driver.inventory()[0].uuid
    set_fault(small.hall, uuid, "gpu-lost")
    with pytest.raises(DeviceLost):
        driver.read_gpu(uuid)
    clear_faults(small.hall, uuid)

    assert driver.read_gpu(uuid).uuid == uuid


def test_module_that_is_limited_as_a_whole_is_read_only(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    set_fault(small.hall, "node-2/0", "module-scope")

    first, second = open_driver().inventory()

    assert "whole module" in first.read_only_reason
    assert second.read_only_reason == ""


def test_partitioned_gpu_is_said_to_be(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    set_fault(small.hall, "node-2/0", "mig")

    assert [gpu.partitioned for gpu in open_driver().inventory()] == [True, False]


def test_clock_ceiling_of_the_agent_reaches_the_hall_and_a_reload_that_loses_it_is_noticed(
    small: SmallHall, open_driver: Callable[[], NvmlDriver]
) -> None:
    driver = open_driver()
    uuid = driver.inventory()[0].uuid
    driver.set_sm_clock_max(uuid, sm_clock_max_mhz=1200.0)
    assert small.hall.table("gpu_control")["sm_clock_limit_mhz"][2] == 1200.0
    small.hall.table("gpu_reading")["sm_clock_mhz"][:, 2] = 1200.0
    assert driver.read_gpu(uuid).sm_clock_limit_mhz == 1200.0

    set_fault(small.hall, uuid, "driver-reload")
    limits_mhz = []
    for _ in range(2):
        small.advance(2.0)
        limits_mhz.append(driver.read_gpu(uuid).sm_clock_limit_mhz)

    assert limits_mhz[0] == 1200.0
    assert math.isnan(limits_mhz[1])
