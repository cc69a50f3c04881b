"""Between two steps counters and temperatures go on steadily, and power is the step's mean."""

import pytest

from coolcap_agent.sim.in_between import between
from support.small_site import telemetry

BEFORE = telemetry(
    time_s=100.0,
    group={"gpu_power_w": 200.0, "gpu_temp_c": 50.0, "it_energy_kwh": 1.0, "work_gpu_h": 2.0},
    plant={"supply_air_temp_setpoint_c": 20.0, "supply_air_temp_c": 20.0, "makeup_water_l": 5.0},
)
AFTER = telemetry(
    time_s=105.0,
    group={"gpu_power_w": 300.0, "gpu_temp_c": 60.0, "it_energy_kwh": 3.0, "work_gpu_h": 4.0},
    plant={"supply_air_temp_setpoint_c": 22.0, "supply_air_temp_c": 21.0, "makeup_water_l": 6.0},
)


@pytest.mark.parametrize(
    ("signal", "expected"),
    [("gpu_power_w", 300.0), ("gpu_temp_c", 52.0), ("it_energy_kwh", 1.4), ("work_gpu_h", 2.4)],
)
def test_group_signals_after_a_fifth_of_a_step(signal: str, expected: float) -> None:
    now = between(BEFORE, AFTER, part_ratio=0.2)

    assert now.group(signal) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("signal", "expected"),
    [("supply_air_temp_setpoint_c", 22.0), ("supply_air_temp_c", 20.2), ("makeup_water_l", 5.2)],
)
def test_plant_signals_after_a_fifth_of_a_step(signal: str, expected: float) -> None:
    now = between(BEFORE, AFTER, part_ratio=0.2)

    assert now.of_plant(signal) == pytest.approx(expected)


def test_time_goes_on_within_the_step() -> None:
    assert float(between(BEFORE, AFTER, part_ratio=0.2).time_s) == pytest.approx(101.0)


def test_the_whole_step_is_the_state_after_it() -> None:
    assert between(BEFORE, AFTER, part_ratio=1.0) is AFTER
