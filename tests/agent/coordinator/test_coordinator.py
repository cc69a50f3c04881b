"""The sum of the halls' budgets under lost calls, silent halls and restarts."""

import asyncio
import random

import pytest

from coolcap_agent.coordinator.coordinator import Coordinator, HallState

SITE_W = 1000.0


class FakeHall:
    """A hall whose calls a test can lose, on the way there or on the way back."""

    def __init__(
        self, name: str, *, budget_w: float, wants_w: float, floor_w: float = 100.0
    ) -> None:
        self.name, self.floor_w, self.ceiling_w, self.priority = name, floor_w, 800.0, 1
        self.budget_w, self.wants_w = budget_w, wants_w
        self.silent = False
        self.lose_request = self.lose_answer = False

    async def read(self) -> HallState | None:
        if self.silent:
            return None
        return HallState(budget_w=self.budget_w, power_bound_w=min(self.wants_w, self.budget_w))

    async def set_budget(self, budget_w: float, *, reason: str) -> bool:
        if self.silent or self.lose_request:
            return False
        self.budget_w = budget_w
        return not self.lose_answer


def halls(*wants_w: float) -> list[FakeHall]:
    return [
        FakeHall(f"hall-{n}", budget_w=SITE_W / len(wants_w), wants_w=wants)
        for n, wants in enumerate(wants_w)
    ]


def total_w(of: list[FakeHall]) -> float:
    return sum(hall.budget_w for hall in of)


def run(coordinator: Coordinator, count: int = 1) -> None:
    async def steps() -> None:
        for _ in range(count):
            await coordinator.step()

    asyncio.run(steps())


def test_budget_moves_to_the_hall_that_needs_it() -> None:
    some = halls(200.0, 900.0)

    run(Coordinator(some, budget_w=SITE_W), 20)

    assert some[0].budget_w < 320.0
    assert some[1].budget_w > 650.0
    assert total_w(some) <= SITE_W


def test_halls_that_have_more_than_the_site_are_lowered_at_once() -> None:
    some = [FakeHall(f"hall-{n}", budget_w=800.0, wants_w=800.0) for n in range(2)]

    run(Coordinator(some, budget_w=SITE_W))

    assert total_w(some) <= SITE_W


def test_silent_hall_keeps_its_share_and_the_others_divide_the_rest() -> None:
    some = halls(500.0, 900.0)
    coordinator = Coordinator(some, budget_w=SITE_W)
    run(coordinator, 5)
    kept_w = some[0].budget_w
    some[0].silent = True

    run(coordinator, 20)

    assert some[0].budget_w == kept_w
    assert total_w(some) <= SITE_W


def test_hall_never_heard_of_counts_with_its_ceiling() -> None:
    some = halls(900.0, 900.0)
    some[0].silent = True
    some[0].budget_w = 800.0

    run(Coordinator(some, budget_w=SITE_W), 20)

    assert some[1].budget_w == pytest.approx(200.0)


def test_raise_whose_answer_is_lost_is_counted() -> None:
    some = halls(900.0, 100.0)
    coordinator = Coordinator(some, budget_w=SITE_W)
    some[0].lose_answer = True
    run(coordinator, 3)
    some[0].silent = True
    some[1].wants_w = 900.0

    run(coordinator, 20)

    assert total_w(some) <= SITE_W


@pytest.mark.parametrize("seed", range(30))
def test_sum_stays_below_the_sites_budget_whatever_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    some = halls(*(rng.uniform(100.0, 900.0) for _ in range(rng.randint(2, 5))))
    coordinator = Coordinator(some, budget_w=SITE_W)
    for _ in range(100):
        hall = rng.choice(some)
        hall.wants_w = rng.uniform(50.0, 900.0)
        hall.silent = rng.random() < 0.2
        hall.lose_request = rng.random() < 0.2
        hall.lose_answer = rng.random() < 0.3
        if rng.random() < 0.05:
            coordinator = Coordinator(some, budget_w=SITE_W)
        run(coordinator)
        assert total_w(some) <= SITE_W * (1.0 + 1e-9)
