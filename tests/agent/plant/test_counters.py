"""Meters that roll over go on growing; meters that were replaced do not pretend to."""

import logging
from pathlib import Path

import pytest

from coolcap_agent.drivers.base import SignalReading
from coolcap_agent.logging import FaultLog
from coolcap_agent.plant.counters import Counters

END_KWH = 4_294_967.296
"""A 32-bit counter of watt-hours."""


def counters(folder: Path) -> Counters:
    return Counters(folder / "counters.json", faults=FaultLog(logging.getLogger(__name__)))


def energy(value: float, *, rollover: float = END_KWH, origin: str = "meter 1") -> SignalReading:
    return SignalReading(
        signal="facility_energy_kwh",
        value=value,
        measure_time_s=0.0,
        origin=origin,
        rollover=rollover,
    )


def unrolled(made: Counters, *values: float) -> list[float]:
    return [made.unroll([energy(value)])[0].value for value in values]


def test_counter_that_rolls_over_goes_on_growing(tmp_path: Path) -> None:
    grown = unrolled(counters(tmp_path), END_KWH - 2.0, END_KWH - 0.5, 1.0, 5.0)

    assert grown == pytest.approx([END_KWH - 2.0, END_KWH - 0.5, END_KWH + 1.0, END_KWH + 5.0])


def test_meter_that_was_replaced_starts_again(tmp_path: Path) -> None:
    assert unrolled(counters(tmp_path), 2_000_000.0, 3.0) == [2_000_000.0, 3.0]


def test_turns_are_remembered_over_a_restart(tmp_path: Path) -> None:
    first = counters(tmp_path)
    unrolled(first, END_KWH - 1.0, 2.0)
    first.save()

    assert unrolled(counters(tmp_path), 3.0) == pytest.approx([END_KWH + 3.0])


def test_rollover_while_the_agent_was_down_is_noticed(tmp_path: Path) -> None:
    first = counters(tmp_path)
    unrolled(first, END_KWH - 1.0)
    first.save()

    assert unrolled(counters(tmp_path), 4.0) == pytest.approx([END_KWH + 4.0])


def test_each_meter_of_a_sum_rolls_over_by_itself(tmp_path: Path) -> None:
    made = counters(tmp_path)
    made.unroll([energy(END_KWH - 1.0), energy(10.0, origin="meter 2")])

    grown = made.unroll([energy(1.0), energy(11.0, origin="meter 2")])

    assert [one.value for one in grown] == pytest.approx([END_KWH + 1.0, 11.0])


def test_damaged_file_is_told_and_counted_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "counters.json").write_text("{ not json")

    assert unrolled(counters(tmp_path), 7.0) == [7.0]
    assert "counted anew" in caplog.text
