"""Faults begin and end by name on one GPU, and every driver of the hall sees them."""

import math
from pathlib import Path

import pytest

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.drivers.simulated import SimulatedGpuDriver
from coolcap_agent.sim.faults import FAULTS, advance_faults, clear_faults, find_gpu, set_fault
from coolcap_agent.sim.hall_layout import Fault
from support.small_hall import SmallHall


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


def flags(small: SmallHall) -> list[Fault]:
    return [Fault(int(value)) for value in small.hall.table("gpu_fault")["flags"]]


def contents(small: SmallHall, table: str) -> list[str]:
    """What the records of a table say, as texts, in which NaN equals NaN."""
    return [repr(record.item()) for record in small.hall.table(table)]


def test_gpu_is_found_by_uuid_and_by_node_and_index(small: SmallHall) -> None:
    uuids = [bytes(uuid).decode() for uuid in small.hall.table("gpu_info")["uuid"]]

    assert [find_gpu(small.hall, uuid) for uuid in uuids] == [0, 1, 2, 3]
    assert [find_gpu(small.hall, f"node-{n}/{i}") for n in (1, 2) for i in (0, 1)] == [0, 1, 2, 3]


def test_unknown_gpu_is_named_with_the_known_ones(small: SmallHall) -> None:
    with pytest.raises(DriverError, match="no GPU 'node-9/0'; its GPUs are node-1/0 to node-2/1"):
        set_fault(small.hall, "node-9/0", "gpu-lost")


def test_unknown_fault_is_named_with_the_known_ones(small: SmallHall) -> None:
    with pytest.raises(DriverError, match=r"fault 'fire' is unknown; faults are: gpu-lost, "):
        set_fault(small.hall, "node-1/0", "fire")


@pytest.mark.parametrize(
    ("fault", "value", "message"),
    [
        ("gpu-lost", 1.0, "takes no value, and 1 was given"),
        ("hang", -1.0, r"takes a value of 0 or more \(time until a call fails, s\), not -1"),
        ("out-of-band-limit", math.nan, r"value of 0 or more \(power limit, W\), not nan"),
    ],
)
def test_value_a_fault_cannot_have_is_refused_and_changes_nothing(
    small: SmallHall, fault: str, value: float, message: str
) -> None:
    before = contents(small, "gpu_fault")

    with pytest.raises(DriverError, match=message):
        set_fault(small.hall, "node-1/0", fault, value=value)

    assert contents(small, "gpu_fault") == before


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_changes_its_gpu_and_no_other(small: SmallHall, fault: str) -> None:
    small.advance(30.0)
    small.hall.table("gpu_control")["power_limit_requested_w"] = 300.0
    tables = ("gpu_fault", "gpu_control")
    before = {name: contents(small, name) for name in tables}

    set_fault(small.hall, "node-2/0", fault)

    changed = {
        row
        for name in tables
        for row, record in enumerate(contents(small, name))
        if record != before[name][row]
    }
    assert changed == {2}
    assert FAULTS[fault].summary


def test_faults_of_a_gpu_add_up_and_end_together(small: SmallHall) -> None:
    fresh = contents(small, "gpu_fault")
    for fault in ("ignored-set", "no-permission", "hang", "out-of-band-limit", "foreign-manager"):
        set_fault(small.hall, "node-1/1", fault)
    expected = Fault.IGNORED_SET | Fault.NO_PERMISSION | Fault.HANG | Fault.FOREIGN_MANAGER
    assert flags(small) == [Fault(0), expected, Fault(0), Fault(0)]

    clear_faults(small.hall, "node-1/1")

    assert flags(small) == [Fault(0)] * 4
    small.hall.table("gpu_fault")[["xid", "xid_count"]] = 0  # what happened stays counted
    assert contents(small, "gpu_fault") == fresh


def test_each_event_counts_and_the_newest_is_named(small: SmallHall) -> None:
    set_fault(small.hall, "node-1/0", "xid", value=31)
    set_fault(small.hall, "node-1/0", "gpu-lost")

    record = small.hall.table("gpu_fault")[0]
    assert (record["xid"], record["xid_count"]) == (79, 2)


def test_foreign_manager_acts_in_every_period_until_it_ends(small: SmallHall) -> None:
    limits_w = small.hall.table("gpu_control")["power_limit_requested_w"]
    set_fault(small.hall, "node-1/0", "foreign-manager", value=450.0)
    seen = []
    for _ in range(2):
        limits_w[:] = 200.0
        advance_faults(small.hall)
        seen.append(limits_w.tolist())
    clear_faults(small.hall, "node-1/0")
    limits_w[:] = 200.0
    advance_faults(small.hall)

    assert seen == [[450.0, 200.0, 200.0, 200.0]] * 2
    assert limits_w.tolist() == [200.0] * 4


def test_driver_of_the_agent_sees_a_reload_as_a_limit_back_at_its_default(
    small: SmallHall,
) -> None:
    driver = SimulatedGpuDriver(small.path, "node-1")
    driver.open()
    uuid = driver.inventory()[0].uuid
    driver.set_power_limit(uuid, power_limit_w=200.0)

    set_fault(small.hall, uuid, "driver-reload")

    assert driver.read_gpu(uuid).power_limit_requested_w == 500.0
