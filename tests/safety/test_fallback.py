"""Tests of what happens when telemetry may not be acted on."""

import math

import numpy as np

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.safety.fallback import check_telemetry, safe_setpoints
from support.small_site import small_site, telemetry

LAYOUT, LIMITS = small_site()


def test_good_telemetry_is_fit() -> None:
    assert check_telemetry(telemetry(), LAYOUT, LIMITS).fit


def test_a_nan_reading_is_named_with_its_group_and_allowed_range() -> None:
    seen = telemetry(group={"inlet_temp_c": np.array([22.0, math.nan, 22.0, 22.0])})
    fitness = check_telemetry(seen, LAYOUT, LIMITS)
    assert fitness.problems == (
        "inlet_temp_c of group node-1/1 is missing or NaN; allowed -20 to 80 °C (signal table)",
    )


def test_an_impossible_reading_is_named() -> None:
    fitness = check_telemetry(telemetry(plant={"wet_bulb_temp_c": 70.0}), LAYOUT, LIMITS)
    assert fitness.problems == (
        "wet_bulb_temp_c 70 °C of the plant is outside -60 to 50 °C (signal table)",
    )


def test_an_old_reading_is_named_with_its_age() -> None:
    problems = check_telemetry(telemetry(age_s=120.0), LAYOUT, LIMITS).problems
    assert "is 120.0 s old; at most 90 s (site limits)" in problems[0]


def test_a_signal_nobody_needs_may_be_missing() -> None:
    assert check_telemetry(telemetry(plant={"dew_point_c": math.nan}), LAYOUT, LIMITS).fit


def test_safe_setpoints_never_warm_and_keep_caps() -> None:
    in_force = Setpoints(
        power_cap_w=np.full(4, 333.0),
        sm_clock_max_mhz=np.full(4, np.nan),
        plant=np.array([25.0, 8.0, 24.0, 0.5, np.nan, np.nan]),
    )
    safe = safe_setpoints(in_force, LIMITS)
    assert safe.power_cap_w.tolist() == [333.0] * 4
    assert safe.plant[:4].tolist() == [20.0, 8.0, 24.0, 0.8]
