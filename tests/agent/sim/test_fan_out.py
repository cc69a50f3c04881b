"""Groups become GPUs and nodes without losing power, energy or work on the way."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.drivers.clocks_event_reasons import reason_names
from coolcap_agent.sim.fan_out import FanOut, hardware_of
from coolcap_agent.sim.hall_file import Readings
from coolcap_envs.contract.signals import GROUP_COLUMN, WORKLOAD_SIGNALS
from support.small_hall import DEMAND_W, START_S, SmallHall
from support.small_site import SMALL_SITE, small_site, telemetry

SHARED = SMALL_SITE.replace("gpus_per_node = 2", "gpus_per_node = 4").replace(
    "groups_per_node = 2", "groups_per_node = 1"
)


@pytest.fixture
def small(tmp_path: Path) -> SmallHall:
    return SmallHall.create(tmp_path / "hall")


def shared_frame(**group: float) -> Readings:
    """A frame of the site with two groups of four GPUs each."""
    layout, limits = small_site(SHARED)
    fan_out = FanOut(layout, hardware_of(layout, limits))
    return fan_out.frame(telemetry(group=dict(group), group_count=2), None)


def classes(**shares: float) -> list[int]:
    zero = dict.fromkeys(WORKLOAD_SIGNALS, 0.0)
    codes: list[int] = shared_frame(**{**zero, **shares}).gpus["workload_class"].tolist()
    return codes[:4]


def test_hardware_is_sorted_by_node_and_index() -> None:
    hardware = hardware_of(*small_site(SHARED))

    assert hardware.gpu_info["node"].tolist() == [0] * 4 + [1] * 4
    assert hardware.gpu_info["index"].tolist() == [0, 1, 2, 3] * 2
    assert hardware.gpu_info["group"].tolist() == [0] * 4 + [1] * 4


def test_levers_the_site_lacks_are_absent() -> None:
    levers = hardware_of(*small_site()).lever_info

    assert levers["present"].tolist() == [1, 1, 1, 1, 0, 0]


def test_work_of_a_group_is_shared_by_its_gpus() -> None:
    frame = shared_frame(work_gpu_h=10.0)

    assert frame.gpus["work_gpu_h"].tolist() == [2.5] * 8


def test_gpu_energy_counter_adds_power_over_time(small: SmallHall) -> None:
    for _ in range(3):
        small.advance(30.0)

    half = small.hall.published % 2
    energy_kwh = small.hall.table("gpu_reading")["energy_kwh"][half]
    assert energy_kwh == pytest.approx(DEMAND_W * 90.0 / 3.6e6)


def test_energy_counter_stands_still_while_power_is_not_measured() -> None:
    layout, limits = small_site()
    fan_out = FanOut(layout, hardware_of(layout, limits))
    frames = [
        fan_out.frame(telemetry(time_s=time_s, group={"gpu_power_w": power_w}), None)
        for time_s, power_w in ((0.0, 400.0), (30.0, 400.0), (60.0, np.nan))
    ]

    energy_kwh = [float(frame.gpus["energy_kwh"][0]) for frame in frames]

    assert energy_kwh == pytest.approx([0.0, 400.0 * 30.0 / 3.6e6, 400.0 * 30.0 / 3.6e6])


def test_average_power_lags_in_short_frames_only() -> None:
    layout, limits = small_site()
    fan_out = FanOut(layout, hardware_of(layout, limits))
    sampled = ((0.0, 100.0), (0.1, 200.0), (0.2, np.nan), (0.3, 300.0), (30.0, 400.0))
    frames = [
        fan_out.frame(telemetry(time_s=time_s, group={"gpu_power_w": power_w}), None)
        for time_s, power_w in sampled
    ]

    average_w = [float(frame.gpus["power_average_w"][0]) for frame in frames]

    assert average_w == pytest.approx([100.0, 110.0, np.nan, 300.0, 400.0], nan_ok=True)


def test_time_under_the_power_cap_is_counted(small: SmallHall) -> None:
    small.hall.table("gpu_control")["power_limit_requested_w"][0] = 300.0
    for _ in range(2):
        small.advance(30.0)

    held_s = small.hall.table("gpu_reading")["sw_power_cap_s"][small.hall.published % 2]

    assert held_s.tolist() == [60.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"training_ratio": 1.0}, [1, 1, 1, 1]),
        ({"training_ratio": 0.5, "decode_ratio": 0.25}, [1, 1, 3, 0]),
        ({"memory_bound_ratio": 0.75}, [4, 4, 4, 0]),
        ({}, [0, 0, 0, 0]),
    ],
)
def test_workload_classes_are_dealt_out_by_their_shares(
    shares: dict[str, float], expected: list[int]
) -> None:
    assert classes(**shares) == expected


def test_age_of_a_reading_becomes_its_time() -> None:
    layout, limits = small_site()
    fan_out = FanOut(layout, hardware_of(layout, limits))

    frame = fan_out.frame(telemetry(time_s=100.0, age_s=7.0), None)

    assert set(frame.gpus["measure_time_s"]) == {93.0}
    assert set(frame.nodes["measure_time_s"]) == {93.0}
    assert set(frame.signals["measure_time_s"]) == {93.0}


def test_node_inlet_is_the_hottest_of_its_groups_and_nan_without_any() -> None:
    layout, limits = small_site()
    fan_out = FanOut(layout, hardware_of(layout, limits))
    readings = telemetry()
    readings.groups[:, GROUP_COLUMN["inlet_temp_c"]] = [21.0, 23.0, np.nan, np.nan]

    inlet_c = fan_out.frame(readings, None).nodes["inlet_temp_c"].tolist()

    assert inlet_c == pytest.approx([23.0, np.nan], nan_ok=True)


def test_setpoints_of_an_untouched_hall_are_its_defaults(small: SmallHall) -> None:
    setpoints = small.fan_out.setpoints(small.hall)

    assert setpoints.power_cap_w.tolist() == [500.0] * 4
    assert setpoints.sm_clock_max_mhz.tolist() == [2000.0] * 4
    assert setpoints.plant == pytest.approx([20.0, 10.0, 24.0, 0.8, np.nan, np.nan], nan_ok=True)


def test_setpoints_follow_what_drivers_wrote(small: SmallHall) -> None:
    control = small.hall.table("gpu_control")
    control["power_limit_requested_w"] = [200.0, 300.0, 400.0, 500.0]
    control["sm_clock_limit_mhz"][1] = 1500.0
    small.hall.table("gpu_fault")["power_limit_other_w"][2] = 250.0
    small.hall.table("lever_control")["commanded"][0] = 24.0

    setpoints = small.fan_out.setpoints(small.hall)

    assert setpoints.power_cap_w.tolist() == [200.0, 300.0, 250.0, 500.0]
    assert setpoints.sm_clock_max_mhz.tolist() == [2000.0, 1500.0, 2000.0, 2000.0]
    assert setpoints.plant[0] == 24.0


def test_unequal_limits_within_a_group_count_with_their_mean(tmp_path: Path) -> None:
    layout, limits = small_site(SHARED)
    small = SmallHall.create(tmp_path / "hall", site=(layout, limits))
    small.hall.table("gpu_control")["power_limit_requested_w"][:4] = [200.0, 300.0, 400.0, 500.0]
    small.hall.table("gpu_control")["sm_clock_limit_mhz"][:2] = [1500.0, 1200.0]

    setpoints = small.fan_out.setpoints(small.hall)

    assert setpoints.power_cap_w.tolist() == [350.0, 500.0]
    assert setpoints.sm_clock_max_mhz[0] == 1200.0


@pytest.mark.parametrize(
    ("readings", "limit_w", "ceiling_mhz", "expected"),
    [
        ({"gpu_util_ratio": 0.0}, 500.0, np.nan, ("gpu_idle",)),
        ({"sm_clock_mhz": 2000.0}, 500.0, np.nan, ()),
        ({"sm_clock_mhz": 1700.0}, 400.0, np.nan, ("sw_power_cap",)),
        ({"sm_clock_mhz": 1700.0}, 440.0, np.nan, ("sw_power_cap",)),
        ({"sm_clock_mhz": 1700.0}, 500.0, 1700.0, ("applications_clocks_setting",)),
        ({"sm_clock_mhz": 1700.0, "gpu_temp_c": 90.0}, 500.0, np.nan, ("sw_thermal_slowdown",)),
    ],
)
def test_lowered_clock_is_explained(
    small: SmallHall,
    readings: dict[str, float],
    limit_w: float,
    ceiling_mhz: float,
    expected: tuple[str, ...],
) -> None:
    small.hall.table("gpu_control")["power_limit_requested_w"] = limit_w
    small.hall.table("gpu_control")["sm_clock_limit_mhz"] = ceiling_mhz

    frame = small.fan_out.frame(telemetry(time_s=START_S, group=dict(readings)), small.hall)

    assert reason_names(int(frame.gpus["clocks_event_reasons"][0])) == expected


def test_layout_with_more_groups_keeps_every_watt() -> None:
    """Power of nodes equals power of groups, however GPUs are grouped."""
    layout, limits = small_site(SMALL_SITE.replace("count = 2", "count = 5"))
    fan_out = FanOut(layout, hardware_of(layout, limits))
    readings = telemetry(group_count=layout.group_count)
    power_w = np.linspace(100.0, 900.0, layout.group_count)
    groups = readings.groups.copy()
    groups[:, GROUP_COLUMN["it_power_w"]] = power_w

    frame = fan_out.frame(dataclasses.replace(readings, groups=groups), None)

    assert frame.nodes["it_power_w"].sum() == pytest.approx(power_w.sum())
