"""The memory of the console: means over bins, of a fixed size."""

import numpy as np
import pytest

from coolcap_agent.console.history import SPANS, History


def test_a_bin_holds_the_mean_of_what_fell_into_it() -> None:
    history = History(("power_w",))
    for time_s, value in ((100.0, 1.0), (102.0, 2.0), (104.9, 6.0), (105.0, 10.0)):
        history.add(time_s, np.array([value]))

    times_s, rows = history.read("hour")

    assert times_s.tolist() == [100.0, 105.0]
    assert rows[:, 0].tolist() == [3.0, 10.0]


def test_unknown_values_count_for_nothing() -> None:
    history = History(("a", "b"))
    history.add(0.0, np.array([4.0, np.nan]))
    history.add(1.0, np.array([np.nan, np.nan]))

    _, rows = history.read("hour")

    assert rows[0, 0] == 4.0
    assert np.isnan(rows[0, 1])


@pytest.mark.parametrize("span", [span.name for span in SPANS])
def test_no_more_than_the_span_is_kept_however_long_it_runs(span: str) -> None:
    (kept,) = (s for s in SPANS if s.name == span)
    history = History(("a",))
    step_s = kept.bin_s / 2.0
    for n in range(3 * 2 * kept.count):
        history.add(n * step_s, np.array([float(n)]))

    times_s, _ = history.read(span)

    assert len(times_s) == kept.count
    assert times_s[-1] - times_s[0] == kept.bin_s * (kept.count - 1)


def test_ticks_further_apart_than_bins_do_not_stretch_the_span() -> None:
    history = History(("a",))
    for n in range(1000):
        history.add(30.0 * n, np.array([0.0]))

    times_s, _ = history.read("hour")

    assert times_s[-1] - times_s[0] < 3600.0


def test_a_clock_that_is_set_back_leaves_what_is_there() -> None:
    history = History(("a",))
    history.add(1000.0, np.array([1.0]))
    history.add(10.0, np.array([5.0]))

    times_s, rows = history.read("hour")

    assert times_s.tolist() == [1000.0]
    assert rows[0, 0] == 1.0
