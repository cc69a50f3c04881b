"""Tests of reading the tree of budgets."""

import tomllib

import numpy as np

from coolcap_envs.contract.config import Table
from coolcap_envs.safety.budget_tables import Budgets, read_budgets
from support.small_site import small_site

LAYOUT, _ = small_site()
TREE = """
[[budgets]]
name = "site"
power_w = 2600.0
parts = ["row"]
[[budgets]]
name = "row"
power_w = 2500.0
parts = ["pdu-1", "pdu-2"]
[[budgets]]
name = "pdu-1"
power_w = 1300.0
racks = ["rack-01"]
burst_ratio = 0.25
[[budgets]]
name = "pdu-2"
power_w = 1300.0
racks = ["rack-02"]
"""


def read(text: str) -> tuple[Budgets, list[str]]:
    root = Table(tomllib.loads(text), path="", problems=[])
    budgets = read_budgets(root.take_tables("budgets"), LAYOUT)
    return budgets, root.problems


def test_a_budget_covers_what_its_parts_cover_at_any_depth() -> None:
    budgets, problems = read(TREE)

    assert problems == []
    assert budgets.names == ("site", "row", "pdu-1", "pdu-2")
    expected = [[True] * 4, [True] * 4, [True, True, False, False], [False, False, True, True]]
    assert budgets.members.tolist() == expected
    np.testing.assert_array_equal(budgets.burst_ratio, [0.0, 0.0, 0.25, 0.0])


def test_all_mistakes_are_told_at_once() -> None:
    text = TREE.replace('parts = ["pdu-1", "pdu-2"]', 'parts = ["pdu-1", "pdu-3"]')
    text = text.replace('racks = ["rack-02"]', "")
    _, problems = read(text)

    assert len(problems) == 2
    assert "pdu-3" in problems[1]
    assert "racks" in problems[0]


def test_a_budget_that_is_a_part_of_itself_is_refused() -> None:
    _, problems = read(TREE.replace('racks = ["rack-02"]', 'parts = ["site"]'))

    assert any("no part of itself" in problem for problem in problems)


def test_two_budgets_of_one_name_are_refused() -> None:
    _, problems = read(TREE.replace('"pdu-2"\npower', '"pdu-1"\npower'))

    assert any("two tables" in problem for problem in problems)
