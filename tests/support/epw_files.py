"""EPW files for tests."""

import datetime as dt
from pathlib import Path

from coolcap_envs.weather import HOURS_PER_YEAR


def epw(folder: Path, *, name: str = "year.epw", hours: int = HOURS_PER_YEAR) -> Path:
    """Write an EPW file: 10 °C at night, 20 °C at 15:00 local time, five hours behind UTC."""
    lines = ["LOCATION,Nowhere,XX,XX,made up,0,0.0,0.0,-5.0,100.0"]
    lines += [f"HEADER {k}" for k in range(7)]
    for hour in range(hours):
        day, of_day = divmod(hour, 24)
        dry_c = 20.0 if of_day + 1 == 15 else 10.0
        date = dt.date(2017, 1, 1) + dt.timedelta(days=day)
        stamp = f"2017,{date.month},{date.day},{of_day + 1},0,flags"
        lines.append(f"{stamp},{dry_c},5.0,70,100000,0,0")
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
