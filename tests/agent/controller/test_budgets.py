import dataclasses
import math

import numpy as np
import pytest

from coolcap_agent.controller.budgets import (
    BudgetChange,
    BudgetError,
    Budgets,
    UnknownBudgetError,
)
from support.small_site import small_site, telemetry

OTHER_W = np.full(4, 40.0)
LOWEST_W = (4 * 200.0 + 4 * 40.0) * 1.03  # floor 0.4 x 500 W, 40 W beside each GPU, margin 3 %


def change(budget_w: float, *, start_s: float = 0.0, end_s: float = math.inf) -> BudgetChange:
    return BudgetChange(budget_w=budget_w, start_time_s=start_s, end_time_s=end_s, reason="test")


@pytest.fixture
def budgets() -> Budgets:
    return Budgets(*small_site())


def test_budget_holds_from_its_start_until_just_before_its_end(budgets: Budgets) -> None:
    budgets.set("site", change(1500.0, start_s=100.0, end_s=200.0), other_w=OTHER_W)

    held = [float(budgets.limits_at(t).budget_w[0]) for t in (99.0, 100.0, 199.9, 200.0, 201.0)]

    assert held == [2600.0, 1500.0, 1500.0, 2600.0, 2600.0]


def test_other_budgets_stay_as_they_are(budgets: Budgets) -> None:
    budgets.set("site", change(1500.0), other_w=OTHER_W)

    assert budgets.limits_at(5.0).budget_w.tolist() == [1500.0, 1200.0]


def test_newest_change_replaces_the_one_before_and_none_lifts_it(budgets: Budgets) -> None:
    budgets.set("site", change(1500.0), other_w=OTHER_W)
    budgets.set("site", change(1800.0), other_w=OTHER_W)
    assert budgets.limits_at(5.0).budget_w[0] == 1800.0

    budgets.set("site", None, other_w=OTHER_W)

    assert budgets.limits_at(5.0) is budgets.configured


def test_change_that_ended_is_forgotten(budgets: Budgets) -> None:
    budgets.set("site", change(1500.0, end_s=10.0), other_w=OTHER_W)

    budgets.limits_at(10.0)

    assert budgets.change("site") is None


def test_budget_below_the_lowest_caps_is_refused_with_the_figure(budgets: Budgets) -> None:
    with pytest.raises(BudgetError, match=f"may still draw {LOWEST_W:.0f} W"):
        budgets.set("site", change(LOWEST_W - 1.0), other_w=OTHER_W)
    assert budgets.limits_at(5.0) is budgets.configured

    budgets.set("site", change(LOWEST_W + 1.0), other_w=OTHER_W)


def test_budget_of_unknown_name_is_refused_with_the_known_ones(budgets: Budgets) -> None:
    with pytest.raises(UnknownBudgetError, match="this site has site, first rack"):
        budgets.set("hall", change(1500.0), other_w=OTHER_W)


def test_empty_window_is_refused(budgets: Budgets) -> None:
    with pytest.raises(BudgetError, match="ends before it starts"):
        budgets.set("site", change(1500.0, start_s=5.0, end_s=5.0), other_w=OTHER_W)


def test_requests_lower_a_budget_while_they_hold_and_never_raise_it(budgets: Budgets) -> None:
    lower, higher = change(1500.0, start_s=10.0, end_s=20.0), change(9000.0, end_s=30.0)
    budgets.request("events.toml", [("site", lower), ("site", higher), ("elsewhere", lower)])

    held = [float(budgets.limits_at(t).budget_w[0]) for t in (9.0, 10.0, 20.0)]

    assert held == [2600.0, 1500.0, 2600.0]
    assert budgets.requests(10.0) == [("site", lower), ("site", higher), ("elsewhere", lower)]
    budgets.request("events.toml", [])
    assert budgets.limits_at(10.0) is budgets.configured


def test_new_limits_keep_the_changes_of_budgets_that_are_still_there(budgets: Budgets) -> None:
    budgets.set("site", change(1500.0), other_w=OTHER_W)
    limits = dataclasses.replace(budgets.configured, budget_w=np.array([2000.0, 900.0]))

    budgets.configure(limits)

    assert budgets.limits_at(5.0).budget_w.tolist() == [1500.0, 900.0]


def test_cooling_that_is_not_fit_to_run_bounds_the_whole_site(budgets: Budgets) -> None:
    layout, _ = small_site()
    half = telemetry(plant={"crah_available_ratio": 0.5, "chiller_available_ratio": 1.0})
    unknown = telemetry(plant={"crah_available_ratio": math.nan})

    assert budgets.limits_at(5.0, unknown) is budgets.configured
    held = budgets.limits_at(5.0, half).budget_w
    assert held.tolist() == [0.5 * layout.it_power_design_w, 1200.0]
