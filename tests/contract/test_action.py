"""Tests of the action decoder."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.contract.action import PLANT_RESIDUAL_RATIO, Action, decode, encode
from coolcap_envs.contract.setpoints import Setpoints
from support.small_site import small_site

LAYOUT, LIMITS = small_site()
BASELINE = Setpoints(
    power_cap_w=np.full(4, 400.0),
    sm_clock_max_mhz=np.full(4, np.nan),
    plant=np.array([21.0, 12.0, 24.0, 0.7, np.nan, np.nan]),
)


def test_the_neutral_action_keeps_the_rule() -> None:
    decoded = decode(Action.neutral(4), BASELINE, LIMITS)
    assert decoded.power_cap_w.tolist() == BASELINE.power_cap_w.tolist()
    assert np.array_equal(decoded.plant, BASELINE.plant, equal_nan=True)


def test_plus_one_raises_a_lever_by_the_residual_share_of_its_range() -> None:
    action = dataclasses.replace(Action.neutral(4), plant=np.array([1.0, -1.0, 0, 0, 0, 0]))
    plant = decode(action, BASELINE, LIMITS).plant
    assert plant[0] == pytest.approx(21.0 + PLANT_RESIDUAL_RATIO * 10.0)
    assert plant[1] == pytest.approx(12.0 - PLANT_RESIDUAL_RATIO * 13.0)


def test_a_lever_the_site_lacks_stays_uncommanded() -> None:
    action = dataclasses.replace(Action.neutral(4), plant=np.ones(6))
    assert np.isnan(decode(action, BASELINE, LIMITS).plant[4:]).all()


def test_a_non_finite_action_is_passed_on_for_the_shield_to_refuse() -> None:
    action = dataclasses.replace(Action.neutral(4), groups=np.full((4, 2), np.nan))
    assert np.isnan(decode(action, BASELINE, LIMITS).power_cap_w).all()


@given(st.lists(st.floats(-3.0, 3.0), min_size=4, max_size=4), st.floats(-3.0, 3.0))
def test_decoded_setpoints_always_lie_in_the_sites_range(caps: list[float], lever: float) -> None:
    action = Action(groups=np.stack([caps, caps], axis=-1), plant=np.full(6, lever))
    decoded = decode(action, BASELINE, LIMITS)
    assert (decoded.power_cap_w >= LIMITS.power_cap_min_w).all()
    assert (decoded.power_cap_w <= LIMITS.power_cap_max_w).all()
    assert (decoded.plant[:4] >= LIMITS.lever_low[:4]).all()
    assert (decoded.plant[:4] <= LIMITS.lever_high[:4]).all()


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.floats(-1.0, 1.0))
def test_encode_inverts_decode_inside_the_range(caps: list[float], lever: float) -> None:
    groups = np.stack([np.array(caps), np.zeros(4)], axis=-1)
    action = Action(groups=groups, plant=np.array([lever, lever, lever, lever, 0.0, 0.0]))
    setpoints = decode(action, BASELINE, LIMITS)
    again = decode(encode(setpoints, BASELINE, LIMITS), BASELINE, LIMITS)
    np.testing.assert_allclose(again.power_cap_w, setpoints.power_cap_w, atol=1e-9)
    np.testing.assert_allclose(again.plant[:4], setpoints.plant[:4], atol=1e-9)
