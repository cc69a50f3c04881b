"""Power of an H100 that serves requests, against its batch."""

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.gpu_models import load_gpu_model
from coolcap_envs.physics.gpu import activity
from coolcap_training.validation.check import Check, Found, not_run
from coolcap_training.validation.fit import fit, folds, mean_abs
from coolcap_training.validation.reference import number, read_rows, why_missing

TABLE: Final = "gpu/llm_serving_power_vs_batch_h100.csv"
_SOURCE: Final = "ML.ENERGY leaderboard v3, H100"
_TARGET: Final = 0.10
_SET_UP: Final = ("task", "model", "precision", "num_gpus", "tp", "ep")
_POINTS_MIN: Final = 3


def _set_ups(path: Path) -> list[FloatArray]:
    """Return load and power of each set-up; load is tokens per second over the most it reached."""
    rows: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for row in read_rows(path):
        key = tuple(row[name] for name in _SET_UP)
        rows[key].append((number(row, "out_tok_s_per_gpu"), number(row, "gpu_power_w")))
    found: list[FloatArray] = []
    for _, points in sorted(rows.items()):
        if len(points) >= _POINTS_MIN:
            table = np.array(sorted(points)).T
            table[0] /= table[0, -1]
            found.append(table)
    return found


def _errors(set_ups: list[FloatArray], *, half_load: float, idle_w: float) -> FloatArray:
    """Return relative errors of power below the highest load, which sets each level."""
    errors: list[float] = []
    for load, power_w in set_ups:
        for u, measured_w in zip(load[:-1], power_w[:-1], strict=True):
            share = activity(busy_ratio=float(u), half_load=half_load)
            errors.append((idle_w + share * (float(power_w[-1]) - idle_w)) / measured_w - 1.0)
    return np.array(errors)


def check_serving(data: Path | None) -> Found:
    """Check power against load of text and multimodal models served on one to eight GPUs."""
    name, metric = "GPU power when serving", "mean absolute relative error of power"
    if reason := why_missing(data, TABLE):
        return Found(checks=[not_run(name, source=_SOURCE, metric=metric, reason=reason)])
    assert data is not None
    set_ups = _set_ups(data / TABLE)
    model = load_gpu_model("h100-sxm")
    idle_w = model.device["device_idle_power_w"]
    held_out: list[FloatArray] = []
    fitted_to: list[float] = []
    for fitted, reported in folds(len(set_ups)):
        part = [set_ups[k] for k in fitted]

        def residuals(x: FloatArray, part: list[FloatArray] = part) -> FloatArray:
            return _errors(part, half_load=float(x[0]), idle_w=idle_w)

        half = fit(residuals, np.array([0.1]), low=np.array([0.005]), high=np.array([1.0]))
        fitted_to.append(float(half[0]))
        rest = [set_ups[k] for k in reported]
        held_out.append(_errors(rest, half_load=float(half[0]), idle_w=idle_w))
    errors = np.concatenate(held_out)
    shipped_half_load = model.classes["decode"]["half_load"]
    shipped = _errors(set_ups, half_load=shipped_half_load, idle_w=idle_w)
    level = "the power of each set-up at its highest load is taken from it"
    return Found(
        checks=[
            Check(
                name=name,
                source=_SOURCE,
                metric=metric,
                value=mean_abs(errors),
                target=_TARGET,
                rows=errors.size,
                note=f"half_load fitted to every other of {len(set_ups)} set-ups "
                f"({fitted_to[0]:.3f} and {fitted_to[1]:.3f}), reported on the rest; {level}",
            ),
            Check(
                name="GPU power when serving, shipped class decode",
                source=_SOURCE,
                metric=metric,
                value=mean_abs(shipped),
                target=_TARGET,
                rows=shipped.size,
                note=f"half_load {shipped_half_load:g} as shipped, which was fitted to part of "
                f"this source; {level}",
            ),
            Check(
                name="GPU power when serving, nine tenths of points",
                source=_SOURCE,
                metric="0.9 quantile of absolute relative error",
                value=float(np.quantile(np.abs(shipped), 0.9)),
                target=None,
                rows=shipped.size,
                note="as shipped; the far points are small batches of small models",
            ),
        ]
    )
