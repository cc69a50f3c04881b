"""The table of modes, every cell of it."""

import itertools

import pytest

from coolcap_agent.controller.modes import ASK, TRANSITIONS, Event, Mode, ModeError, ModeMachine

OFF, SHADOW, ADVISE, AUTO = Mode.OFF, Mode.SHADOW, Mode.ADVISE, Mode.AUTO
HOLD, FALLBACK, OVERRIDDEN, TRIPPED = Mode.HOLD, Mode.FALLBACK, Mode.OVERRIDDEN, Mode.TRIPPED

# Rows: the mode before. Columns: events, in this order. A dot: no change; back: to fallback.
EVENTS = (
    Event.ASK_OFF,
    Event.ASK_SHADOW,
    Event.ASK_ADVISE,
    Event.ASK_AUTO,
    Event.ASK_HOLD,
    Event.RESET_TRIP,
    Event.RELEASE,
    Event.UNFIT,
    Event.FIT,
    Event.OVERRIDE,
    Event.OVERRIDE_END,
    Event.TRIP,
)
TABLE = """
off         .    shadow  advise  auto  .     .    .    .         .     .           .     .
shadow      off  .       advise  auto  .     .    off  .         .     .           .     .
advise      off  shadow  .       auto  .     .    off  .         .     .           .     .
auto        off  shadow  advise  .     hold  .    off  fallback  .     overridden  .     tripped
hold        off  shadow  advise  auto  .     .    off  .         .     .           .     tripped
fallback    off  shadow  advise  .     hold  .    off  .         auto  overridden  .     tripped
overridden  off  shadow  advise  .     hold  .    off  .         .     .           back  tripped
tripped     .    .       .       .     .     off  off  .         .     .           .     .
"""
CELLS = [
    (Mode(row[0]), event, {".": row[0], "back": "fallback"}.get(after, after))
    for row in (line.split() for line in TABLE.strip().splitlines())
    for event, after in zip(EVENTS, row[1:], strict=True)
]


def machine(mode: Mode) -> ModeMachine:
    return ModeMachine(mode, reason="test", time_s=0.0)


def test_table_here_has_every_mode_and_event() -> None:
    assert set(itertools.product(Mode, Event)) == {(before, event) for before, event, _ in CELLS}


@pytest.mark.parametrize(("before", "event", "after"), CELLS)
def test_event_leads_where_the_table_says(before: Mode, event: Event, after: str) -> None:
    machine_ = machine(before)

    changed = machine_.on(event, reason="because", time_s=5.0)

    assert (Mode(after), after != before) == (machine_.mode, changed)
    assert ("because" if changed else "test") == machine_.state.reason
    assert (5.0 if changed else 0.0) == machine_.state.start_time_s


def test_every_mode_has_a_row_and_the_modes_not_asked_for_can_be_reached() -> None:
    reached = {after for row in TRANSITIONS.values() for after in row.values()}

    assert set(Mode) == set(TRANSITIONS)
    assert set(Mode) == reached


@pytest.mark.parametrize("mode", Mode)
def test_nothing_is_written_without_a_lease(mode: Mode) -> None:
    assert (mode.holds_caps and mode.holds_setpoints) or not mode.writes


def test_a_trip_gives_cooling_back_and_keeps_the_lowered_caps() -> None:
    """Caps that rose again in a hall that is too hot would make it hotter."""
    assert TRIPPED.holds_caps
    assert not TRIPPED.holds_setpoints


def test_modes_that_write_are_auto_hold_fallback_and_overridden() -> None:
    assert {AUTO, HOLD, FALLBACK, OVERRIDDEN} == {mode for mode in Mode if mode.writes}


@pytest.mark.parametrize("before", [OFF, SHADOW, ADVISE])
def test_hold_needs_something_to_hold(before: Mode) -> None:
    with pytest.raises(ModeError, match=f"hold cannot follow {before}, only auto, hold, fallback"):
        machine(before).ask(HOLD, reason="test", time_s=1.0)


@pytest.mark.parametrize("wanted", [FALLBACK, OVERRIDDEN, TRIPPED])
def test_modes_the_controller_enters_itself_cannot_be_asked_for(wanted: Mode) -> None:
    with pytest.raises(ModeError, match="ask for off, shadow, advise, auto, hold"):
        machine(AUTO).ask(wanted, reason="test", time_s=1.0)


@pytest.mark.parametrize("mode", ASK)
def test_asking_for_the_present_mode_changes_nothing(mode: Mode) -> None:
    machine_ = machine(mode)

    assert not machine_.ask(mode, reason="again", time_s=1.0)
    assert machine_.state.reason == "test"


def test_asking_for_auto_in_fallback_is_no_error_and_waits_for_recovery() -> None:
    machine_ = machine(FALLBACK)

    assert not machine_.ask(AUTO, reason="test", time_s=1.0)
    assert machine_.mode is FALLBACK


@pytest.mark.parametrize("wanted", [OFF, SHADOW, ADVISE, AUTO])
def test_reset_leads_from_tripped_to_the_mode_asked_for(wanted: Mode) -> None:
    machine_ = machine(TRIPPED)

    assert machine_.ask(wanted, reason="mended", time_s=1.0, reset_trip=True)
    assert wanted is machine_.mode
    assert machine_.state.reason == "mended"


def test_reset_does_not_lead_from_tripped_to_hold() -> None:
    """After a trip there is no command left to hold."""
    machine_ = machine(TRIPPED)

    with pytest.raises(ModeError, match="hold cannot follow off"):
        machine_.ask(HOLD, reason="test", time_s=1.0, reset_trip=True)
    assert machine_.mode is TRIPPED
