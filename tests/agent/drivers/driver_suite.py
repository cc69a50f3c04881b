"""What every driver must do, whatever hardware it talks to.

A test module for a driver subclasses a suite and offers the fixture ``bench``: an open driver and
the means to bring its devices into the situations the suite asks for. On real hardware, where
faults cannot be arranged, those means are None and their tests are skipped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from coolcap_agent.drivers.base import (
    CoolingDriver,
    DeviceLost,
    DriverError,
    GpuDriver,
    GpuInfo,
    Holder,
    LeverInfo,
    NotPermitted,
    Overridden,
    ValueRefused,
)
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.signals import PLANT_COLUMN

T = TypeVar("T")
RESOLUTION_W = 0.001  # NVML counts milliwatts


def arranged(means: T | None) -> T:
    """Return ``means``, or skip the test where the hardware offers none."""
    if means is None:
        pytest.skip("this situation cannot be arranged on this hardware")
    return means


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBench:
    """An open driver of at least two GPUs, each named by its UUID to the means.

    ``advance`` lets the devices work for so many seconds, ``reopen`` gives a fresh open driver on
    the same devices as another process would have, ``limit_elsewhere`` makes somebody else hold a
    GPU to so many watts.
    """

    driver: GpuDriver
    advance: Callable[[float], None]
    reopen: Callable[[], GpuDriver]
    lose: Callable[[str], None] | None = None
    deny: Callable[[str], None] | None = None
    ignore_writes: Callable[[str], None] | None = None
    limit_elsewhere: Callable[[str, float], None] | None = None


def inside(gpu: GpuInfo) -> float:
    """Return a limit inside the GPU's range that is not its default."""
    return round(0.3 * gpu.power_limit_min_w + 0.7 * gpu.power_limit_max_w)


