"""Tests of what drives a plant from outside."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.config import site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.outside import Outside
from coolcap_envs.physics.records import HOURLY_CHANNELS
from coolcap_envs.site import load_site
from coolcap_envs.weather import HOURS_PER_YEAR

LAB = site_path("lab-16").read_text(encoding="utf-8")
PRICE, CARBON = (HOURLY_CHANNELS.index(n) for n in ("price_usd_per_kwh", "grid_carbon_g_per_kwh"))


def write_series(path: Path, column: str, *, hours: int = HOURS_PER_YEAR) -> None:
    stamps = (dt.datetime(2023, 1, 1) + dt.timedelta(hours=k) for k in range(hours))  # noqa: DTZ001
    rows = (f"{stamp:%Y-%m-%d %H:%M},{0.001 * k:.3f}" for k, stamp in enumerate(stamps))
    path.write_text(f"time_utc,{column}\n" + "\n".join(rows) + "\n", encoding="utf-8")


def site_file(folder: Path, *tables: str) -> Path:
    path = folder / "site.toml"
    path.write_text(LAB + "\n" + "\n".join(tables), encoding="utf-8")
    return path


def test_without_files_price_and_carbon_follow_the_sites_daily_course() -> None:
    site = load_site("lab-16")
    outside = Outside(site)

    hourly = outside.hourly[outside.row("miami")]

    assert hourly[:, PRICE].mean() == pytest.approx(site.grid["price_mean_usd_per_kwh"])
    local = (np.arange(24) + outside.utc_offset_h(0)) % 24
    assert local[hourly[:24, CARBON].argmax()] == round(site.grid["carbon_peak_hour"])


def test_files_beside_the_site_file_give_price_and_carbon(tmp_path: Path) -> None:
    write_series(tmp_path / "price.csv", "price_usd_per_kwh")
    write_series(tmp_path / "carbon.csv", "grid_carbon_g_per_kwh")
    path = site_file(
        tmp_path,
        '[simulation.grid.price]\nfile = "price.csv"\nsource = "made up"',
        '[simulation.grid.carbon]\nfile = "carbon.csv"\nsource = "made up"',
    )
    outside = Outside(load_site(path))

    hourly = outside.hourly[outside.row("greensboro")]

    assert np.allclose(hourly[:, PRICE], 0.001 * np.arange(HOURS_PER_YEAR))
    assert np.allclose(hourly[:, CARBON], 0.001 * np.arange(HOURS_PER_YEAR))


def test_problems_of_all_files_come_with_the_sites_others_in_one_message(tmp_path: Path) -> None:
    write_series(tmp_path / "price.csv", "price_usd_per_kwh", hours=8000)
    epw = tmp_path / "year.epw"
    epw.write_text("LOCATION\n", encoding="utf-8")
    path = site_file(
        tmp_path,
        '[simulation.grid.price]\nfile = "price.csv"\ntimes = "utc"\nsource = "made up"',
        '[simulation.grid.carbon]\nfile = "none.csv"\nfrom = "elsewhere"',
    )
    text = path.read_text(encoding="utf-8").replace('"sand-point"]', '"year.epw"]')
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_site(path)

    said = str(caught.value)
    assert f"simulation.weather.years {epw}: row 1 is no LOCATION row" in said
    assert f"simulation.weather.years {epw}: 8760 of 8760 hours are missing" in said
    assert "simulation.grid.price.times = 'utc' is not allowed: one of checked, " in said
    assert "simulation.grid.carbon.source is missing" in said
    assert "unknown key 'simulation.grid.carbon.from'" in said
    assert f"simulation.grid.carbon.file {tmp_path / 'none.csv'}: cannot be read" in said


def test_a_short_price_file_keeps_the_site_from_loading(tmp_path: Path) -> None:
    write_series(tmp_path / "price.csv", "price_usd_per_kwh", hours=8000)
    path = site_file(tmp_path, '[simulation.grid.price]\nfile = "price.csv"\nsource = "made up"')

    with pytest.raises(ConfigError, match=r"grid\.price\.file .*has 8000 hours; a year of 8760"):
        load_site(path)
