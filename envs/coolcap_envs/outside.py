"""What drives a plant from outside, hour by hour: weather, price, carbon intensity."""

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.records import HOURLY_CHANNELS
from coolcap_envs.site import Site
from coolcap_envs.weather import HOURS_PER_YEAR, WeatherYear, daily_course, load_weather


class Outside:
    """The hourly series of a site, one row per weather year, loaded when first asked for.

    Attributes:
        hourly: Shape ``[series, hours, len(HOURLY_CHANNELS)]``; kernels read it.
    """

    def __init__(self, site: Site, *, spare: int = 4) -> None:
        self._site = site
        self._names: list[str] = []
        self._utc_offset_h: list[float] = []
        count = len(site.weathers) + spare
        self.hourly: FloatArray = np.zeros((count, HOURS_PER_YEAR, len(HOURLY_CHANNELS)))

    def row(self, weather: str) -> int:
        """Return the row of a weather year.

        Raises:
            ConfigError: If there is no such year or it has gaps.
        """
        if weather not in self._names:
            if len(self._names) == len(self.hourly):
                raise ValueError(
                    f"weather {weather!r} is one too many: a plant follows at most "
                    f"{len(self.hourly)} years; make another plant"
                )
            year = load_weather(weather)
            self.hourly[len(self._names)] = self._series(year)
            self._names.append(weather)
            self._utc_offset_h.append(year.utc_offset_h)
        return self._names.index(weather)

    def name(self, row: int) -> str:
        """Return the weather year of a row."""
        return self._names[row]

    def utc_offset_h(self, row: int) -> float:
        """Return local standard time less UTC of a row."""
        return self._utc_offset_h[row]

    def _series(self, year: WeatherYear) -> FloatArray:
        grid, offset_h = self._site.grid, year.utc_offset_h
        price, carbon = self._site.price_usd_per_kwh, self._site.grid_carbon_g_per_kwh
        if price is None:
            price = daily_course(
                mean=grid["price_mean_usd_per_kwh"],
                swing_ratio=grid["price_swing_ratio"],
                peak_hour=grid["price_peak_hour"],
                utc_offset_h=offset_h,
            )
        if carbon is None:
            carbon = daily_course(
                mean=grid["carbon_mean_g_per_kwh"],
                swing_ratio=grid["carbon_swing_ratio"],
                peak_hour=grid["carbon_peak_hour"],
                utc_offset_h=offset_h,
            )
        return np.stack([year.outdoor_temp_c, year.wet_bulb_temp_c, price, carbon], axis=-1)
