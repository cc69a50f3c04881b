"""Tests of price and carbon series read from files."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.grid_series import CARBON, PRICE, Quantity, load_hourly
from coolcap_envs.weather import HOURS_PER_YEAR
from support.reference_data import reference_file

START = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)


def price_file(folder: Path, *, zone_h: int = -6, moved_h: int = 0, year: int = 2023) -> Path:
    """Write a year whose prices peak at 18:00 local time, stamps moved by ``moved_h``."""
    zone = dt.timezone(dt.timedelta(hours=zone_h))
    start = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    hours = (dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC) - start) // dt.timedelta(hours=1)
    lines = ["Datetime (UTC),Datetime (Local),Price (USD/MWh)"]
    for k in range(hours):
        stamp = start + dt.timedelta(hours=k)
        local = stamp.astimezone(zone)
        true_hour = (local.hour - moved_h) % 24
        price = 50.0 + 0.001 * k + (60.0 if true_hour in (17, 18, 19, 20) else 0.0)
        lines.append(f"{stamp.isoformat(sep=' ')},{local.isoformat(sep=' ')},{price:.4f}")
    path = folder / "price.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def said_of(path: Path, edit: Callable[[list[str]], None], quantity: Quantity = PRICE) -> str:
    """Return what is said about the file after ``edit`` changed its lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    edit(lines)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_hourly(path, quantity)
    return str(caught.value)


def test_prices_are_read_in_usd_per_kwh(tmp_path: Path) -> None:
    series = load_hourly(price_file(tmp_path), PRICE)

    assert series.values.shape == (HOURS_PER_YEAR,)
    assert series.values[0] == pytest.approx(0.110)  # 18:00 of the day before, local time
    assert series.values[12] == pytest.approx(0.050012)
    assert series.notes == ()


def test_a_file_of_ones_own_needs_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "carbon.csv"
    stamps = (START + dt.timedelta(hours=k) for k in range(HOURS_PER_YEAR))
    lines = [f"{stamp:%Y-%m-%dT%H:%M:%SZ},{k % 700 + 10}" for k, stamp in enumerate(stamps)]
    path.write_text("time_utc,grid_carbon_g_per_kwh\n" + "\n".join(lines), encoding="utf-8")

    assert load_hourly(path, CARBON).values[3] == 13.0


def test_all_problems_of_a_price_file_stand_in_one_message(tmp_path: Path) -> None:
    def edit(lines: list[str]) -> None:
        lines[20] = lines[20].replace(lines[20].split(",")[2], "n/a")
        lines[30] = lines[30].rsplit(",", 1)[0] + ",1e9"
        del lines[500:503]
        lines.insert(101, lines[100])

    said = said_of(price_file(tmp_path), edit)

    assert said.startswith(f"{tmp_path / 'price.csv'}: ")
    assert "time or value is missing or no number in row 21" in said
    assert "the hour of the row before stands again in row 102" in said
    assert "3 hours are missing between row 501 (2023-01-21 18:00 UTC) and row 502" in said
    assert "price is missing or outside -10 to 100 USD/kWh in row 31" in said
    assert "has 8757 hours; a year of 8760 is needed" in said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines.__setitem__(0, "when,price"), "row 1 has no column 'time_utc'"),
        (lambda lines: lines.__delitem__(slice(1, None)), "has no rows"),
        (lambda lines: lines.__delitem__(slice(0, None)), "has no column"),
        (lambda lines: lines.insert(40, lines.pop(60)), "time goes back in row 42"),
        (lambda lines: lines.__delitem__(1), "must begin on 1 January 00:00"),
    ],
)
def test_each_problem_is_named(
    tmp_path: Path, edit: Callable[[list[str]], None], said: str
) -> None:
    assert said in said_of(price_file(tmp_path), edit)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        load_hourly(tmp_path / "none.csv", PRICE)


def test_the_29_february_is_left_out_and_said(tmp_path: Path) -> None:
    series = load_hourly(price_file(tmp_path, year=2024), PRICE)

    assert series.values.shape == (HOURS_PER_YEAR,)
    assert series.notes == ("29 February is left out: simulated years have 8760 hours",)


@pytest.mark.parametrize("zone_h", [-8, -5, 9])
def test_times_shifted_twice_are_refused_and_can_be_undone(tmp_path: Path, zone_h: int) -> None:
    right = load_hourly(price_file(tmp_path, zone_h=zone_h), PRICE, times="as-written").values
    path = price_file(tmp_path, zone_h=zone_h, moved_h=-zone_h)

    with pytest.raises(ConfigError, match="look shifted by the time zone twice") as caught:
        load_hourly(path, PRICE)
    assert 'say times = "shifted-twice" to read the file so' in str(caught.value)

    undone = load_hourly(path, PRICE, times="shifted-twice")
    assert np.array_equal(undone.values > 0.1, right > 0.1)
    assert undone.notes[0].startswith(f"times were moved by {zone_h} to {zone_h} h")
    assert load_hourly(path, PRICE, times="as-written").values[0] != undone.values[0]


def test_a_way_to_read_times_that_is_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="times = 'utc' is not allowed: one of checked"):
        load_hourly(price_file(tmp_path), PRICE, times="utc")


@pytest.mark.parametrize(
    ("zone", "is_shifted", "mean_usd_per_kwh"),
    [("DE-LU", False, 0.1026), ("US-CAL-CISO", True, 0.0615), ("US-MIDA-PJM", True, 0.03574)],
)
def test_published_prices_are_read_and_the_american_ones_found_out(
    zone: str, is_shifted: bool, mean_usd_per_kwh: float
) -> None:
    path = reference_file(f"price/{zone}_electricity_prices_2023.csv")
    if is_shifted:
        with pytest.raises(ConfigError, match="shifted by the time zone twice"):
            load_hourly(path, PRICE)
    times = "shifted-twice" if is_shifted else "checked"

    assert load_hourly(path, PRICE, times=times).values.mean() == pytest.approx(
        mean_usd_per_kwh, rel=1e-3
    )


@pytest.mark.parametrize(
    ("zone", "mean_g_per_kwh"),
    [("DE-LU", 307.66), ("US-CAL-CISO", 193.96), ("US-MIDA-PJM", 321.82)],
)
def test_published_carbon_intensities_are_read(zone: str, mean_g_per_kwh: float) -> None:
    series = load_hourly(reference_file(f"carbon/{zone}_2023_hourly.csv"), CARBON)

    assert series.values.mean() == pytest.approx(mean_g_per_kwh, abs=0.01)
