"""Shares of a site's budget: never more than there is, floors first, then wishes by priority."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_agent.coordinator.divide import Claim, divide


def claim(floor_w: float, wanted_w: float, ceiling_w: float, priority: int = 1) -> Claim:
    return Claim(floor_w=floor_w, wanted_w=wanted_w, ceiling_w=ceiling_w, priority=priority)


def test_hall_that_wants_more_gets_it_from_one_that_wants_less() -> None:
    shares = divide(1000.0, [claim(100.0, 300.0, 900.0), claim(100.0, 700.0, 900.0)])

    assert shares == pytest.approx([300.0, 700.0])


def test_what_is_left_is_spread_alike_up_to_the_ceilings() -> None:
    shares = divide(1000.0, [claim(0.0, 100.0, 250.0), claim(0.0, 100.0, 900.0)])

    assert shares == pytest.approx([250.0, 750.0])


def test_too_little_for_all_wishes_is_shared_above_the_floors() -> None:
    shares = divide(600.0, [claim(100.0, 500.0, 500.0), claim(100.0, 500.0, 500.0)])

    assert shares == pytest.approx([300.0, 300.0])


def test_higher_priority_gets_what_it_wants_first() -> None:
    shares = divide(700.0, [claim(100.0, 500.0, 500.0, 5), claim(100.0, 500.0, 500.0, 1)])

    assert shares == pytest.approx([500.0, 200.0])


def test_floors_stand_even_where_there_is_too_little() -> None:
    assert divide(150.0, [claim(100.0, 200.0, 300.0), claim(100.0, 200.0, 300.0)]) == [100.0, 100.0]


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    found = []
    for _ in range(draw(st.integers(1, 6))):
        floor_w, wanted_w, ceiling_w = sorted(
            draw(st.lists(st.floats(0.0, 1e6), min_size=3, max_size=3))
        )
        found.append(claim(floor_w, wanted_w, ceiling_w, draw(st.integers(0, 3))))
    return found


@given(claims(), st.floats(0.0, 5e6))
def test_shares_keep_the_budget_floors_and_ceilings(of: list[Claim], budget_w: float) -> None:
    shares = divide(budget_w, of)

    floors_w = sum(c.floor_w for c in of)
    assert sum(shares) <= max(budget_w, floors_w) * (1.0 + 1e-9) + 1e-6
    for share, c in zip(shares, of, strict=True):
        assert c.floor_w - 1e-6 <= share <= c.ceiling_w + 1e-6
