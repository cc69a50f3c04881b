"""Every way between the states, looked at one by one: there are few enough to try them all."""

from itertools import product

import pytest

from coolcap_agent.plant.state import REFUSING, Inputs, PlantState, next_state

EVERY = [
    Inputs(
        commanding=commanding,
        restoring=restoring,
        overridden=overridden,
        well=well,
        reset=reset,
        fallbacks_used_up=used_up,
        violation="hot" * violation,
        unknown="no reading" * unknown,
        unfit="no value" * unfit,
    )
    for commanding, restoring, overridden, well, reset in product((False, True), repeat=5)
    for used_up, violation, unknown, unfit in product((False, True), repeat=4)
]


@pytest.mark.parametrize("state", PlantState)
def test_trip_is_left_by_a_reset_without_a_violation_only(state: PlantState) -> None:
    for seen in EVERY:
        if state is PlantState.TRIPPED and next_state(state, seen) is not PlantState.TRIPPED:
            assert seen.reset
            assert not seen.violation


@pytest.mark.parametrize("state", PlantState)
def test_broken_limit_ends_control_from_every_state(state: PlantState) -> None:
    for seen in EVERY:
        if seen.violation:
            after = next_state(state, seen)
            assert after in REFUSING
            assert after is PlantState.TRIPPED or not seen.commanding


@pytest.mark.parametrize("state", PlantState)
def test_nobody_commands_freely_while_something_critical_is_unknown(state: PlantState) -> None:
    for seen in EVERY:
        if seen.unknown or seen.unfit:
            assert next_state(state, seen) is not PlantState.COMMANDED


@pytest.mark.parametrize("state", PlantState)
def test_command_is_never_reported_without_a_lease(state: PlantState) -> None:
    for seen in EVERY:
        if not seen.commanding:
            assert next_state(state, seen) not in (
                PlantState.COMMANDED,
                PlantState.HOLD,
                PlantState.OVERRIDDEN,
            )


@pytest.mark.parametrize("state", PlantState)
def test_state_that_was_reached_stays_while_nothing_changes(state: PlantState) -> None:
    """
    No input makes the agent swing between two states; a reset is answered once.
    """
    for seen in EVERY:
        if not seen.reset:
            once = next_state(state, seen)
            assert next_state(once, seen) is once


def test_every_state_can_be_reached() -> None:
    assert {next_state(PlantState.LOCAL, seen) for seen in EVERY} == set(PlantState)
