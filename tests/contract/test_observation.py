"""Tests of the observation encoder."""

import dataclasses

import numpy as np

from coolcap_envs.contract.observation import (
    ACTION_WIDTH,
    GROUP_FEATURES,
    PLANT_FEATURES,
    ROW_FEATURES,
    Observation,
    action_mask,
    agent_rows,
    encode,
    split_rows,
)
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from support.small_site import small_site, telemetry

LAYOUT, LIMITS = small_site()
GROUP = {f.name: i for i, f in enumerate(GROUP_FEATURES)}
PLANT = {f.name: i for i, f in enumerate(PLANT_FEATURES)}


def observe(seen: Telemetry, *, work_value: float = 1.5) -> Observation:
    baseline = Setpoints(
        power_cap_w=np.full(seen.groups.shape[:-1], 400.0),
        sm_clock_max_mhz=np.full(seen.groups.shape[:-1], np.nan),
        plant=np.broadcast_to(LIMITS.lever_default, (*seen.groups.shape[:-2], 6)),
    )
    return encode(seen, baseline=baseline, layout=LAYOUT, limits=LIMITS, work_value=work_value)


def test_features_are_in_physical_units() -> None:
    seen = observe(telemetry())
    assert seen.groups[0, GROUP["gpu_power_ratio"]] == 400.0 / 500.0
    assert seen.groups[0, GROUP["baseline_cap_ratio"]] == 0.8
    assert seen.groups[0, GROUP["inlet_temp_margin_k"]] == 5.0
    assert seen.plant[PLANT["wet_bulb_temp_c"]] == 15.0
    assert seen.plant[PLANT["work_value"]] == 1.5


def test_a_missing_reading_never_becomes_nan_in_the_observation() -> None:
    seen = observe(telemetry(group={"hbm_temp_c": np.nan}, plant={"wet_bulb_temp_c": np.nan}))
    assert np.isfinite(seen.groups).all()
    assert np.isfinite(seen.plant).all()


def test_features_stay_in_the_bounds_the_network_is_scaled_to() -> None:
    seen = observe(telemetry(group={"latency_ratio": 50.0, "inlet_temp_c": 79.0}))
    rows = agent_rows(seen)
    assert (rows >= np.array([f.low for f in ROW_FEATURES], dtype=np.float32)).all()
    assert (rows <= np.array([f.high for f in ROW_FEATURES], dtype=np.float32)).all()


def test_an_absent_lever_is_marked_absent() -> None:
    seen = observe(telemetry())
    assert seen.plant[PLANT["has_supply_air_temp_setpoint_c"]] == 1.0
    assert seen.plant[PLANT["has_cdu_flow_setpoint_ratio"]] == 0.0


def test_a_batch_is_encoded_as_its_members_are() -> None:
    one = telemetry(plant={"outdoor_temp_c": 5.0})
    two = telemetry(plant={"outdoor_temp_c": 30.0})
    both = Telemetry(
        **{
            f.name: np.stack([getattr(one, f.name), getattr(two, f.name)])
            for f in dataclasses.fields(Telemetry)
        }
    )
    rows = agent_rows(observe(both))
    assert np.array_equal(rows[0], agent_rows(observe(one)))
    assert np.array_equal(rows[1], agent_rows(observe(two)))


def test_rows_of_permuted_groups_are_permuted_rows() -> None:
    seen = observe(telemetry(group={"gpu_power_w": np.array([100.0, 200.0, 300.0, 400.0])}))
    order = np.array([2, 0, 3, 1])
    permuted = agent_rows(Observation(groups=seen.groups[order], plant=seen.plant))
    np.testing.assert_allclose(permuted[:-1], agent_rows(seen)[order], rtol=1e-6)


def test_every_row_ends_with_its_role() -> None:
    rows = agent_rows(observe(telemetry()))
    assert rows.shape == (5, len(ROW_FEATURES))
    assert rows[:-1, -2:].tolist() == [[1.0, 0.0]] * 4
    assert rows[-1, -2:].tolist() == [0.0, 1.0]


def test_outputs_are_split_into_group_and_plant_levers() -> None:
    values = np.arange(5 * ACTION_WIDTH, dtype=np.float32).reshape(5, ACTION_WIDTH)
    action = split_rows(values)
    assert action.groups.tolist() == values[:4, :2].tolist()
    assert action.plant.tolist() == values[4, :6].tolist()


def test_the_mask_names_the_levers_of_the_site() -> None:
    mask = action_mask(LAYOUT)
    assert mask[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert mask[-1].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
