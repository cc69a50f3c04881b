"""Meters: energy, water, carbon and work over a stated window, and the ratios defined on them.

Ratios follow ISO/IEC 30134: PUE (part 2), ERF (part 6), CUE (part 8), WUE (part 9). They are ratios
of energies over the window, never of powers, and come with the share of the window that was really
covered. ITUE and TUE look inside the IT equipment, where PUE is blind: M. K. Patterson et al.,
"TUE, a new energy-efficiency metric applied at ORNL's Jaguar", ISC 2013. Compute components are the
GPUs here, which is what is metered, so that ITUE also holds CPUs, memory, fans and power supplies.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray, Telemetry

GAP_MAX_S = 120.0
"""Longest time between two snapshots that still counts as covered: four policy periods of 30 s."""

J_PER_KWH = 3.6e6
"""Exact: 1 kWh is 1000 W for 3600 s."""


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
        gpu_energy_kwh: Energy of the GPUs, from their powers, where all of them were known.
        gpu_it_energy_kwh: IT energy of the same time.
        reused_energy_kwh: Energy reused outside the data centre, where it is metered.
        reuse_facility_energy_kwh: Facility energy of the same time.
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
    gpu_energy_kwh: float = 0.0
    gpu_it_energy_kwh: float = 0.0
    reused_energy_kwh: float = 0.0
    reuse_facility_energy_kwh: float = 0.0

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
    def itue(self) -> float:
        """Return IT power usage effectiveness: IT energy over that of the GPUs then."""
        return _ratio(self.gpu_it_energy_kwh, self.gpu_energy_kwh)

    @property
    def tue(self) -> float:
        """Return total power usage effectiveness: facility energy per energy of the GPUs."""
        return self.itue * self.pue

    @property
    def erf(self) -> float:
        """Return the energy reuse factor (ISO/IEC 30134-6), 0 to 1; NaN where it is not metered."""
        return _ratio(self.reused_energy_kwh, self.reuse_facility_energy_kwh)

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

    GPUs have powers but, through a group, no counter: their energy is that of the trapezoid.

    Args:
        gpu_count: GPUs of each group, for ITUE; None leaves it out.
    """

    def __init__(self, gpu_count: NDArray[np.int64] | None = None) -> None:
        self._gpu_count = None if gpu_count is None else gpu_count.astype(np.float64)
        self._totals = Totals()
        self._last: tuple[float, FloatArray] | None = None
        self._last_beside = (float("nan"), float("nan"))

    @property
    def totals(self) -> Totals:
        """Return the totals since the start of the window."""
        return self._totals

    def add(self, telemetry: Telemetry, *, reused_energy_kwh: float = float("nan")) -> None:
        """Take in the next snapshot; one that is not newer than the last is ignored.

        Args:
            telemetry: The snapshot.
            reused_energy_kwh: Counter of energy reused outside; NaN where there is no such meter.
        """
        now_s, counters = float(telemetry.time_s), _counters(telemetry)
        last, self._last = self._last, (now_s, counters)
        if last is None:
            self._last_beside = self._beside(telemetry, reused_energy_kwh)
            return
        elapsed_s = now_s - last[0]
        if elapsed_s <= 0.0:
            self._last = last
            return
        beside, self._last_beside = self._last_beside, self._beside(telemetry, reused_energy_kwh)
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
        self._add_beside(beside, elapsed_s, it_kwh=float(used[0]), facility_kwh=facility_kwh)

    def _beside(self, telemetry: Telemetry, reused_energy_kwh: float) -> tuple[float, float]:
        """Return the GPUs' power in W and the counter of reused energy; NaN where not known."""
        gpus_w = float("nan")
        if self._gpu_count is not None:
            gpus_w = float((telemetry.group("gpu_power_w") * self._gpu_count).sum())
        return gpus_w, reused_energy_kwh

    def _add_beside(
        self, before: tuple[float, float], elapsed_s: float, *, it_kwh: float, facility_kwh: float
    ) -> None:
        """Add what may be unknown while the meters of the facility are known."""
        now = self._last_beside
        gpu_kwh = 0.5 * (before[0] + now[0]) * elapsed_s / J_PER_KWH
        if not np.isnan(gpu_kwh):
            self._totals += Totals(gpu_energy_kwh=gpu_kwh, gpu_it_energy_kwh=it_kwh)
        reused_kwh = now[1] - before[1]
        if reused_kwh >= 0.0:
            self._totals += Totals(
                reused_energy_kwh=reused_kwh, reuse_facility_energy_kwh=facility_kwh
            )
