import math

import pytest

from coolcap_agent.plant_simulators.hall import LEVERS, MEASURED, SIGNALS, FirstOrderHall
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import PLANT_COLUMN
from support.fake_points import HandClock


def test_hall_starts_in_equilibrium_with_its_local_setpoints() -> None:
    hall = FirstOrderHall()

    for lever in LEVERS:
        assert hall.read(MEASURED[lever.lever]) == lever.default


def test_measured_value_runs_after_its_setpoint() -> None:
    """One time constant covers 1 - 1/e of the way."""
    clock = HandClock(0.0)
    hall = FirstOrderHall(time_constant_s=60.0, now_s=clock.now_s)

    hall.write("supply_air_temp_setpoint_c", 25.0)
    at_once = hall.read("supply_air_temp_c")
    clock.time_s = 60.0

    assert at_once == 20.0
    assert hall.read("supply_air_temp_c") == pytest.approx(20.0 + 5.0 * (1.0 - math.exp(-1.0)))


def test_new_setpoint_starts_from_where_the_value_is() -> None:
    clock = HandClock(0.0)
    hall = FirstOrderHall(time_constant_s=60.0, now_s=clock.now_s)
    hall.write("supply_air_temp_setpoint_c", 25.0)
    clock.time_s = 60.0
    reached = hall.read("supply_air_temp_c")

    hall.write("supply_air_temp_setpoint_c", 20.0)

    assert hall.read("supply_air_temp_c") == pytest.approx(reached)


def test_simulators_offer_every_lever_and_only_known_signals() -> None:
    assert [lever.lever for lever in LEVERS] == [lever.name for lever in PLANT_LEVERS]
    assert set(SIGNALS) <= set(PLANT_COLUMN)
    for lever, widest in zip(LEVERS, PLANT_LEVERS, strict=True):
        assert widest.low <= lever.low < lever.default < lever.high <= widest.high