class GpuDriverSuite:
    """Behaviour of ``GpuDriver``."""

    def test_inventory_lists_gpus_by_index_with_unique_uuids(self, bench: GpuBench) -> None:
        gpus = bench.driver.inventory()

        assert sorted(gpu.index for gpu in gpus) == [gpu.index for gpu in gpus]
        assert len({gpu.uuid for gpu in gpus}) == len(gpus) >= 2
        assert all(gpu.model for gpu in gpus)

    def test_default_limit_lies_inside_the_device_range(self, bench: GpuBench) -> None:
        for gpu in bench.driver.inventory():
            low_w, high_w = gpu.power_limit_min_w, gpu.power_limit_max_w

            assert 0.0 < low_w <= gpu.power_limit_default_w <= high_w

    def test_reading_is_of_the_gpu_asked_for_and_plausible(self, bench: GpuBench) -> None:
        bench.advance(2.0)
        for gpu in bench.driver.inventory():
            reading = bench.driver.read_gpu(gpu.uuid)

            assert reading.uuid == gpu.uuid
            assert reading.measure_time_s > 0.0
            assert 0.0 < reading.power_w < 2.0 * gpu.power_limit_max_w
            assert 0.0 < reading.gpu_temp_c < 120.0
            assert 0.0 <= reading.sm_clock_mhz <= gpu.sm_clock_max_mhz
            assert 0.0 <= reading.gpu_util_ratio <= 1.0

    def test_node_reading_has_a_time(self, bench: GpuBench) -> None:
        assert bench.driver.read_node().measure_time_s > 0.0

    def test_limit_that_was_set_is_read_back(self, bench: GpuBench) -> None:
        gpu, other = bench.driver.inventory()[:2]
        before_w = bench.driver.read_gpu(other.uuid).power_limit_requested_w

        bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))

        reading = bench.driver.read_gpu(gpu.uuid)
        assert reading.power_limit_requested_w == pytest.approx(inside(gpu), abs=RESOLUTION_W)
        assert reading.power_limit_enforced_w == pytest.approx(inside(gpu), abs=RESOLUTION_W)
        assert bench.driver.read_gpu(other.uuid).power_limit_requested_w == before_w

    def test_both_ends_of_the_range_are_accepted(self, bench: GpuBench) -> None:
        gpu = bench.driver.inventory()[0]
        for limit_w in (gpu.power_limit_min_w, gpu.power_limit_max_w):
            bench.driver.set_power_limit(gpu.uuid, power_limit_w=limit_w)

            reading = bench.driver.read_gpu(gpu.uuid)
            assert reading.power_limit_requested_w == pytest.approx(limit_w, abs=RESOLUTION_W)

    def test_limit_outlives_the_process_that_set_it(self, bench: GpuBench) -> None:
        gpu = bench.driver.inventory()[0]
        bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))
        bench.driver.close()

        reading = bench.reopen().read_gpu(gpu.uuid)

        assert reading.power_limit_requested_w == pytest.approx(inside(gpu), abs=RESOLUTION_W)

    @pytest.mark.parametrize("place", ["below", "above", "nan"])
    def test_limit_outside_the_range_is_refused_and_changes_nothing(
        self, bench: GpuBench, place: str
    ) -> None:
        gpu = bench.driver.inventory()[0]
        before = bench.driver.read_gpu(gpu.uuid)
        asked_w = {
            "below": gpu.power_limit_min_w - 1.0,
            "above": gpu.power_limit_max_w + 1.0,
            "nan": math.nan,
        }[place]

        with pytest.raises(ValueRefused) as caught:
            bench.driver.set_power_limit(gpu.uuid, power_limit_w=asked_w)

        after = bench.driver.read_gpu(gpu.uuid)
        assert after.power_limit_requested_w == before.power_limit_requested_w
        for part in (f"{asked_w:.1f} W", gpu.uuid, f"{gpu.power_limit_min_w:.1f}"):
            assert part in str(caught.value)

    def test_clock_ceiling_that_was_set_is_told_until_the_highest_clock_takes_it_away(
        self, bench: GpuBench
    ) -> None:
        gpu, other = bench.driver.inventory()[:2]
        ceiling_mhz = round(0.5 * (gpu.sm_clock_min_mhz + gpu.sm_clock_max_mhz))
        assert math.isnan(bench.driver.read_gpu(gpu.uuid).sm_clock_limit_mhz)

        bench.driver.set_sm_clock_max(gpu.uuid, sm_clock_max_mhz=ceiling_mhz)
        assert bench.driver.read_gpu(gpu.uuid).sm_clock_limit_mhz == ceiling_mhz
        assert math.isnan(bench.driver.read_gpu(other.uuid).sm_clock_limit_mhz)

        bench.driver.set_sm_clock_max(gpu.uuid, sm_clock_max_mhz=gpu.sm_clock_max_mhz)
        assert math.isnan(bench.driver.read_gpu(gpu.uuid).sm_clock_limit_mhz)

    @pytest.mark.parametrize("place", ["below", "above", "nan"])
    def test_clock_ceiling_outside_the_range_is_refused(self, bench: GpuBench, place: str) -> None:
        gpu = bench.driver.inventory()[0]
        asked_mhz = {
            "below": gpu.sm_clock_min_mhz - 1.0,
            "above": gpu.sm_clock_max_mhz + 1.0,
            "nan": math.nan,
        }[place]

        with pytest.raises(ValueRefused, match=gpu.uuid):
            bench.driver.set_sm_clock_max(gpu.uuid, sm_clock_max_mhz=asked_mhz)

    def test_margin_shrinks_as_temperature_rises(self, bench: GpuBench) -> None:
        bench.advance(2.0)
        for gpu in bench.driver.inventory():
            reading = bench.driver.read_gpu(gpu.uuid)

            assert reading.temp_margin_k == pytest.approx(87.0 - reading.gpu_temp_c, abs=1.0)

    def test_rights_say_what_is_missing_and_who_else_may_set_limits(self, bench: GpuBench) -> None:
        rights = bench.driver.rights()

        assert rights["missing"] == ""
        assert isinstance(rights["foreign_managers"], list)

    def test_nothing_has_happened_at_first(self, bench: GpuBench) -> None:
        assert list(bench.driver.take_events()) == []

    def test_energy_counter_grows_by_power_times_time(self, bench: GpuBench) -> None:
        uuid = bench.driver.inventory()[0].uuid
        bench.advance(2.0)
        first = bench.driver.read_gpu(uuid)
        bench.advance(2.0)
        second = bench.driver.read_gpu(uuid)

        elapsed_s = second.measure_time_s - first.measure_time_s
        used_j = (second.energy_kwh - first.energy_kwh) * 3.6e6
        assert used_j > 0.0
        assert used_j == pytest.approx(second.power_w * elapsed_s, rel=0.02)

    def test_lost_gpu_says_so_and_the_others_go_on(self, bench: GpuBench) -> None:
        gpu, other = bench.driver.inventory()[:2]
        arranged(bench.lose)(gpu.uuid)

        with pytest.raises(DeviceLost, match=gpu.uuid):
            bench.driver.read_gpu(gpu.uuid)
        with pytest.raises(DeviceLost, match=gpu.uuid):
            bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))
        assert bench.driver.read_gpu(other.uuid).uuid == other.uuid

    def test_missing_right_is_reported_and_reading_goes_on(self, bench: GpuBench) -> None:
        gpu = bench.driver.inventory()[0]
        before_w = bench.driver.read_gpu(gpu.uuid).power_limit_requested_w
        arranged(bench.deny)(gpu.uuid)

        with pytest.raises(NotPermitted, match=gpu.uuid):
            bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))

        assert bench.driver.read_gpu(gpu.uuid).power_limit_requested_w == before_w

    def test_write_the_device_ignores_shows_when_read_back(self, bench: GpuBench) -> None:
        gpu = bench.driver.inventory()[0]
        before_w = bench.driver.read_gpu(gpu.uuid).power_limit_requested_w
        arranged(bench.ignore_writes)(gpu.uuid)

        bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))

        assert bench.driver.read_gpu(gpu.uuid).power_limit_requested_w == before_w

    def test_lower_limit_of_somebody_else_is_the_one_enforced(self, bench: GpuBench) -> None:
        gpu = bench.driver.inventory()[0]
        bench.driver.set_power_limit(gpu.uuid, power_limit_w=inside(gpu))
        arranged(bench.limit_elsewhere)(gpu.uuid, gpu.power_limit_min_w)

        reading = bench.driver.read_gpu(gpu.uuid)

        assert reading.power_limit_requested_w == pytest.approx(inside(gpu), abs=RESOLUTION_W)
        assert reading.power_limit_enforced_w == pytest.approx(
            gpu.power_limit_min_w, abs=RESOLUTION_W
        )

    def test_unknown_gpu_is_an_error_that_names_it(self, bench: GpuBench) -> None:
        with pytest.raises(DriverError, match="GPU-unknown"):
            bench.driver.read_gpu("GPU-unknown")

    def test_acknowledging_changes_no_reading(self, bench: GpuBench) -> None:
        uuid = bench.driver.inventory()[0].uuid
        before = bench.driver.read_gpu(uuid)

        bench.driver.acknowledge(answers_time_s=before.measure_time_s)

        after = bench.driver.read_gpu(uuid)
        assert after.power_limit_requested_w == before.power_limit_requested_w

    def test_closing_twice_is_safe(self, bench: GpuBench) -> None:
        bench.driver.close()
        bench.driver.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingBench:
    """An open driver of at least two levers, each named to the means; see :class:`GpuBench`."""

    driver: CoolingDriver
    reopen: Callable[[], CoolingDriver]
    lose: Callable[[str], None] | None = None
    deny: Callable[[str], None] | None = None
    ignore_writes: Callable[[str], None] | None = None
    override: Callable[[str, float], None] | None = None
    """Let a person at the equipment hold a lever at a value; NaN lets it go."""


