"""The chiller's laws against machines run by EnergyPlus and against 157 catalogue maps."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.chiller import coefficient_of_performance, part_load_factor
from coolcap_envs.physics.chiller_map import energy_input_ratio
from coolcap_envs.physics.constants import WATER_SPECIFIC_HEAT_J_PER_KG_K
from coolcap_training.validation.check import Check, Found, not_run
from coolcap_training.validation.fit import fit, folds, mean_abs
from coolcap_training.validation.reference import Row, number, read_rows, why_missing

RUNS: Final = "cooling/energyplus/chiller.csv"
MAPS: Final = "cooling/chiller_electric_eir.csv"
_TARGET: Final = 0.05
_CHW_MAX_C: Final = 12.8
"""Warmest chilled water any of the 157 catalogue maps covers."""
_CONDENSER_BOUNDS_C: Final = {"Carrier": (22.63, 36.94)}
"""Leaving condenser water a map covers, where it has bounds."""
_STARTS: Final = (np.array([1.2, 20.7, 0.79, 0.82]), np.array([1.8, 30.0, 0.2, 0.4]))
"""Best at high load, as most machines are, or at low load; the better fit of the two counts."""
_LOW: Final = np.array([0.1, 0.0, 0.1, 0.0])
_HIGH: Final = np.array([4.0, 100.0, 1.5, 3.0])
_MAP_START: Final = np.array([0.15, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.3])
_MAP_BOUND: Final = 2.0
_MIDDLE_C: Final = (9.0, 30.0)
"""Temperatures the map is fitted about, so that its coefficients are of one size."""
_METRIC: Final = "mean absolute relative error of COP"


def _cop(x: FloatArray, points: FloatArray) -> FloatArray:
    """Return the law's COP at rows of (leaving chilled water, leaving condenser water, load)."""
    return np.array(
        [
            coefficient_of_performance(
                chw_leaving_temp_c=float(chw_c),
                cw_leaving_temp_c=float(cw_c),
                evaporator_approach_k=1.5,
                condenser_approach_k=1.5,
                lift_min_k=9.0,
                lift_loss_k=float(x[1]),
                carnot_scale=float(x[0]),
                part_load=part_load_factor(
                    load_ratio=float(load), best_load_ratio=float(x[2]), curvature=float(x[3])
                ),
                cop_max=100.0,
            )
            for chw_c, cw_c, load in points
        ]
    )


def _mapped_cop(x: FloatArray, points: FloatArray) -> FloatArray:
    """Return the COP of a catalogue map, coefficients about ``_MIDDLE_C``."""
    return np.array(
        [
            1.0
            / energy_input_ratio(
                chw_leaving_temp_c=float(chw_c) - _MIDDLE_C[0],
                cw_leaving_temp_c=float(cw_c) - _MIDDLE_C[1],
                load_ratio=float(load),
                constant=float(x[0]),
                chw=float(x[1]),
                chw_square=float(x[2]),
                cw=float(x[3]),
                cw_square=float(x[4]),
                product=float(x[5]),
                part_linear=float(x[6]),
                part_square=float(x[7]),
            )
            for chw_c, cw_c, load in points
        ]
    )


def _held_out(
    points: FloatArray, cop: FloatArray, of: Callable[[FloatArray, FloatArray], FloatArray] = _cop
) -> FloatArray:
    """Return the COP at each row by a fit of law ``of`` to the other half of the rows."""
    starts: Sequence[FloatArray] = _STARTS
    low, high = _LOW, _HIGH
    if of is _mapped_cop:
        high = np.full(_MAP_START.size, _MAP_BOUND)
        starts, low = (_MAP_START,), -high
    predicted = np.empty_like(cop)
    for fitted, reported in folds(cop.size):

        def residuals(x: FloatArray, rows: NDArray[np.int64] = fitted) -> FloatArray:
            return of(x, points[rows]) / cop[rows] - 1.0

        found = [fit(residuals, start, low=low, high=high) for start in starts]
        x = min(found, key=lambda x: float(np.sum(residuals(x) ** 2)))
        predicted[reported] = of(x, points[reported])
    return predicted


def _points(rows: Sequence[Row]) -> tuple[FloatArray, FloatArray]:
    points = [
        (
            number(row, "evap_leaving_c"),
            number(row, "cond_leaving_c"),
            number(row, "load_fraction_of_ref"),
        )
        for row in rows
    ]
    return np.array(points), np.array([number(row, "cop") for row in rows])


