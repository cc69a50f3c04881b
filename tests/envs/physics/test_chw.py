"""Tests of the chilled-water pipe and the mixed return."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.chw import (
    mixed_temp_next_c,
    pipe_mean_temp_c,
    pipe_outlet_temp_c,
    pipe_push,
)

CELLS = 8


class Pipe:
    """A pipe of eight cells; counts what went in and came out."""

    def __init__(self, temp_c: float) -> None:
        self.cells_c = np.full(CELLS, temp_c)
        self.head: int | np.signedinteger = 0
        self.shift, self.fill_c = 0.0, temp_c

    def flow(self, cells: float, inlet_c: float) -> float:
        outlet_c = pipe_outlet_temp_c(
            cells_c=self.cells_c, head=self.head, shift=self.shift, flow_cells=cells
        )
        self.head, self.shift, self.fill_c = pipe_push(
            cells_c=self.cells_c,
            head=self.head,
            shift=self.shift,
            fill_temp_c=self.fill_c,
            flow_cells=cells,
            inlet_temp_c=inlet_c,
        )
        return outlet_c

    @property
    def mean_c(self) -> float:
        return pipe_mean_temp_c(
            cells_c=self.cells_c, head=self.head, shift=self.shift, fill_temp_c=self.fill_c
        )


@pytest.mark.parametrize("cells", [0.25, 1.0, 1.6])
def test_a_front_arrives_when_the_pipe_has_been_filled_once(cells: float) -> None:
    pipe = Pipe(10.0)
    pushed = 0.0
    while pushed + cells <= CELLS + 1e-9:
        assert pipe.flow(cells, 20.0) == pytest.approx(10.0)
        pushed += cells
    pipe.flow(cells, 20.0)
    pipe.flow(1.0, 20.0)
    assert pipe.flow(1.0, 20.0) == pytest.approx(20.0)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(5.0, 30.0)), min_size=1, max_size=60))
def test_the_pipe_stores_exactly_what_flows_in_and_not_out(
    flows: list[tuple[float, float]],
) -> None:
    pipe = Pipe(12.0)
    expected = CELLS * 12.0
    for cells, inlet_c in flows:
        expected += cells * (inlet_c - pipe.flow(cells, inlet_c))
        assert CELLS * pipe.mean_c == pytest.approx(expected, rel=1e-9)


def test_water_that_stands_keeps_its_temperature() -> None:
    pipe = Pipe(10.0)
    pipe.flow(2.5, 18.0)
    before = pipe.mean_c
    pipe.flow(0.0, 30.0)
    assert pipe.mean_c == before


def test_a_mixed_volume_settles_at_its_inlet_plus_what_heats_it() -> None:
    temp = 10.0
    for _ in range(500):
        temp = mixed_temp_next_c(
            temp_c=temp,
            capacity_w_per_k=1e5,
            flow_w_per_k=2e4,
            inlet_temp_c=18.0,
            heat_w=1000.0,
        )
    assert temp == pytest.approx(18.0 + 1000.0 / 2e4)
