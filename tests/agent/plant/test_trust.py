"""Readings that leap, stand still, leave their neighbours or the heat balance are not believed."""

import math

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.plant.trust import AIR_SPECIFIC_HEAT_J_PER_KG_K, SensorTrust
from coolcap_agent.plant.trust_config import AirBalance, SignalTrust, TrustConfig
from coolcap_agent.plant.validity import Validity

INLET, IT = "inlet_temp_max_c", "it_power_w"


def reading(signal: str, value: float, time_s: float, origin: str = "a") -> SignalReading:
    return SignalReading(signal=signal, value=value, measure_time_s=time_s, origin=origin)


def trust(balance: AirBalance | None = None, **asked: float) -> SensorTrust:
    of_inlet = SignalTrust(**{"rate_max_per_min": 30.0, **asked})
    return SensorTrust(TrustConfig(of_signal={INLET: of_inlet}, air_balance=balance))


def test_leap_is_not_believed_and_neither_is_what_follows_for_a_while() -> None:
    sensors = trust()
    seen = []
    for time_s, value in ((0.0, 23.0), (10.0, 24.0), (20.0, 60.0), (50.0, 60.0), (90.0, 60.1)):
        readings, doubts = sensors.check([reading(INLET, value, time_s)], now_s=time_s)
        seen.append((math.isfinite(readings[0].value), doubts.get(INLET)))

    doubted = (False, Validity.IMPLAUSIBLE)
    assert seen == [(True, None), (True, None), doubted, doubted, (True, None)]


def test_sensor_that_stands_still_while_the_load_changes_is_stuck() -> None:
    sensors = trust(stuck_max_s=600.0)
    seen = []
    for time_s, load_w in ((0.0, 1e4), (300.0, 1.3e4), (700.0, 1.3e4)):
        now = [reading(INLET, 23.0, time_s), reading(IT, load_w, time_s)]
        seen.append(sensors.check(now, now_s=time_s)[1].get(INLET))

    assert seen == [None, None, Validity.STUCK]


def test_sensor_that_stands_still_with_the_load_is_believed() -> None:
    sensors = trust(stuck_max_s=600.0)
    for time_s in (0.0, 300.0, 700.0, 5000.0):
        now = [reading(INLET, 23.0, time_s), reading(IT, 1e4, time_s)]
        assert not sensors.check(now, now_s=time_s)[1]


def test_one_of_three_that_drifts_away_is_left_out() -> None:
    sensors = trust(neighbour_max=2.0)
    now = [reading(INLET, v, 0.0, o) for v, o in ((23.0, "a"), (26.0, "b"), (23.4, "c"))]

    readings, doubts = sensors.check(now, now_s=0.0)

    assert [r.value for r in readings[::2]] == [23.0, 23.4]
    assert math.isnan(readings[1].value)
    assert "the median of 3 points" in readings[1].problem
    assert doubts == {INLET: Validity.IMPLAUSIBLE}


def test_two_that_differ_do_not_say_which_is_wrong() -> None:
    sensors = trust(neighbour_max=2.0)
    now = [reading(INLET, v, 0.0, o) for v, o in ((23.0, "a"), (29.0, "b"))]

    assert not sensors.check(now, now_s=0.0)[1]


def test_biased_return_air_is_found_by_the_heat_it_would_carry() -> None:
    """
    20 kg/s warmed by 10 K carry 201 kW; a return sensor 2 K too high says 242 kW.
    """
    it_w = 20.0 * AIR_SPECIFIC_HEAT_J_PER_KG_K * 10.0
    balance = AirBalance(air_flow_design_kg_per_s=20.0, tolerance_ratio=0.1, patience_s=300.0)
    sensors = trust(balance)
    seen = []
    for time_s, return_c in ((0.0, 30.0), (60.0, 32.0), (300.0, 32.0), (400.0, 32.0)):
        now = [
            reading("supply_air_temp_c", 20.0, time_s),
            reading("return_air_temp_c", return_c, time_s),
            reading("air_flow_ratio", 1.0, time_s),
            reading(IT, it_w, time_s),
        ]
        readings, doubts = sensors.check(now, now_s=time_s)
        seen.append(doubts.get("return_air_temp_c"))

    assert seen == [None, None, None, Validity.IMPLAUSIBLE]
    assert "the air carries 241.7 kW away" in readings[1].problem
    assert readings[3].value == it_w


def test_nan_stays_unknown_and_its_reason_stays() -> None:
    sensors = trust()
    bad = SignalReading(
        signal=INLET, value=math.nan, measure_time_s=0.0, origin="a", problem="out of service"
    )

    (found,), doubts = sensors.check([bad], now_s=0.0)

    assert math.isnan(found.value)
    assert found.problem == "out of service"
    assert not doubts
