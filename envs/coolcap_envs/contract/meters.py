"""Meters: energy, water, carbon and work over a stated window, and the ratios defined on them.

Ratios follow ISO/IEC 30134: PUE (part 2), CUE (part 8), WUE (part 9). They are ratios of energies
over the window, never of powers, and come with the share of the window that was really covered.
"""

from dataclasses import dataclass, fields

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray, Telemetry

GAP_MAX_S = 120.0
"""Longest time between two snapshots that still counts as covered: four policy periods of 30 s."""


def _ratio(over: float, under: float) -> float:
    return over / under if under > 0.0 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What was used and done over a window.

    Attributes:
        elapsed_s: Length of the window.
        covered_s: Part of it for which counters were available and had advanced plausibly.
        it_energy_kwh: Energy at the input of the IT equipment.
        cooling_energy_kwh: Energy of fans, compressors and pumps outside the IT equipment.
        facility_energy_kwh: Energy at the facility's meter.
        makeup_water_l: Make-up water.
        carbon_kg: Emissions of the grid for the facility's energy.
        cost_usd: Price of the facility's energy.
        work_gpu_h: Useful work in reference GPU-hours.
    """

    elapsed_s: float = 0.0
    covered_s: float = 0.0
    it_energy_kwh: float = 0.0
    cooling_energy_kwh: float = 0.0
    facility_energy_kwh: float = 0.0
    makeup_water_l: float = 0.0
    carbon_kg: float = 0.0
    cost_usd: float = 0.0
    work_gpu_h: float = 0.0

    def __add__(self, other: "Totals") -> "Totals":
        """Return the totals of two windows that follow each other."""
        return Totals(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Totals)}
        )

    @property
    def coverage_ratio(self) -> float:
        """Return the covered share of the window."""
        return _ratio(self.covered_s, self.elapsed_s)

    @property
    def pue(self) -> float:
        """Return power usage effectiveness over the window (ISO/IEC 30134-2); NaN without IT."""
        return _ratio(self.facility_energy_kwh, self.it_energy_kwh)

    @property
    def wue_l_per_kwh(self) -> float:
        """Return water usage effectiveness over the window (ISO/IEC 30134-9)."""
        return _ratio(self.makeup_water_l, self.it_energy_kwh)

    @property
    def cue_kg_per_kwh(self) -> float:
        """Return carbon usage effectiveness over the window (ISO/IEC 30134-8)."""
        return _ratio(self.carbon_kg, self.it_energy_kwh)

    @property
    def energy_per_work_kwh_per_gpu_h(self) -> float:
        """Return facility energy per reference GPU-hour: the quantity coolcap minimises."""
        return _ratio(self.facility_energy_kwh, self.work_gpu_h)


_COUNTERS = (
    "it_energy_kwh",
    "cooling_energy_kwh",
    "facility_energy_kwh",
    "makeup_water_l",
    "work_gpu_h",
)


def _counters(telemetry: Telemetry) -> FloatArray:
    plant = [float(telemetry.of_plant(name)) for name in _COUNTERS[:-1]]
    return np.array([*plant, float(np.sum(telemetry.group("work_gpu_h")))])


class WindowMeter:
    """Adds up counters from snapshots of one site.

    An interval counts as covered when both ends have all counters, none ran backwards (a meter
    was replaced) and it is no longer than ``GAP_MAX_S``. Uncovered intervals add to
    ``elapsed_s`` only.
    """

    def __init__(self) -> None:
        self._totals = Totals()
        self._last: tuple[float, FloatArray] | None = None

    @property
    def totals(self) -> Totals:
        """Return the totals since the start of the window."""
        return self._totals

    def add(self, telemetry: Telemetry) -> None:
        """Take in the next snapshot; one that is not newer than the last is ignored."""
        now_s, counters = float(telemetry.time_s), _counters(telemetry)
        last, self._last = self._last, (now_s, counters)
        if last is None:
            return
        elapsed_s = now_s - last[0]
        if elapsed_s <= 0.0:
            self._last = last
            return
        used = counters - last[1]
        if elapsed_s > GAP_MAX_S or np.isnan(used).any() or (used < 0.0).any():
            self._totals += Totals(elapsed_s=elapsed_s)
            return
        facility_kwh = float(used[2])
        price = float(np.nan_to_num(telemetry.of_plant("price_usd_per_kwh")))
        carbon_g = float(np.nan_to_num(telemetry.of_plant("grid_carbon_g_per_kwh")))
        self._totals += Totals(
            elapsed_s=elapsed_s,
            covered_s=elapsed_s,
            carbon_kg=facility_kwh * carbon_g / 1000.0,
            cost_usd=facility_kwh * price,
            **dict(zip(_COUNTERS, used.tolist(), strict=True)),
        )
