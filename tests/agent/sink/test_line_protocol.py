import numpy as np
import pytest

from coolcap_agent.sink.line_protocol import Series, line, series_key, time_ns


def test_line_has_series_fields_and_time_in_nanoseconds() -> None:
    got = line("plant", {"site": "lab-16"}, {"it_power_w": 1920.5, "pue": 1.25}, at_ns=17)

    assert got == b"plant,site=lab-16 it_power_w=1920.5,pue=1.25 17\n"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a b", r"a\ b"),
        ("a,b", r"a\,b"),
        ("a=b", r"a\=b"),
        ("two\nlines", r"two\ lines"),
        ("ends\\", "ends/"),
    ],
)
def test_what_would_end_a_tag_is_escaped(text: str, escaped: str) -> None:
    assert f"group,node={escaped}" == series_key("group", {"node": text})


def test_tags_are_sorted_and_empty_ones_left_out() -> None:
    """The database keeps series by sorted tags, and refuses a tag without a value."""
    assert series_key("group", {"b": "2", "rack": "", "a": "1"}) == "group,a=1,b=2"


def test_whole_numbers_are_floats() -> None:
    """A field written once as integer and once as float is a type conflict."""
    assert line("plant", {}, {"power_w": 3.0}, at_ns=5) == b"plant power_w=3 5\n"
    assert b"i" not in line("plant", {}, {"power_w": 3.0}, at_ns=5).split(b"=")[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_left_out(value: float) -> None:
    assert line("plant", {}, {"a": 1.0, "b": value}, at_ns=5) == b"plant a=1 5\n"


def test_line_without_any_value_is_no_line() -> None:
    assert line("plant", {"site": "x"}, {"a": np.nan}, at_ns=5) == b""


def test_series_write_one_line_per_row_that_has_values() -> None:
    series = Series(["group,group=a", "group,group=b", "group,group=c"], ["x", "y"])

    got = series.lines(np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, 3.5]]), at_ns=9)

    assert got == b"group,group=a x=1 9\ngroup,group=c x=2,y=3.5 9\n"


def test_time_is_exact_to_the_microsecond() -> None:
    assert time_ns(1_752_537_600.123456) == 1_752_537_600_123_456_000
