"""What every driver of a field protocol must do, beyond what every cooling driver must.

One suite, real sockets. A driver's test module derives a class from :class:`FieldDriverSuite` and
provides the fixture ``rig``.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, cast

import pytest

from agent.drivers.driver_suite import CoolingBench, CoolingDriverSuite
from coolcap_agent.drivers.base import (
    CoolingDriver,
    DeviceLost,
    DriverError,
    Holder,
    Overridden,
    SignalReading,
    ValueRefused,
)
from coolcap_agent.drivers.probe import probe_levers
from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, FirstOrderHall
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_envs.contract.config import Table

LEVER = "chw_supply_temp_setpoint_c"
SIGNAL = "inlet_temp_max_c"


class FieldDriver(CoolingDriver, Protocol):
    """What drivers of field protocols have in addition."""

    now_s: Callable[[], float]

    def adopt(self, lever: str, *, before: float) -> None: ...


class CoolingDriverMaker(Protocol):
    """``make_cooling_driver`` of a driver's module."""

    def __call__(self, options: Table, *, plant_id: str, folder: Path) -> CoolingDriver: ...


class Rig(ABC):
    """A driver and the simulated device it talks to, with what the suite does to the device."""

    driver: FieldDriver
    hall: FirstOrderHall

    @property
    @abstractmethod
    def simulator(self) -> Simulator:
        """Return the device."""

    @abstractmethod
    def override(self, lever: str, value: float) -> None:
        """Let a person at the equipment take the lever over."""

    @abstractmethod
    def end_override(self, lever: str) -> None:
        """Let that person go."""

    @abstractmethod
    def write_as_another(self, lever: str, value: float) -> None:
        """Let another client write where the driver writes."""

    @abstractmethod
    def set_mute(self, mute: bool) -> None:
        """Let the device take requests and not answer."""


def make_driver(maker: CoolingDriverMaker, folder: Path, **options: float | str) -> FieldDriver:
    """Make a driver for ``points.toml`` in ``folder``, with short deadlines."""
    table = Table(
        {
            "points": "points.toml",
            "poll_deadline_s": 3.0,
            "command_deadline_s": 3.0,
            "settle_s": 0.3,
            **options,
        },
        path="driver.options",
        problems=[],
    )
    driver = maker(table, plant_id="plant-1", folder=folder)
    table.finish()
    assert table.problems == []
    return cast("FieldDriver", driver)


def by_signal(readings: object) -> dict[str, SignalReading]:
    """Return readings by signal; the suite's device has one of each."""
    assert isinstance(readings, list)
    return {reading.signal: reading for reading in readings}