def between(lever: LeverInfo) -> float:
    """Return a value inside the lever's range that no program would choose."""
    return lever.low + 0.37 * (lever.high - lever.low)


class CoolingDriverSuite:
    """Behaviour of ``CoolingDriver``."""

    def test_levers_are_known_and_have_a_range(self, bench: CoolingBench) -> None:
        levers = bench.driver.levers()

        assert len({lever.name for lever in levers}) == len(levers) >= 2
        for lever in levers:
            assert lever.name in PLANT_LEVER_COLUMN
            assert lever.low < lever.high

    def test_each_signal_is_read_at_most_once_with_its_origin(self, bench: CoolingBench) -> None:
        readings = bench.driver.read()

        assert len({reading.signal for reading in readings}) == len(readings)
        for reading in readings:
            assert reading.signal in PLANT_COLUMN
            assert reading.origin
            assert reading.measure_time_s > 0.0

    def test_setpoint_that_was_set_is_read_back(self, bench: CoolingBench) -> None:
        lever, other = bench.driver.levers()[:2]
        before = bench.driver.read_setpoint(other.name)

        bench.driver.set_setpoint(lever.name, value=between(lever))

        assert bench.driver.read_setpoint(lever.name) == pytest.approx(between(lever))
        assert bench.driver.read_setpoint(other.name) == before

    def test_setpoint_outlives_the_process_that_set_it(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0]
        bench.driver.set_setpoint(lever.name, value=between(lever))
        bench.driver.close()

        assert bench.reopen().read_setpoint(lever.name) == pytest.approx(between(lever))

    @pytest.mark.parametrize("place", ["below", "above", "infinite", "nan"])
    def test_value_outside_the_range_is_refused_and_changes_nothing(
        self, bench: CoolingBench, place: str
    ) -> None:
        lever = bench.driver.levers()[0]
        before = bench.driver.read_setpoint(lever.name)
        asked = {
            "below": lever.low - 1.0,
            "above": lever.high + 1.0,
            "infinite": math.inf,
            "nan": math.nan,
        }[place]

        with pytest.raises(ValueRefused) as caught:
            bench.driver.set_setpoint(lever.name, value=asked)

        assert bench.driver.read_setpoint(lever.name) == before
        for part in (f"{asked:g}", lever.name, f"{lever.low:g}", lever.unit):
            assert part in str(caught.value)

    def test_lever_is_local_until_commanded_and_after_release(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0]
        before = bench.driver.read_lever(lever.name)

        bench.driver.set_setpoint(lever.name, value=between(lever))
        commanded = bench.driver.read_lever(lever.name)
        bench.driver.release(lever.name)
        bench.driver.release(lever.name)

        assert (before.lever, before.holder) == (lever.name, Holder.LOCAL)
        assert commanded.holder is Holder.OURS
        assert commanded.value == pytest.approx(between(lever))
        assert bench.driver.read_lever(lever.name) == before

    def test_release_leaves_other_levers_commanded(self, bench: CoolingBench) -> None:
        lever, other = bench.driver.levers()[:2]
        for each in (lever, other):
            bench.driver.set_setpoint(each.name, value=between(each))

        bench.driver.release(lever.name)

        assert bench.driver.read_lever(other.name).holder is Holder.OURS
        assert bench.driver.read_setpoint(other.name) == pytest.approx(between(other))

    def test_person_who_holds_a_lever_is_not_fought(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0]
        bench.driver.set_setpoint(lever.name, value=between(lever))
        arranged(bench.override)(lever.name, lever.high)

        with pytest.raises(Overridden, match=lever.name):
            bench.driver.set_setpoint(lever.name, value=between(lever))

        reading = bench.driver.read_lever(lever.name)
        assert reading.holder is Holder.OTHER
        assert reading.value == pytest.approx(lever.high)
        assert lever.name in reading.message

    def test_lever_follows_commands_again_once_the_person_lets_go(
        self, bench: CoolingBench
    ) -> None:
        lever = bench.driver.levers()[0]
        arranged(bench.override)(lever.name, lever.high)
        bench.driver.release(lever.name)
        arranged(bench.override)(lever.name, math.nan)

        bench.driver.set_setpoint(lever.name, value=between(lever))

        assert bench.driver.read_lever(lever.name).holder is Holder.OURS

    def test_lost_lever_says_so_and_the_others_go_on(self, bench: CoolingBench) -> None:
        lever, other = bench.driver.levers()[:2]
        arranged(bench.lose)(lever.name)

        with pytest.raises(DeviceLost, match=lever.name):
            bench.driver.read_setpoint(lever.name)
        with pytest.raises(DeviceLost, match=lever.name):
            bench.driver.set_setpoint(lever.name, value=between(lever))
        bench.driver.set_setpoint(other.name, value=between(other))
        assert bench.driver.read_setpoint(other.name) == pytest.approx(between(other))

    def test_missing_right_is_reported_and_changes_nothing(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0]
        before = bench.driver.read_setpoint(lever.name)
        arranged(bench.deny)(lever.name)

        with pytest.raises(NotPermitted, match=lever.name):
            bench.driver.set_setpoint(lever.name, value=between(lever))

        assert bench.driver.read_setpoint(lever.name) == before

    def test_write_the_device_ignores_shows_when_read_back(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0]
        before = bench.driver.read_setpoint(lever.name)
        arranged(bench.ignore_writes)(lever.name)

        bench.driver.set_setpoint(lever.name, value=between(lever))

        assert bench.driver.read_setpoint(lever.name) == before

    def test_unknown_lever_is_an_error_that_names_it(self, bench: CoolingBench) -> None:
        with pytest.raises(DriverError, match="no_such_lever"):
            bench.driver.set_setpoint("no_such_lever", value=1.0)

    def test_acknowledging_changes_no_setpoint(self, bench: CoolingBench) -> None:
        lever = bench.driver.levers()[0].name
        before = bench.driver.read_setpoint(lever)

        bench.driver.acknowledge(answers_time_s=1.0)

        assert bench.driver.read_setpoint(lever) == before

    def test_closing_twice_is_safe(self, bench: CoolingBench) -> None:
        bench.driver.close()
        bench.driver.close()
