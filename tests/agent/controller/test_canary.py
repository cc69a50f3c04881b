"""Which groups a canary takes."""

import numpy as np
import pytest

from coolcap_agent.controller.canary import canary_groups

NAMES = [f"node-{n:03d}" for n in range(128)]


@pytest.mark.parametrize(("ratio", "count"), [(0.0, 0), (0.001, 1), (0.25, 32), (1.0, 128)])
def test_share_is_met_to_the_whole_group(ratio: float, count: int) -> None:
    assert canary_groups(NAMES, ratio=ratio, salt="hall").sum() == count


def test_choice_depends_on_names_and_salt_alone() -> None:
    one = canary_groups(NAMES, ratio=0.25, salt="hall")
    turned = canary_groups(NAMES[::-1], ratio=0.25, salt="hall")

    assert np.array_equal(one, turned[::-1])
    assert not np.array_equal(one, canary_groups(NAMES, ratio=0.25, salt="other hall"))


def test_larger_canary_keeps_the_groups_of_a_smaller_one() -> None:
    small, large = (canary_groups(NAMES, ratio=r, salt="hall") for r in (0.1, 0.4))

    assert np.all(large[small])
