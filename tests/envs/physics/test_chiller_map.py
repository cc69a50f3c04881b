"""Tests of chillers that come with a catalogue map."""

import numpy as np
import pytest

from coolcap_envs.physics.chiller import coefficient_of_performance
from coolcap_envs.physics.chiller_map import energy_input_ratio, extended_cop

CHW_HIGH_C = 12.78
LIFTED = {"constant": 0.06, "chw": -0.004, "cw": 0.0045}


def map_eir(chw_c: float, cw_c: float, load: float = 1.0) -> float:
    return energy_input_ratio(
        chw_leaving_temp_c=chw_c,
        cw_leaving_temp_c=cw_c,
        load_ratio=load,
        chw_square=0.0,
        cw_square=0.0,
        product=0.0,
        part_linear=0.4,
        part_square=0.4,
        **LIFTED,
    )


def carnot(chw_c: float, cw_c: float) -> float:
    return coefficient_of_performance(
        chw_leaving_temp_c=chw_c,
        cw_leaving_temp_c=cw_c,
        evaporator_approach_k=1.5,
        condenser_approach_k=1.5,
        lift_min_k=9.0,
        lift_loss_k=20.7,
        carnot_scale=1.2,
        part_load=1.0,
        cop_max=100.0,
    )


def cop(chw_c: float, cw_c: float) -> float:
    inside_c = min(chw_c, CHW_HIGH_C)
    return extended_cop(
        energy_input_ratio_inside=map_eir(inside_c, cw_c),
        carnot_cop=carnot(chw_c, cw_c),
        carnot_cop_inside=carnot(inside_c, cw_c),
        cop_max=18.0,
    )


def test_part_load_is_one_at_full_load_and_the_ratio_rises_towards_none() -> None:
    assert map_eir(7.0, 30.0) == pytest.approx(0.06 - 0.028 + 0.135)
    assert map_eir(7.0, 30.0, load=0.2) > map_eir(7.0, 30.0, load=0.6)


def test_inside_its_bounds_the_map_speaks_alone() -> None:
    assert cop(9.0, 30.0) == pytest.approx(1.0 / map_eir(9.0, 30.0))


def test_beyond_the_bounds_it_goes_on_smoothly_and_stays_a_machine() -> None:
    """A polynomial would give a negative ratio at 45 °C; the machine stays below its ceiling."""
    chw = np.linspace(5.0, 30.0, 251)
    found = np.array([cop(float(c), 28.0) for c in chw])
    assert np.all(np.diff(found) >= -1e-9)
    assert np.max(np.abs(np.diff(found))) < 0.1
    assert found.max() <= 18.0
    assert map_eir(45.0, 24.0) < 0.0 < cop(45.0, 24.0)
