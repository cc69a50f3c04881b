"""Tests of the work's bookkeeping and of latency."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_envs.physics.service import backlog_next_s, latency_ratio

amounts = st.floats(0.0, 100.0)


@given(amounts, amounts, st.floats(0.0, 1.0), st.floats(0.0, 50.0))
def test_work_neither_appears_nor_vanishes(
    backlog_s: float, offered_s: float, served_share: float, bound_s: float
) -> None:
    served_s = served_share * (backlog_s + offered_s)
    waiting_s, lost_s = backlog_next_s(
        backlog_s=backlog_s, offered_s=offered_s, served_s=served_s, backlog_max_s=bound_s
    )
    assert backlog_s + offered_s == pytest.approx(served_s + waiting_s + lost_s)
    assert 0.0 <= waiting_s <= bound_s


def ratio(offered: float, throughput: float = 1.0, backlog_s: float = 0.0) -> float:
    return latency_ratio(
        offered_ratio=offered,
        throughput=throughput,
        backlog_s=backlog_s,
        design_load_ratio=0.85,
        target_s=10.0,
    )


def test_the_target_is_met_exactly_at_the_design_load() -> None:
    assert ratio(0.85) == pytest.approx(1.0)


def test_latency_grows_with_load_with_slowing_down_and_with_the_queue() -> None:
    assert ratio(0.5) < ratio(0.7) < ratio(0.9)
    assert ratio(0.7, throughput=0.9) > ratio(0.7)
    assert ratio(0.7, backlog_s=5.0) == pytest.approx(ratio(0.7) + 0.5)


def test_latency_of_an_overloaded_service_stays_finite() -> None:
    assert ratio(2.0, backlog_s=1e6) == 100.0
