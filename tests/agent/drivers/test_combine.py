import math

import pytest

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.drivers.combine import combine_readings


def reading(signal: str, value: float, *, time_s: float = 100.0, n: int = 1) -> SignalReading:
    problem = "" if math.isfinite(value) else "is broken"
    return SignalReading(
        signal=signal, value=value, measure_time_s=time_s, origin=f"point {n}", problem=problem
    )


@pytest.mark.parametrize(
    ("signal", "values", "combined"),
    [
        ("chiller_power_w", [100.0, 250.0], 350.0),
        ("facility_energy_kwh", [10.0, 20.0, 30.0], 60.0),
        ("makeup_water_l", [1.0, 2.0], 3.0),
        ("inlet_temp_max_c", [22.0, 25.5, 24.0], 25.5),
        ("supply_air_temp_c", [19.0, 20.0], 19.5),
        ("cdu_flow_ratio", [0.5, 0.7], 0.6),
        ("cdu_supply_temp_setpoint_c", [30.0, 32.0], 31.0),
    ],
)
def test_meters_add_up_and_sensors_vote(signal: str, values: list[float], combined: float) -> None:
    (result,) = combine_readings([reading(signal, value) for value in values])

    assert result.value == pytest.approx(combined)
    assert result.problem == ""


def test_single_reading_stays_as_it_is() -> None:
    only = reading("dew_point_c", 9.0)

    assert combine_readings([only]) == [only]


def test_sum_is_missing_when_one_meter_is() -> None:
    """A total without one of its meters would look like a saving."""
    (total,) = combine_readings(
        [reading("chiller_power_w", 100.0), reading("chiller_power_w", math.nan, n=2)]
    )

    assert math.isnan(total.value)
    assert total.problem == "1 of 2 points are usable, 2 are needed; point 2: is broken"


def test_vote_stands_with_half_of_the_points_and_falls_with_less() -> None:
    def worst(*values: float) -> float:
        (result,) = combine_readings([reading("inlet_temp_max_c", value) for value in values])
        return result.value

    assert worst(24.0, math.nan) == 24.0
    assert worst(24.0, 25.0, math.nan) == 25.0
    assert math.isnan(worst(24.0, math.nan, math.nan))


def test_combined_reading_is_as_old_as_its_oldest_point() -> None:
    (result,) = combine_readings(
        [
            reading("dew_point_c", 9.0, time_s=100.0),
            reading("dew_point_c", 9.0, time_s=90.0),
            reading("dew_point_c", math.nan, time_s=10.0),
        ]
    )

    assert result.measure_time_s == 90.0


def test_signals_keep_the_order_in_which_they_came() -> None:
    names = ["dew_point_c", "it_power_w", "dew_point_c", "outdoor_temp_c"]

    combined = combine_readings([reading(name, 1.0) for name in names])

    assert [r.signal for r in combined] == ["dew_point_c", "it_power_w", "outdoor_temp_c"]
