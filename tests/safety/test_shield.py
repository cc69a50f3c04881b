"""Tests of the shield: worked cases first, then properties over arbitrary requests."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import Reason, Shielded, project, reasons_in_words
from support.small_site import small_site, telemetry, without_budgets

LAYOUT, LIMITS = small_site()
ROOMY = without_budgets(LIMITS)
NOW = np.array([20.0, 10.0, 24.0, 0.8, np.nan, np.nan])


def setpoints(cap: float | np.ndarray = 400.0, plant: np.ndarray = NOW) -> Setpoints:
    return Setpoints(
        power_cap_w=np.broadcast_to(np.asarray(cap, dtype=float), (4,)),
        sm_clock_max_mhz=np.full(4, np.nan),
        plant=plant,
    )


def shield(
    asked: Setpoints,
    seen: Telemetry | None = None,
    *,
    in_force: Setpoints | None = None,
    limits: Limits = ROOMY,
) -> Shielded:
    return project(
        asked,
        telemetry=telemetry() if seen is None else seen,
        in_force=setpoints() if in_force is None else in_force,
        layout=LAYOUT,
        limits=limits,
        dt_s=30.0,
    )


def test_what_is_already_safe_passes_unchanged_without_a_reason() -> None:
    out = shield(setpoints(390.0))
    assert out.setpoints.power_cap_w.tolist() == [390.0] * 4
    assert out.setpoints.plant[:4].tolist() == NOW[:4].tolist()
    assert not out.group_reasons.any()
    assert not out.plant_reasons.any()


def test_levers_the_site_lacks_are_never_commanded() -> None:
    out = shield(setpoints(plant=np.full(6, 21.0)))
    assert np.isnan(out.setpoints.plant[4:]).all()


def test_a_nan_request_keeps_what_is_in_force() -> None:
    out = shield(setpoints(math.nan, np.full(6, math.nan)))
    assert out.setpoints.power_cap_w.tolist() == [400.0] * 4
    assert out.setpoints.plant[:4].tolist() == NOW[:4].tolist()
    assert (out.group_reasons == Reason.NOT_FINITE).all()


def test_a_cap_falls_at_once_and_rises_by_its_slew() -> None:
    down, up = shield(setpoints(210.0)), shield(setpoints(500.0))
    assert down.setpoints.power_cap_w.tolist() == [210.0] * 4
    assert up.setpoints.power_cap_w == pytest.approx(400.0 + 0.2 * 500.0 * 0.5)
    assert (up.group_reasons == Reason.SLEW).all()


def test_a_hot_gpu_loses_cap_and_its_neighbours_do_not() -> None:
    seen = telemetry(group={"gpu_temp_c": np.array([86.0, 84.0, 60.0, 60.0])})
    out = shield(setpoints(420.0), seen)
    assert out.setpoints.power_cap_w.tolist() == [375.0, 400.0, 420.0, 420.0]
    assert out.group_reasons.tolist() == [Reason.GPU_TEMP, Reason.GPU_TEMP, 0, 0]


def test_lost_cooling_cuts_caps_and_pushes_every_lever_towards_cold() -> None:
    seen = telemetry(group={"inlet_temp_c": 30.0}, plant={"inlet_temp_max_c": 30.0})
    out = shield(setpoints(420.0), seen)
    assert out.setpoints.power_cap_w.tolist() == [375.0] * 4
    assert out.setpoints.plant[0] == pytest.approx(20.0 - 0.5)
    assert out.setpoints.plant[1] == pytest.approx(10.0 - 0.5)
    assert out.setpoints.plant[3] == pytest.approx(0.8 + 0.1)


def test_the_supply_setpoint_leaves_room_for_the_measured_rise() -> None:
    """27 °C limit, 0.5 K margin, rise of 4 K taken as 5 K: at most 21.5 °C."""
    seen = telemetry(
        group={"inlet_temp_c": 25.6}, plant={"inlet_temp_max_c": 25.6, "supply_air_temp_c": 21.6}
    )
    now = np.array([21.45, 10.0, 24.0, 0.8, np.nan, np.nan])
    asked = np.array([21.55, 10.0, 24.0, 0.8, np.nan, np.nan])
    out = shield(setpoints(plant=asked), seen, in_force=setpoints(plant=now))
    assert out.setpoints.plant[0] == pytest.approx(21.5)
    assert out.plant_reasons[0] == Reason.INLET_TEMP


def test_a_blind_shield_lets_nothing_get_warmer_but_colder_is_fine() -> None:
    seen = telemetry(plant={"inlet_temp_max_c": math.nan})
    warmer = shield(setpoints(plant=NOW + np.array([0.05, 0.05, 0.0, -0.01, 0, 0])), seen)
    assert warmer.setpoints.plant[:4].tolist() == NOW[:4].tolist()
    assert warmer.plant_reasons[0] == Reason.STALE
    colder = shield(setpoints(plant=NOW + np.array([-0.2, -0.2, 0.0, 0.02, 0, 0])), seen)
    assert colder.setpoints.plant[0] == pytest.approx(19.8)


def test_old_readings_count_as_missing() -> None:
    out = shield(setpoints(430.0), telemetry(age_s=91.0))
    assert out.setpoints.power_cap_w.tolist() == [400.0] * 4
    assert (out.group_reasons == Reason.STALE).all()


def test_a_tower_is_not_asked_for_water_colder_than_it_can_make() -> None:
    seen = telemetry(plant={"wet_bulb_temp_c": 22.5})
    out = shield(setpoints(plant=NOW + np.array([0, 0, -1.0, 0, 0, 0])), seen)
    assert out.setpoints.plant[2] == pytest.approx(24.25)
    assert out.plant_reasons[2] & Reason.WET_BULB


def test_reasons_are_told_in_words() -> None:
    assert reasons_in_words(int(Reason.SLEW | Reason.BUDGET)) == (
        "it would have changed faster than allowed (site limits)",
        "a power budget binds",
    )


ANY = st.floats(allow_nan=True, allow_infinity=True)
ODD_CAPS = st.lists(ANY, min_size=4, max_size=4).map(np.array)
ODD_PLANT = st.lists(ANY, min_size=6, max_size=6).map(np.array)
CAPS = st.lists(st.floats(200.0, 500.0), min_size=4, max_size=4).map(np.array)
HELD = st.tuples(
    st.floats(16.0, 26.0), st.floats(7.0, 20.0), st.floats(16.0, 30.0), st.floats(0.4, 1.0)
).map(lambda held: np.array([*held, np.nan, np.nan]))
READINGS = st.fixed_dictionaries(
    {
        "inlet_temp_max_c": st.floats(10.0, 45.0) | st.just(math.nan),
        "supply_air_temp_c": st.floats(10.0, 40.0) | st.just(math.nan),
        "wet_bulb_temp_c": st.floats(-20.0, 32.0) | st.just(math.nan),
    }
)
GPU_TEMPS = st.floats(20.0, 110.0) | st.just(math.nan)


@settings(max_examples=300, deadline=None)
@given(ODD_CAPS, ODD_PLANT, CAPS, HELD, READINGS, GPU_TEMPS)
def test_whatever_is_asked_the_result_is_in_range_slewed_and_in_budget(
    caps: np.ndarray,
    plant: np.ndarray,
    held_caps: np.ndarray,
    held: np.ndarray,
    readings: dict[str, float],
    gpu_temp_c: float,
) -> None:
    seen = telemetry(
        plant=readings,
        group={"inlet_temp_c": readings["inlet_temp_max_c"], "gpu_temp_c": gpu_temp_c},
    )
    in_force = setpoints(held_caps, held)
    out = shield(setpoints(caps, plant), seen, in_force=in_force, limits=LIMITS).setpoints
    low, high = LIMITS.lever_low[:4], LIMITS.lever_high[:4]
    tiny = 1e-9

    assert (out.power_cap_w >= LIMITS.power_cap_min_w - tiny).all()
    assert (out.power_cap_w <= LIMITS.power_cap_max_w + tiny).all()
    assert (out.power_cap_w <= held_caps + 0.5 * LIMITS.power_cap_rise_max_w_per_min + tiny).all()
    assert (out.plant[:4] >= low - tiny).all()
    assert (out.plant[:4] <= high + tiny).all()
    assert (out.plant[:4] <= held[:4] + 0.5 * LIMITS.lever_rise_max_per_min[:4] + tiny).all()
    assert (out.plant[:4] >= held[:4] - 0.5 * LIMITS.lever_fall_max_per_min[:4] - tiny).all()
    power = worst_case_power_w(out.power_cap_w, other_power_w(seen, LAYOUT), LAYOUT, LIMITS)
    floors = worst_case_power_w(LIMITS.power_cap_min_w, other_power_w(seen, LAYOUT), LAYOUT, LIMITS)
    assert (power <= np.maximum(LIMITS.budget_w, floors) * (1 + tiny)).all()


@settings(max_examples=100, deadline=None)
@given(CAPS, HELD, READINGS)
def test_projecting_what_was_projected_changes_nothing(
    caps: np.ndarray, held: np.ndarray, readings: dict[str, float]
) -> None:
    seen = telemetry(plant=readings, group={"inlet_temp_c": readings["inlet_temp_max_c"]})
    once = shield(setpoints(caps, held), seen, limits=LIMITS).setpoints
    twice = shield(once, seen, limits=LIMITS).setpoints
    np.testing.assert_allclose(twice.power_cap_w, once.power_cap_w, atol=1e-6)
    np.testing.assert_allclose(twice.plant[:4], once.plant[:4], atol=1e-6)
