"""Cooling equipment against what EnergyPlus computes for the same inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics import crah, psychrometrics, pump, tower
from coolcap_envs.physics.constants import (
    AIR_SPECIFIC_HEAT_J_PER_KG_K,
    WATER_EVAPORATION_HEAT_J_PER_KG,
    WATER_SPECIFIC_HEAT_J_PER_KG_K,
)
from coolcap_training.validation.check import Check, Found, not_run
from coolcap_training.validation.fit import fit, folds, mean_abs
from coolcap_training.validation.reference import Row, number, read_rows, why_missing

_SOURCE: Final = "EnergyPlus 25.2"
_PSYCHROMETRICS: Final = "cooling/energyplus/psychrometrics.csv"
_TOWER: Final = "cooling/energyplus/tower.csv"
_CRAH: Final = "cooling/energyplus/crah.csv"
DEVICE_TARGET: Final = 0.05
_TEMP_TARGET_K: Final = 0.1
_ERROR_METRIC: Final = "mean absolute relative error"
_FLOW_LOW_RATIO: Final = 0.4
"""Lowest flow that shipped sites allow."""
_WATER_DENSITY_KG_PER_M3: Final = 998.0


def _columns(rows: Sequence[Row], *names: str) -> list[FloatArray]:
    return [np.array([number(row, name) for row in rows]) for name in names]


def check_psychrometrics(data: Path | None) -> Found:
    """Check wet bulb and dew point of moist air."""
    metric = "largest absolute error, K"
    if reason := why_missing(data, _PSYCHROMETRICS):
        return Found(
            checks=[not_run("Psychrometrics", source=_SOURCE, metric=metric, reason=reason)]
        )
    assert data is not None
    rows = read_rows(data / _PSYCHROMETRICS)
    wet_k, dew_k = [], []
    for row in rows:
        dry_c, pressure_pa = number(row, "tdb_c"), number(row, "pressure_pa")
        vapour_pa = number(row, "rh_frac") * psychrometrics.saturation_pressure_pa(dry_c)
        ratio = psychrometrics.humidity_ratio(vapour_pressure_pa=vapour_pa, pressure_pa=pressure_pa)
        wet_c = psychrometrics.wet_bulb_c(
            dry_bulb_c=dry_c, humidity_ratio_kg_per_kg=ratio, pressure_pa=pressure_pa
        )
        wet_k.append(wet_c - number(row, "twb_c"))
        dew_k.append(psychrometrics.dew_point_c(vapour_pa) - number(row, "tdp_c"))
    return Found(
        checks=[
            Check(
                name=f"Psychrometrics: {what}",
                source=_SOURCE,
                metric=metric,
                value=float(np.max(np.abs(errors_k))),
                target=_TEMP_TARGET_K,
                rows=len(errors_k),
                note="-10 to 45 °C at two pressures; nothing is fitted",
            )
            for what, errors_k in (("wet bulb", wet_k), ("dew point", dew_k))
        ]
    )


def _leaving_c(rows: Sequence[Row]) -> FloatArray:
    return np.array(
        [
            tower.leaving_temp_c(
                entering_temp_c=number(row, "water_in_c"),
                wet_bulb_c=number(row, "wb_c"),
                water_flow_ratio=1.0,
                air_flow_ratio=number(row, "air_flow_ratio"),
            )
            for row in rows
        ]
    )


def check_tower(data: Path | None) -> Found:
    """Check the heat a tower rejects, its fan and its water."""
    if reason := why_missing(data, _TOWER):
        return Found(checks=[not_run("Tower", source=_SOURCE, metric=_ERROR_METRIC, reason=reason)])
    assert data is not None
    rows = read_rows(data / _TOWER)
    york = [row for row in rows if row["tower_model"] == "YorkCalc"]
    other = [row for row in rows if row["tower_model"] != "YorkCalc"]
    full = [row for row in other if row["mode"] == "full fan"]
    part = [row for row in other if row["mode"] != "full fan" and number(row, "wb_c") < 19.0]
    checks: list[Check] = []
    series: dict[str, FloatArray] = {}
    for name, chosen, target, note in (
        ("York tower: heat rejected", york, DEVICE_TARGET, "the correlation we use, no fit"),
        ("Cross-flow tower: heat rejected at full fan", full, DEVICE_TARGET, "another correlation"),
        (
            "Cross-flow tower: heat rejected at part fan",
            part,
            None,
            "what one tower's correlation says of another at reduced air flow: towers differ",
        ),
    ):
        entering_c, range_k = _columns(chosen, "water_in_c", "range_k")
        cooled_k = entering_c - _leaving_c(chosen)
        if chosen is york:
            series["tower.range"] = np.stack([range_k, cooled_k])
        checks.append(
            Check(
                name=name,
                source=_SOURCE,
                metric=_ERROR_METRIC,
                value=mean_abs(cooled_k / range_k - 1.0),
                target=target,
                rows=len(chosen),
                note=note,
            )
        )
    return Found(checks=[*checks, _tower_fan(york), *_tower_water(york)], series=series)


def _tower_fan(rows: Sequence[Row]) -> Check:
    air, power_w = _columns(rows, "air_flow_ratio", "fan_power_w")
    design_w = float(power_w.max())
    ours_w = np.array(
        [
            tower.fan_power_w(speed_ratio=float(y), design_power_w=design_w, min_speed_ratio=0.2)
            for y in air
        ]
    )
    modulated = air < 1.0
    return Check(
        name="York tower: fan power at part speed",
        source=_SOURCE,
        metric=_ERROR_METRIC,
        value=mean_abs(ours_w[modulated] / power_w[modulated] - 1.0),
        target=DEVICE_TARGET,
        rows=int(modulated.sum()),
        note="the cube of speed, no fit",
    )


def _tower_water(rows: Sequence[Row]) -> list[Check]:
    """Return how make-up water varies about a constant share of latent heat."""
    makeup_m3_per_s, heat_w = _columns(rows, "makeup_m3_s", "heat_rejected_w")
    evaporating = heat_w / WATER_EVAPORATION_HEAT_J_PER_KG
    ratio = makeup_m3_per_s * _WATER_DENSITY_KG_PER_M3 / evaporating
    return [
        Check(
            name="York tower: make-up water with one latent share",
            source=_SOURCE,
            metric=_ERROR_METRIC,
            value=mean_abs(float(ratio.mean()) / ratio - 1.0),
            target=None,
            rows=ratio.size,
            note=f"EnergyPlus evaporates what the saturated leaving air holds: make-up is "
            f"{ratio.min():.2f} to {ratio.max():.2f} of all heat as vapour, more when it is warm; "
            "we hold one share. The mean is fitted, for blowdown depends on cycles of "
            "concentration that the table does not give",
        )
    ]


def _coil_heat_w(rows: Sequence[Row], *, design: tuple[float, float], ua: float) -> FloatArray:
    heat: list[float] = []
    for air, water, hot_c, cold_c in zip(
        *_columns(rows, "air_kg_s", "water_kg_s", "coil_air_in_c", "water_in_c"), strict=True
    ):
        air_w_per_k = float(air) * AIR_SPECIFIC_HEAT_J_PER_KG_K
        water_w_per_k = float(water) * WATER_SPECIFIC_HEAT_J_PER_KG_K
        effectiveness = crah.counterflow_effectiveness(
            conductance_w_per_k=ua
            * crah.conductance_ratio(
                air_flow_ratio=float(air) / design[0], water_flow_ratio=float(water) / design[1]
            ),
            c_one=air_w_per_k,
            c_two=water_w_per_k,
        )
        heat.append(effectiveness * min(air_w_per_k, water_w_per_k) * float(hot_c - cold_c))
    return np.array(heat)


def _dew_point_c(row: Row) -> float:
    ratio = number(row, "coil_air_in_w")
    return psychrometrics.dew_point_c(101_325.0 * ratio / (0.621945 + ratio))


def check_crah(data: Path | None) -> Found:
    """Check coil, fan and pump of an air handler."""
    if reason := why_missing(data, _CRAH):
        return Found(checks=[not_run("CRAH", source=_SOURCE, metric=_ERROR_METRIC, reason=reason)])
    assert data is not None
    rows = read_rows(data / _CRAH)
    design = (
        float(_columns(rows, "air_kg_s")[0].max()),
        float(_columns(rows, "water_kg_s")[0].max()),
    )
    checks: list[Check] = []
    series: dict[str, FloatArray] = {}
    dry = [row for row in rows if number(row, "water_in_c") >= _dew_point_c(row)]
    wet = [row for row in rows if number(row, "water_in_c") < _dew_point_c(row)]
    for name, chosen, target, note in (
        ("CRAH coil: heat, water above the dew point", dry, DEVICE_TARGET, ""),
        (
            "CRAH coil: heat, water below the dew point",
            wet,
            None,
            "; outside the law's range: EnergyPlus goes over to its wet coil, with half the "
            "conductance",
        ),
    ):
        (heat_w,) = _columns(chosen, "coil_total_w")
        predicted_w = np.empty_like(heat_w)
        for fitted, reported in folds(len(chosen)):
            part = [chosen[k] for k in fitted]

            def residuals(
                x: FloatArray, part: list[Row] = part, there_w: FloatArray = heat_w[fitted]
            ) -> FloatArray:
                return _coil_heat_w(part, design=design, ua=1e4 * float(x[0])) / there_w - 1.0

            ua = fit(residuals, np.array([4.0]), low=np.array([0.5]), high=np.array([40.0]))
            rest = [chosen[k] for k in reported]
            predicted_w[reported] = _coil_heat_w(rest, design=design, ua=1e4 * float(ua[0]))
        if chosen is dry:
            series["crah.heat"] = np.stack([heat_w, predicted_w])
        checks.append(
            Check(
                name=name,
                source=_SOURCE,
                metric=_ERROR_METRIC,
                value=mean_abs(predicted_w / heat_w - 1.0),
                target=target,
                rows=heat_w.size,
                note=f"design conductance fitted to every other row, reported on the rest{note}",
            )
        )
    return Found(checks=[*checks, *_movers(rows)], series=series)


def _movers(rows: Sequence[Row]) -> list[Check]:
    """Return the checks of fan and pump, whose exponents are fitted."""

    def fan(x: float, exponent: float) -> float:
        return crah.fan_power_w(speed_ratio=x, design_power_w=1.0, exponent=exponent)

    def pumped(x: float, exponent: float) -> float:
        return pump.pump_power_w(
            flow_ratio=x, design_power_w=1.0, min_flow_ratio=0.05, exponent=exponent
        )

    checks: list[Check] = []
    for name, law, flow_name, power_name, low, high in (
        ("CRAH fan", fan, "air_kg_s", "fan_power_w", 2.0, 3.0),
        ("Chilled-water pump", pumped, "pump_kg_s", "pump_power_w", 1.5, 3.0),
    ):
        flow, power_w = _columns(rows, flow_name, power_name)
        speed, share = flow / flow.max(), power_w / power_w.max()
        for where, chosen, target in (
            (f"from {_FLOW_LOW_RATIO:g} of flow", speed >= _FLOW_LOW_RATIO, DEVICE_TARGET),
            (f"below {_FLOW_LOW_RATIO:g} of flow", speed < _FLOW_LOW_RATIO, None),
        ):
            predicted, exponents = _power_law(law, speed[chosen], share[chosen], low=low, high=high)
            checks.append(
                Check(
                    name=f"{name}: power {where}",
                    source=_SOURCE,
                    metric=_ERROR_METRIC,
                    value=mean_abs(predicted / share[chosen] - 1.0),
                    target=target,
                    rows=int(chosen.sum()),
                    note=f"exponent ({exponents[0]:.2f} and {exponents[1]:.2f}) and level fitted "
                    "to every other row, reported on the rest; "
                    f"shipped sites keep air flow above {_FLOW_LOW_RATIO:g}",
                )
            )
    return checks


def _power_law(
    law: Callable[[float, float], float],
    speed: FloatArray,
    share: FloatArray,
    *,
    low: float,
    high: float,
) -> tuple[FloatArray, list[float]]:
    """Return power at each row by a fit to the other half of them, and the exponents found."""
    predicted = np.empty_like(share)
    exponents: list[float] = []

    def values(x: FloatArray, at: FloatArray) -> FloatArray:
        return np.array([float(x[1]) * law(float(s), float(x[0])) for s in at])

    for fitted, reported in folds(speed.size):

        def residuals(x: FloatArray, rows: NDArray[np.int64] = fitted) -> FloatArray:
            return values(x, speed[rows]) / share[rows] - 1.0

        best = fit(
            residuals, np.array([2.5, 1.0]), low=np.array([low, 0.5]), high=np.array([high, 2.0])
        )
        exponents.append(float(best[0]))
        predicted[reported] = values(best, speed[reported])
    return predicted, exponents