class FieldDriverSuite(CoolingDriverSuite):
    """The suite; ``rig`` is an open driver on a device that follows its local program."""

    @pytest.fixture
    def bench(self, rig: Rig) -> CoolingBench:
        def override(lever: str, value: float) -> None:
            if math.isnan(value):
                rig.end_override(lever)
            else:
                rig.override(lever, value)

        def reopen() -> CoolingDriver:
            rig.driver.open()
            return rig.driver

        return CoolingBench(driver=rig.driver, reopen=reopen, override=override)

    def test_levers_have_the_range_that_map_and_device_agree_on(self, rig: Rig) -> None:
        levers = {info.name: info for info in rig.driver.levers()}

        assert set(levers) == {lever.lever for lever in LEVERS}
        assert (levers[LEVER].low, levers[LEVER].high) == pytest.approx((6.0, 20.0))
        assert levers[LEVER].unit == "°C"
        assert levers[LEVER].read_only_reason == ""

    def test_reading_gives_every_signal_its_value_time_and_origin(self, rig: Rig) -> None:
        before_s = time.time()

        readings = by_signal(rig.driver.read())

        after_s = time.time()
        assert set(readings) >= set(SIGNALS)
        for signal in SIGNALS:
            assert readings[signal].value == pytest.approx(rig.hall.read(signal), rel=1e-5)
            assert before_s - 1.0 <= readings[signal].measure_time_s <= after_s
            assert readings[signal].origin.startswith(rig.simulator.protocol)
            assert readings[signal].problem == ""

    def test_reading_gives_what_is_in_force_for_every_lever(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=12.5)

        readings = by_signal(rig.driver.read())

        assert readings[LEVER].value == pytest.approx(12.5, abs=1e-4)
        assert readings["supply_air_temp_setpoint_c"].value == pytest.approx(20.0)

    def test_untouched_lever_follows_the_local_program(self, rig: Rig) -> None:
        reading = rig.driver.read_lever(LEVER)

        assert reading.holder is Holder.LOCAL
        assert reading.value == pytest.approx(10.0)
        assert rig.driver.read_setpoint(LEVER) == pytest.approx(10.0)

    def test_command_moves_the_plant(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.25)

        reading = rig.driver.read_lever(LEVER)
        assert rig.hall.written[LEVER] == pytest.approx(13.25)
        assert reading.holder is Holder.OURS
        assert reading.value == pytest.approx(13.25)

    def test_every_lever_takes_a_command_of_its_own(self, rig: Rig) -> None:
        wanted = {lever.lever: 0.5 * (lever.low + lever.high) for lever in LEVERS}

        for lever, value in wanted.items():
            rig.driver.set_setpoint(lever, value=value)

        assert rig.hall.written == pytest.approx(wanted, rel=1e-4)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5.9, 20.1, 1e9])
    def test_value_that_is_no_number_or_out_of_range_never_reaches_the_device(
        self, rig: Rig, value: float
    ) -> None:
        with pytest.raises(ValueRefused, match="outside 6 to 20 °C"):
            rig.driver.set_setpoint(LEVER, value=value)

        assert rig.hall.written[LEVER] == 10.0
        assert rig.driver.read_lever(LEVER).holder is Holder.LOCAL

    def test_release_hands_back_to_the_local_program(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)

        rig.driver.release(LEVER)

        reading = rig.driver.read_lever(LEVER)
        assert rig.hall.written[LEVER] == pytest.approx(10.0)
        assert reading.holder is Holder.LOCAL
        assert reading.value == pytest.approx(10.0)

    def test_release_of_an_untouched_lever_changes_nothing(self, rig: Rig) -> None:
        rig.driver.release(LEVER)

        assert rig.hall.written[LEVER] == 10.0

    def test_persons_override_is_reported_and_not_fought(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.override(LEVER, 8.0)
        in_force = rig.hall.written[LEVER]

        with pytest.raises(Overridden):
            rig.driver.set_setpoint(LEVER, value=14.0)

        reading = rig.driver.read_lever(LEVER)
        assert rig.hall.written[LEVER] == in_force
        assert reading.holder is Holder.OTHER
        assert reading.value == pytest.approx(in_force)
        assert reading.message != ""

    def test_lever_can_be_commanded_again_after_an_override(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.override(LEVER, 8.0)
        with pytest.raises(Overridden):
            rig.driver.set_setpoint(LEVER, value=14.0)
        rig.driver.release(LEVER)
        rig.end_override(LEVER)

        rig.driver.set_setpoint(LEVER, value=15.0)

        assert rig.hall.written[LEVER] == pytest.approx(15.0)

    def test_second_writer_is_reported_and_not_fought(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.write_as_another(LEVER, 17.0)

        with pytest.raises(Overridden, match=r"another writer.*17"):
            rig.driver.set_setpoint(LEVER, value=14.0)

        assert rig.driver.read_lever(LEVER).holder is Holder.OTHER
        assert rig.hall.written[LEVER] == pytest.approx(17.0)

    def test_release_leaves_the_value_of_a_second_writer(self, rig: Rig) -> None:
        rig.driver.set_setpoint("supply_air_temp_setpoint_c", value=22.0)
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.write_as_another(LEVER, 17.0)

        rig.driver.release(LEVER)

        assert rig.hall.written[LEVER] == pytest.approx(17.0)

    def test_restarted_device_is_read_and_commanded_again(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)

        rig.simulator.restart()

        rig.driver.release(LEVER)
        rig.driver.set_setpoint(LEVER, value=14.0)
        assert rig.hall.written[LEVER] == pytest.approx(14.0)
        readings = by_signal(rig.driver.read())
        assert readings[SIGNAL].value == pytest.approx(23.5)

    def test_silent_device_leaves_old_readings_with_their_time(self, rig: Rig) -> None:
        then = by_signal(rig.driver.read())[SIGNAL]
        rig.set_mute(True)

        now = by_signal(rig.driver.read())[SIGNAL]

        assert (now.value, now.measure_time_s) == (then.value, then.measure_time_s)

    def test_old_reading_is_not_shown_as_current(self, rig: Rig) -> None:
        rig.driver.read()
        rig.simulator.stop()
        site_s = time.time() + 31.0
        rig.driver.now_s = lambda: site_s

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert math.isnan(reading.value)
        assert "s old; at most 30 s" in reading.problem

    def test_command_to_a_silent_device_says_so(self, rig: Rig) -> None:
        rig.set_mute(True)

        with pytest.raises(DeviceLost):
            rig.driver.set_setpoint(LEVER, value=13.0)

        rig.set_mute(False)
        rig.driver.set_setpoint(LEVER, value=14.0)
        assert rig.hall.written[LEVER] == pytest.approx(14.0)

    def test_sensor_that_says_nan_is_reported_as_unusable(self, rig: Rig) -> None:
        rig.hall.replaced[SIGNAL] = math.nan

        reading = by_signal(rig.driver.read())[SIGNAL]

        assert math.isnan(reading.value)
        assert reading.problem != ""

    def test_next_process_restores_what_a_killed_one_left_behind(self, rig: Rig) -> None:
        rig.driver.set_setpoint(LEVER, value=13.0)
        rig.driver.close()
        rig.driver.open()

        rig.driver.adopt(LEVER, before=10.0)
        adopted = rig.driver.read_lever(LEVER)
        rig.driver.set_setpoint(LEVER, value=11.0)
        rig.driver.release(LEVER)

        assert adopted.holder is Holder.OURS
        assert rig.driver.read_lever(LEVER).holder is Holder.LOCAL
        assert rig.hall.written[LEVER] == pytest.approx(10.0)

    def test_probe_proves_every_lever_and_moves_nothing(self, rig: Rig) -> None:
        before = dict(rig.hall.written)

        probes = probe_levers(rig.driver, write=True)

        assert {(probe.tried, probe.problem) for probe in probes} == {(True, "")}
        assert rig.hall.written == pytest.approx(before, rel=1e-6)

    def test_probe_that_only_looks_writes_nothing(self, rig: Rig) -> None:
        probes = probe_levers(rig.driver, write=False)

        assert [probe.value for probe in probes] == pytest.approx([v.default for v in LEVERS])
        assert {(probe.tried, probe.problem) for probe in probes} == {(False, "")}

    def test_probe_leaves_a_lever_alone_that_somebody_holds(self, rig: Rig) -> None:
        rig.override(LEVER, 8.0)

        probes = {probe.lever: probe for probe in probe_levers(rig.driver, write=True)}

        assert not probes[LEVER].tried
        assert probes[LEVER].holder is Holder.OTHER
        assert probes[LEVER].problem != ""

    def test_closing_twice_and_opening_again_works(self, rig: Rig) -> None:
        rig.driver.close()
        rig.driver.close()
        with pytest.raises(DriverError, match="open"):
            rig.driver.read()

        rig.driver.open()

        assert by_signal(rig.driver.read())[SIGNAL].value == pytest.approx(23.5)

    def test_calls_from_many_threads_do_not_mix(self, rig: Rig) -> None:
        wanted = {lever.lever: lever.high for lever in LEVERS}

        def command(item: tuple[str, float]) -> float:
            rig.driver.set_setpoint(item[0], value=item[1])
            return rig.driver.read_setpoint(item[0])

        def poll(_: int) -> float:
            return by_signal(rig.driver.read())[SIGNAL].value

        with ThreadPoolExecutor(8) as threads:
            polled = threads.map(poll, range(4))
            in_force = list(threads.map(command, [*wanted.items()] * 3))

        assert in_force == pytest.approx([*wanted.values()] * 3, rel=1e-4)
        assert list(polled) == pytest.approx([23.5] * 4)
        assert rig.hall.written == pytest.approx(wanted, rel=1e-4)
