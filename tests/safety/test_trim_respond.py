"""Tests of the feedback rule."""

import numpy as np
import pytest

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.safety.trim_respond import TrimRespond
from support.small_site import small_site, telemetry

LAYOUT, LIMITS = small_site()


def run(
    minutes: int,
    group: dict[str, float | FloatArray] | None = None,
    plant: dict[str, float] | None = None,
) -> Setpoints:
    rule = TrimRespond(LAYOUT, LIMITS)
    out = Setpoints.none(4)
    for step in range(1, 2 * minutes + 1):
        out = rule.update(telemetry(group=group, plant=plant, time_s=30.0 * step), dt_s=30.0)
    return out


def test_supply_air_is_trimmed_upward_while_no_rack_asks() -> None:
    """20 °C plus 0.1 K every 2 min for 30 min."""
    assert run(30).plant[0] == pytest.approx(20.0 + 1.5)


def test_supply_air_responds_downward_when_racks_ask() -> None:
    out = run(4, group={"inlet_temp_c": 26.0})
    assert out.plant[0] == pytest.approx(20.0 - 2 * 0.6)


def test_one_warm_rack_within_the_ignored_requests_does_not_move_the_hall() -> None:
    out = run(4, group={"inlet_temp_c": np.array([25.6, 22.0, 22.0, 22.0])})
    assert out.plant[0] > 20.0


def test_air_flow_answers_recirculation() -> None:
    assert run(4, plant={"inlet_temp_max_c": 24.0}).plant[3] == pytest.approx(0.8 + 2 * 0.03)
    assert run(4).plant[3] == pytest.approx(0.8 - 2 * 0.01)


def test_chilled_water_follows_the_coil() -> None:
    starving = run(30, plant={"supply_air_temp_c": 23.0})
    assert starving.plant[1] == pytest.approx(max(10.0 - 2 * 0.07 * 13.0, 7.0))
    assert run(30).plant[1] == pytest.approx(10.0 + 2 * 0.02 * 13.0)


def test_condenser_water_keeps_its_approach_to_wet_bulb() -> None:
    assert run(1, plant={"wet_bulb_temp_c": 18.0}).plant[2] == 22.0


def test_a_binding_cap_is_trimmed_until_it_costs_work() -> None:
    trimmed = run(10, group={"gpu_power_w": 490.0, "work_rate_ratio": 1.0})
    assert (trimmed.power_cap_w < 500.0).all()
    released = run(10, group={"gpu_power_w": 490.0, "work_rate_ratio": 0.9})
    assert released.power_cap_w.tolist() == [500.0] * 4


def test_an_inference_cap_is_released_for_latency_not_for_low_demand() -> None:
    serving = {"training_ratio": 0.0, "decode_ratio": 1.0, "gpu_power_w": 490.0}
    idle = run(10, group={**serving, "work_rate_ratio": 0.3, "latency_ratio": 0.2})
    assert (idle.power_cap_w < 500.0).all()
    late = run(10, group={**serving, "work_rate_ratio": 0.3, "latency_ratio": 0.9})
    assert late.power_cap_w.tolist() == [500.0] * 4


def test_a_cap_that_does_not_bind_is_kept_through_a_pause_of_training() -> None:
    out = run(60, group={"gpu_power_w": 100.0, "gpu_util_ratio": 0.1})
    assert out.power_cap_w.tolist() == [500.0] * 4


def test_a_cap_that_does_not_bind_follows_busy_groups_down() -> None:
    out = run(60, group={"gpu_power_w": 300.0, "gpu_util_ratio": 0.9})
    assert out.power_cap_w == pytest.approx(500.0 - 120 * 0.005 * 500.0)


def test_a_serving_cap_follows_demand_down_slowly_and_a_queue_up_at_once() -> None:
    serving: dict[str, float | FloatArray] = {"training_ratio": 0.0, "decode_ratio": 1.0}
    calm = run(60, group={**serving, "gpu_power_w": 300.0})
    assert calm.power_cap_w == pytest.approx(500.0 - 120 * 0.001 * 500.0)
    rule = TrimRespond(LAYOUT, LIMITS)
    low = Setpoints(
        power_cap_w=np.full(4, 300.0), sm_clock_max_mhz=np.full(4, np.nan), plant=np.full(6, np.nan)
    )
    rule.track(low)
    queue = telemetry(
        group={**serving, "gpu_power_w": 298.0, "power_limit_w": 300.0, "latency_ratio": 2.0}
    )
    assert rule.update(queue, dt_s=30.0).power_cap_w == pytest.approx(400.0)


def test_the_rule_continues_from_what_is_in_force() -> None:
    rule = TrimRespond(LAYOUT, LIMITS)
    rule.track(
        Setpoints(
            power_cap_w=np.array([300.0, np.nan, 300.0, 300.0]),
            sm_clock_max_mhz=np.full(4, np.nan),
            plant=np.array([23.0, np.nan, 24.0, 0.6, np.nan, np.nan]),
        )
    )
    out = rule.update(telemetry(time_s=31.0, group={"gpu_util_ratio": 0.1}), dt_s=30.0)
    assert out.plant[0] == 23.0
    assert out.plant[1] == LIMITS.lever_default[1]
    assert out.power_cap_w.tolist() == [300.0, 500.0, 300.0, 300.0]


def test_missing_readings_move_nothing() -> None:
    out = run(10, group={"gpu_power_w": np.nan, "inlet_temp_c": np.nan})
    assert out.power_cap_w.tolist() == [500.0] * 4
    assert np.isfinite(out.plant[:4]).all()


def test_the_rule_stays_in_the_sites_range() -> None:
    out = run(60 * 24)
    assert (out.plant[:4] <= LIMITS.lever_high[:4]).all()
    assert np.isnan(out.plant[4:]).all()
