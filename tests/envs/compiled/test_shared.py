"""Twins of NumPy's functions on lanes answer as NumPy does, to NaN and infinity too."""

from itertools import product
from typing import Any

import numpy as np

from coolcap_envs.compiled import shared
from coolcap_envs.contract.elementwise import (
    absolute,
    clip,
    filled,
    flagged,
    floor,
    higher_of,
    in_range,
    is_finite,
    is_nan,
    lower_of,
    negated,
    where,
)
from coolcap_envs.physics.jit import kernel
from coolcap_envs.physics.lanes import LANES, lanes_of
from coolcap_envs.physics.records import in_lanes

ODD = [np.nan, np.inf, -np.inf, -2.5, -0.0, 0.0, 1.0, 1.5, 3.0]
NAMES = [
    "lower",
    "higher",
    "clipped",
    "filled",
    "floor",
    "absolute",
    "finite",
    "nan",
    "inside",
    "less",
]
ROW = in_lanes(
    np.dtype(
        [("x", np.float64), ("y", np.float64), ("bits", np.uint64)]
        + [(name, np.float64) for name in NAMES]
    )
)


def write(r: Any) -> None:
    r.lower = lower_of(r.x, r.y)
    r.higher = higher_of(r.x, r.y)
    r.clipped = clip(r.x, -1.0, r.y)
    r.filled = filled(r.x, r.y)
    r.floor = floor(r.x)
    r.absolute = absolute(r.x)
    r.finite = where(is_finite(r.x), 1.0, 0.0)
    r.nan = where(is_nan(r.x), 1.0, 0.0)
    r.inside = where(in_range(r.x, -1.0, r.y), 1.0, 0.0)
    r.less = where(negated(r.x >= r.y), 1.0, 0.0)
    r.bits = flagged(flagged(0, r.x > 0.0, 4), r.y > 0.0, 32)


@kernel
def _write_lanes(rows: Any) -> None:
    for t in range(rows.shape[0]):
        _write(lanes_of(rows[t]))


_write = kernel(write)


class Plain:
    """A namespace of arrays."""


def test_twins_answer_as_numpy_does() -> None:
    assert len(shared.SHARED) > 0
    pairs = np.array(list(product(ODD, ODD)))
    rows = np.zeros(-(-len(pairs) // LANES), ROW)
    filled_up = np.resize(pairs, (rows.size * LANES, 2))
    rows["x"], rows["y"] = (filled_up[:, k].reshape(-1, LANES) for k in range(2))
    _write_lanes(rows)

    plain: Any = Plain()
    plain.x, plain.y = filled_up[:, 0], filled_up[:, 1]
    with np.errstate(invalid="ignore"):
        write(plain)

    for name in NAMES:
        np.testing.assert_array_equal(rows[name].ravel(), getattr(plain, name), err_msg=name)
    np.testing.assert_array_equal(rows["bits"].ravel(), plain.bits)
