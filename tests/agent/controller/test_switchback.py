"""Plans of turns: balanced, repeatable, measurable."""

from dataclasses import replace

import pytest

from coolcap_agent.controller.switchback import Arm, Plan, SwitchbackError, next_start_s

DAY_S = 86400.0
PLAN = Plan(start_time_s=1000.0, block_s=DAY_S, washout_s=3600.0, pair_count=50, seed=3)


def test_each_pair_has_one_block_of_either_arm() -> None:
    for pair in range(PLAN.pair_count):
        assert set(PLAN.arms(pair)) == set(Arm)


def test_order_within_pairs_is_drawn_and_not_fixed() -> None:
    first = [PLAN.arms(pair)[0] for pair in range(PLAN.pair_count)]

    assert 15 <= first.count(Arm.POLICY) <= 35


def test_same_seed_gives_the_same_turns_and_another_seed_others() -> None:
    def turns(plan: Plan) -> list[Arm]:
        return [plan.arms(pair)[0] for pair in range(plan.pair_count)]

    assert turns(PLAN) == turns(replace(PLAN))
    assert turns(PLAN) != turns(replace(PLAN, seed=4))


def test_turn_at_an_instant_has_block_arm_and_washout() -> None:
    begin = PLAN.at(1000.0 + 3 * DAY_S)
    assert begin is not None
    assert (begin.block, begin.pair, begin.washing_out) == (3, 1, True)
    assert begin.arm is PLAN.arms(1)[1]
    later = PLAN.at(1000.0 + 3 * DAY_S + 3600.0)
    assert later is not None
    assert not later.washing_out


@pytest.mark.parametrize("time_s", [999.9, 1000.0 + 100 * DAY_S])
def test_no_turn_before_the_first_block_and_after_the_last(time_s: float) -> None:
    assert PLAN.at(time_s) is None
    assert PLAN.end_time_s == 1000.0 + 100 * DAY_S


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (replace(PLAN, block_s=599.0), "blocks of 599 s are too short"),
        (replace(PLAN, block_s=float("nan")), "too short"),
        (replace(PLAN, washout_s=0.6 * DAY_S), "outside 0 to 43200 s"),
        (replace(PLAN, washout_s=-1.0), "outside 0 to"),
        (replace(PLAN, pair_count=0), "0 pairs of blocks are outside 1 to 10000"),
    ],
)
def test_plan_that_cannot_be_measured_is_refused(plan: Plan, text: str) -> None:
    with pytest.raises(SwitchbackError, match=text):
        plan.check()


def test_good_plan_is_accepted() -> None:
    PLAN.check()


def test_blocks_begin_on_the_next_multiple_of_their_length() -> None:
    assert next_start_s(10.0 * DAY_S + 5.0, block_s=DAY_S) == 11.0 * DAY_S
