"""The shared hall is created whole, read in whole frames, and refused when it does not fit."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.drivers.base import DriverError
from coolcap_agent.sim.fan_out import hardware_of
from coolcap_agent.sim.hall_create import create_hall
from coolcap_agent.sim.hall_file import HallFile, Readings, open_hall
from coolcap_agent.sim.hall_layout import HEADER, State
from support.small_hall import START_S, SmallHall
from support.small_site import small_site


def frame(time_s: float) -> Readings:
    """A frame in which every number is the time."""
    readings = Readings.unmeasured(time_s=time_s, gpu_count=4, node_count=2)
    readings.gpus["power_w"] = readings.nodes["it_power_w"] = time_s
    readings.signals["value"] = time_s
    return readings


def create(path: Path) -> HallFile:
    return create_hall(path, hardware_of(*small_site()), frame(1.0), policy_period_s=30.0)


def overwrite(path: Path, field: str, value: object) -> None:
    content = bytearray(path.read_bytes())
    np.ndarray(1, HEADER, content)[field] = value
    path.write_bytes(content)


def test_new_hall_appears_complete_and_private(tmp_path: Path) -> None:
    create(tmp_path / "hall")
    hall = open_hall(tmp_path / "hall", writable=False)

    assert (hall.site, hall.node_names) == ("small", ("node-1", "node-2"))
    assert (hall.state, hall.published, hall.time_s()) == (State.RUNNING, 1, 1.0)
    assert hall.table("gpu_control")["power_limit_requested_w"].tolist() == [500.0] * 4
    assert (tmp_path / "hall").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["hall"]


def test_published_frame_is_seen_by_everybody_who_has_the_file_open(tmp_path: Path) -> None:
    hall = create(tmp_path / "hall")
    reader = open_hall(tmp_path / "hall", writable=False)

    hall.publish(frame(31.0))

    half = reader.published % 2
    assert reader.time_s() == 31.0
    assert reader.table("gpu_reading")["power_w"][half].tolist() == [31.0] * 4
    assert reader.table("signal_reading")["value"][half].tolist()[:2] == [31.0, 31.0]


def test_unfinished_frame_is_not_seen(tmp_path: Path) -> None:
    """A host that dies while it writes leaves the last whole frame behind."""
    hall = create(tmp_path / "hall")
    hall.table("gpu_reading")["power_w"][(hall.published + 1) % 2] = 99.0

    seen = hall.snapshot(lambda half: hall.table("gpu_reading")["power_w"][half].tolist())

    assert seen == [1.0] * 4


def test_snapshot_starts_over_when_a_frame_was_published_meanwhile(tmp_path: Path) -> None:
    hall = create(tmp_path / "hall")
    halves: list[int] = []

    def take(half: int) -> list[float]:
        halves.append(half)
        first = hall.table("gpu_reading")["power_w"][half, :2].tolist()
        if len(halves) == 1:
            hall.publish(frame(31.0))
            hall.publish(frame(61.0))
        return [*first, *hall.table("gpu_reading")["power_w"][half, 2:].tolist()]

    assert hall.snapshot(take) == [61.0] * 4
    assert halves == [1, 1]


def test_readers_never_see_parts_of_two_frames(tmp_path: Path) -> None:
    hall = create(tmp_path / "hall")
    reader = open_hall(tmp_path / "hall", writable=False)
    done = threading.Event()

    def write() -> None:
        for number in range(2, 3000):
            hall.publish(frame(float(number)))
        done.set()

    def take(half: int) -> set[float]:
        gpus = reader.table("gpu_reading")["power_w"][half].tolist()
        nodes = reader.table("node_reading")["it_power_w"][half].tolist()
        return {*gpus, *nodes, float(reader.table("frame")["time_s"][half])}

    writer = threading.Thread(target=write)
    writer.start()
    seen = [reader.snapshot(take)]
    while not done.is_set():
        seen.append(reader.snapshot(take))
    writer.join()

    assert {len(values) for values in seen} == {1}


def test_read_only_hall_cannot_be_written(tmp_path: Path) -> None:
    create(tmp_path / "hall")
    reader = open_hall(tmp_path / "hall", writable=False)

    with pytest.raises(ValueError, match="read-only"):
        reader.table("gpu_control")["power_limit_requested_w"] = 100.0


def test_missing_hall_tells_who_creates_it(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"hall cannot be opened: No such file.*coolcap sim"):
        open_hall(tmp_path / "hall", writable=True)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 4096])
def test_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hall").write_bytes(content)

    with pytest.raises(DriverError, match="hall is not a shared hall"):
        open_hall(tmp_path / "hall", writable=True)


@pytest.mark.parametrize(("field", "value"), [("version", 7), ("layout_hash", 0xABC)])
def test_hall_of_another_version_or_layout_is_refused(
    tmp_path: Path, field: str, value: int
) -> None:
    create(tmp_path / "hall")
    overwrite(tmp_path / "hall", field, value)

    with pytest.raises(DriverError, match=f"{value:x}.*from one installation"):
        open_hall(tmp_path / "hall", writable=True)


def test_second_host_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    create(tmp_path / "hall")

    with pytest.raises(DriverError, match="in use by process"):
        create(tmp_path / "hall")


def test_hall_of_a_dead_host_is_ended_and_replaced(tmp_path: Path) -> None:
    """Those who still have the old file open see that its time has come to an end."""
    small = SmallHall.create(tmp_path / "hall")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    small.hall.header["host_pid"] = dead.pid
    assert small.hall.is_abandoned

    create(tmp_path / "hall")

    assert (small.hall.state, small.hall.time_s()) == (State.ENDED, START_S)
    assert open_hall(tmp_path / "hall", writable=False).time_s() == 1.0


def test_hall_that_ended_is_replaced(tmp_path: Path) -> None:
    create(tmp_path / "hall").end()

    assert create(tmp_path / "hall").state is State.RUNNING


def test_hall_in_a_missing_folder_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="cannot be created: No such file"):
        create(tmp_path / "no" / "hall")
