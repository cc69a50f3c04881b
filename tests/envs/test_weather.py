"""Tests of weather years."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.weather import HOURS_PER_YEAR, PACKAGED, daily_course, load_weather
from support.epw_files import epw


@pytest.mark.parametrize(
    ("name", "mean_c", "wettest_c"),
    [("greensboro", 14.4, 27.2), ("miami", 24.3, 27.5), ("sand-point", 4.4, 13.7)],
)
def test_packaged_years_have_their_climate(name: str, mean_c: float, wettest_c: float) -> None:
    year = load_weather(name)
    assert year.outdoor_temp_c.shape == (HOURS_PER_YEAR,)
    assert year.outdoor_temp_c.mean() == pytest.approx(mean_c, abs=0.05)
    assert year.wet_bulb_temp_c.max() == pytest.approx(wettest_c, abs=0.1)
    assert np.all(year.wet_bulb_temp_c <= year.outdoor_temp_c + 1e-6)


@pytest.mark.parametrize("name", list(PACKAGED))
def test_packaged_years_are_read_as_pvlib_reads_them(name: str) -> None:
    pvlib = pytest.importorskip("pvlib")
    file_name, kind = PACKAGED[name]
    path = Path(pvlib.__file__).parent / "data" / file_name
    year = load_weather(name)
    if kind == "tmy3":
        table, meta = pvlib.iotools.read_tmy3(path, map_variables=True)
        dry_c, dew_c = table["temp_air"].to_numpy(), table["temp_dew"].to_numpy()
    else:
        table, meta = pvlib.iotools.read_tmy2(path)
        dry_c, dew_c = table["DryBulb"].to_numpy() / 10.0, table["DewPoint"].to_numpy() / 10.0
    offset_h = round(meta["TZ"])
    assert year.utc_offset_h == offset_h
    # Row 0 of the files ends at 01:00 local time.
    assert np.allclose(np.roll(year.outdoor_temp_c, offset_h - 1), dry_c)
    assert np.allclose(np.roll(year.dew_point_c, offset_h - 1), dew_c)


def test_years_are_in_utc(tmp_path: Path) -> None:
    year = load_weather(str(epw(tmp_path)))
    assert year.utc_offset_h == -5.0
    assert np.flatnonzero(year.outdoor_temp_c == 20.0)[0] == 20  # 15:00 local


def spoiled(path: Path, edit: Callable[[list[str]], None]) -> str:
    """Return what is said about the file after ``edit`` changed its lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    edit(lines)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_weather(str(path))
    return str(caught.value)


def test_missing_hours_are_refused_with_their_place(tmp_path: Path) -> None:
    def edit(lines: list[str]) -> None:
        del lines[3000:3030]
        del lines[100]

    said = spoiled(epw(tmp_path), edit)

    assert "31 of 8760 hours are missing" in said
    assert "1 from month 1, day 4, hour 21 (after row 100)" in said
    assert "30 from month 5, day 5, hour 17 (after row 2999)" in said


def test_an_hour_that_stands_twice_is_refused_with_both_rows(tmp_path: Path) -> None:
    said = spoiled(epw(tmp_path), lambda lines: lines.insert(100, lines[99]))

    assert "row 101 is month 1, day 4, hour 20, as row 100 is" in said
    assert "missing" not in said


def test_a_short_year_is_refused(tmp_path: Path) -> None:
    said = spoiled(epw(tmp_path), lambda lines: lines.__delitem__(slice(8744, None)))

    assert "24 of 8760 hours are missing: 24 from month 12, day 31, hour 1 (after row 8744)" in said


def test_all_problems_of_a_file_stand_in_one_message(tmp_path: Path) -> None:
    def edit(lines: list[str]) -> None:
        lines[0] = lines[0].replace("-5.0", "-50.0")
        lines[50] = lines[50].replace(",10.0,", ",99.9,")
        lines[60] = "2017,13,1,1,0,flags,10.0,5.0,70,100000"
        del lines[200]

    said = spoiled(epw(tmp_path), edit)

    assert said.startswith(f"{tmp_path / 'year.epw'}: ")
    assert "row 1 has time zone -50 h, which is outside -14 to 14 h" in said
    assert "are missing in row 61" in said
    assert "2 of 8760 hours are missing" in said
    assert "dry bulb, °C is missing or outside -70 to 60 in row 51" in said


def test_missing_values_are_refused_with_their_rows(tmp_path: Path) -> None:
    """99.9 and 999999 are EPW's codes for missing; NaN and text are not numbers either."""
    path = epw(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    for row, old, new in (
        (20, ",10.0,", ",99.9,"),
        (30, ",10.0,", ",nan,"),
        (40, ",100000,", ",999999,"),
    ):
        lines[row - 1] = lines[row - 1].replace(old, new)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_weather(str(path))
    message = str(caught.value)
    assert "dry bulb, °C is missing or outside -70 to 60 in row 20, row 30" in message
    assert "pressure, Pa is missing or outside 50000 to 110000 in row 40" in message


def test_a_file_that_is_no_epw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.epw"
    path.write_text("a,b,c\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no LOCATION row"):
        load_weather(str(path))


def test_an_unknown_year_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'atlantis': allowed are greensboro, miami, sand-point"):
        load_weather("atlantis")


def test_simulation_does_not_import_pvlib() -> None:
    """It takes a second; only its data files are used."""
    code = (
        "import sys; from coolcap_envs.weather import load_weather; load_weather('greensboro');"
        "assert 'pvlib' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_daily_course_peaks_at_its_local_hour() -> None:
    course = daily_course(mean=10.0, swing_ratio=0.5, peak_hour=17.0, utc_offset_h=-5.0)
    assert course[:24].argmax() == 22
    assert course.mean() == pytest.approx(10.0)
    assert course.max() == pytest.approx(15.0)