def check_chillers(data: Path | None) -> Found:
    """Check two machines run by EnergyPlus, and every catalogue map."""
    checks: list[Check] = []
    series: dict[str, FloatArray] = {}
    source = "EnergyPlus 25.2"
    if reason := why_missing(data, RUNS):
        checks.append(not_run("Chillers", source=source, metric=_METRIC, reason=reason))
    else:
        assert data is not None
        machines: dict[str, list[Row]] = defaultdict(list)
        for row in read_rows(data / RUNS):
            low_c, high_c = _CONDENSER_BOUNDS_C.get(row["chiller"].split()[0], (0.0, 100.0))
            if (
                number(row, "evap_leaving_c") <= _CHW_MAX_C
                and low_c <= number(row, "cond_leaving_c") <= high_c
            ):
                machines[row["chiller"]].append(row)
        for machine, rows in machines.items():
            points, cop = _points(rows)
            mapped, plain = _held_out(points, cop, _mapped_cop), _held_out(points, cop)
            series[f"chiller.{machine.split()[0]}"] = np.stack([cop, mapped])
            for law, predicted, target, note in (
                (
                    "map",
                    mapped,
                    _TARGET,
                    "eight coefficients of the map fitted to every other row inside its bounds, "
                    "reported on the rest",
                ),
                (
                    "lift alone",
                    plain,
                    None,
                    "the law of machines without a map, four parameters fitted and reported on "
                    f"the same rows; {_wrong_way(points, cop)}",
                ),
            ):
                checks.append(
                    Check(
                        name=f"Chiller {machine}, {law}",
                        source=source,
                        metric=_METRIC,
                        value=mean_abs(predicted / cop - 1.0),
                        target=target,
                        rows=cop.size,
                        note=note,
                    )
                )
    checks += _map_checks(data)
    return Found(checks=checks, series=series)


def _wrong_way(points: FloatArray, cop: FloatArray) -> str:
    """Say how often the reference itself has COP rise with condenser temperature."""
    pairs = wrong = 0
    for chw_c, load in sorted({(round(p[0], 1), round(p[2], 2)) for p in points.tolist()}):
        same = (np.abs(points[:, 0] - chw_c) < 0.06) & (np.abs(points[:, 2] - load) < 0.006)
        order = np.argsort(points[same, 1])
        steps = np.diff(cop[same][order])
        pairs += steps.size
        wrong += int((steps > 0.0).sum())
    return f"in {wrong} of {pairs} steps to warmer condenser water the reference's own COP rises"


def _map_points(row: Row) -> tuple[FloatArray, FloatArray] | None:
    """Return a catalogue map over its own bounds; None if it is no machine even there."""
    of = {key: number(row, key) for key in row if key != "name"}
    if of["mCon_flow_nominal"] <= 0.0:
        return None
    chw, entering, load = np.meshgrid(
        np.linspace(of["TEvaLvgMin_C"], of["TEvaLvgMax_C"], 3),
        np.linspace(max(of["TConEntMin_C"], 16.0), min(of["TConEntMax_C"], 35.0), 3),
        np.linspace(max(of["PLRMin"], 0.3), 1.0, 3),
    )
    terms = np.stack([np.ones_like(chw), chw, chw**2, entering, entering**2, chw * entering], -1)
    capacity = terms @ np.array([of[f"capFunT_{i}"] for i in range(6)])
    ratio = terms @ np.array([of[f"EIRFunT_{i}"] for i in range(6)])
    part = sum(of[f"EIRFunPLR_{i}"] * load**i for i in range(3))
    if min(np.min(capacity), np.min(ratio), np.min(part)) < 0.05:
        return None
    cop = of["COP_nominal"] * load / (ratio * part)
    heat_w = -of["QEva_flow_nominal"] * capacity * load * (1.0 + 1.0 / cop)
    leaving = entering + heat_w / (of["mCon_flow_nominal"] * WATER_SPECIFIC_HEAT_J_PER_KG_K)
    return np.stack([chw, leaving, load], -1).reshape(-1, 3), cop.ravel()


def _map_checks(data: Path | None) -> list[Check]:
    name, source = "Catalogue maps of chillers", "LBL Modelica Buildings, 157 maps"
    metric = "median over maps of the mean absolute relative error of COP"
    if reason := why_missing(data, MAPS):
        return [not_run(name, source=source, metric=metric, reason=reason)]
    assert data is not None
    errors: list[float] = []
    count = 0
    for row in read_rows(data / MAPS):
        if (found := _map_points(row)) is not None:
            errors.append(mean_abs(_held_out(*found) / found[1] - 1.0))
            count += found[1].size
    note = (
        f"{len(errors)} maps that are machines inside their own bounds, full and part load, each "
        "fitted to every other of 27 points and reported on the rest"
    )
    return [
        Check(
            name=name,
            source=source,
            metric=metric,
            value=float(np.median(errors)),
            target=_TARGET,
            rows=count,
            note=note,
        ),
        Check(
            name=f"{name}: ninth tenth",
            source=source,
            metric=metric.replace("median", "0.9 quantile"),
            value=float(np.quantile(errors, 0.9)),
            target=None,
            rows=count,
            note=note,
        ),
    ]
