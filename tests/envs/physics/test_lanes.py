"""Tests of arithmetic on lanes: choices, rows of records, and the accuracy of exp and log."""

import re
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from coolcap_envs.physics.gpu_cap import operating_point
from coolcap_envs.physics.jit import is_compiled, kernel
from coolcap_envs.physics.lanes import (
    LANES,
    any_lane,
    exp,
    floor,
    lanes_of,
    log,
    maximum,
    minimum,
    negated,
    sqrt,
    where,
)
from coolcap_envs.physics.records import CLASS_DTYPE, in_lanes

ROW = in_lanes(np.dtype([("x", np.float64), ("y", np.float64), ("z", np.float64)]))
Floats = NDArray[np.float64]


@kernel
def _exps(rows: Any) -> None:
    for t in range(rows.shape[0]):
        r = lanes_of(rows[t])
        r.y = exp(r.x)


@kernel
def _logs(rows: Any) -> None:
    for t in range(rows.shape[0]):
        r = lanes_of(rows[t])
        r.y = log(r.x)


@kernel
def _choices(rows: Any) -> int:
    positive = 0
    for t in range(rows.shape[0]):
        r = lanes_of(rows[t])
        is_high = (r.x > 1.0) & negated(r.y >= 2.0)
        r.z = where(is_high | (r.x == 0.0), sqrt(r.y), minimum(maximum(r.x, -1.0), floor(r.y)))
        if any_lane(r.x > 0.0):
            positive += 1
    return positive


def rows_of(x: Floats, y: Floats | float = 0.0) -> Any:
    rows = np.zeros(x.size // LANES, ROW)
    rows["x"] = x.reshape(-1, LANES)
    rows["y"] = np.broadcast_to(y, x.shape).reshape(-1, LANES)
    return rows


def units_off(got: Floats, exact: Floats) -> Floats:
    return np.abs(got - exact) / np.spacing(np.abs(exact))


def test_exp_is_within_two_units_in_the_last_place() -> None:
    x = np.concatenate(
        [np.linspace(-700.0, 700.0, 80_000), np.linspace(-1.0, 1.0, 80_000), np.zeros(LANES)]
    )
    rows = rows_of(x)
    _exps(rows)
    exact = np.exp(x.astype(np.longdouble)).astype(np.float64)
    assert units_off(rows["y"].ravel(), exact).max() <= 2.0
    assert rows["y"][-1].tolist() == [1.0] * LANES


def test_log_is_within_two_units_in_the_last_place() -> None:
    x = np.concatenate(
        [np.geomspace(1e-300, 1e300, 80_000), np.linspace(0.5, 2.0, 80_000), np.ones(LANES)]
    )
    rows = rows_of(x)
    _logs(rows)
    exact = np.log(x.astype(np.longdouble)).astype(np.float64)
    assert units_off(rows["y"].ravel(), exact)[exact != 0.0].max() <= 2.0
    assert rows["y"][-1].tolist() == [0.0] * LANES


def test_lanes_choose_apart() -> None:
    """NumPy's own functions are the reference, NaN and infinity included."""
    x = np.array([-2.0, 0.0, 0.5, 1.5, 3.0, np.inf, -np.inf, 1.0])
    y = np.array([9.0, 4.0, 0.25, 1.44, 2.0, 1.0, -4.0, 7.7])
    rows = rows_of(x, y)
    assert _choices(rows) == 1
    with np.errstate(invalid="ignore"):
        chosen = ((x > 1.0) & ~(y >= 2.0)) | (x == 0.0)
        wanted = np.where(chosen, np.sqrt(y), np.minimum(np.maximum(x, -1.0), np.floor(y)))
    np.testing.assert_array_equal(rows["z"][0], wanted)


@pytest.mark.skipif(not is_compiled(), reason="kernels run uncompiled")
def test_a_law_on_lanes_becomes_vector_instructions() -> None:
    """Taken apart, each division would be eight scalar ones."""

    def sweep(rows: Any, work: Any) -> None:
        for t in range(rows.shape[0]):
            r = lanes_of(rows[t])
            _, r.x, r.y, r.z = operating_point(
                load_ratio=r.x,
                cap_w=r.y,
                power_scale=1.0,
                clock_limit_ratio=r.z,
                clock_min_ratio=0.2,
                idle_w=75.0,
                work=lanes_of(work[t]),
            )

    compiled = numba.njit(error_model="numpy")(sweep)
    compiled(rows_of(np.ones(LANES), 400.0), np.ones(1, in_lanes(CLASS_DTYPE)))
    (text,) = compiled.inspect_asm().values()
    assert len(re.findall(r"\bv?divpd\b", text)) >= 8
    assert len(re.findall(r"\bv?divsd\b", text)) <= 1
