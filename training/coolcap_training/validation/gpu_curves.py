"""Cap curves of the GPU model, computed by the simulator's own law, and their fit to sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.gpu import slope_above_knee
from coolcap_envs.physics.gpu_cap import CAP_TRACKING_RATIO, class_time_ratio, operating_point
from coolcap_envs.physics.jit import kernel
from coolcap_envs.physics.records import CLASS_DTYPE, Record
from coolcap_training.validation.fit import fit

SHAPE = (
    "fixed_share",
    "slope_low",
    "power_knee_clock_ratio",
    "sensitivity",
    "knee_sensitivity",
    "work_knee_clock_ratio",
)
"""What is fitted, in this order, then the four numbers of ``PARAMETERS`` beside them."""

PARAMETERS = (*SHAPE, "peak_over_mean", "peak_per_doubling", "sensitivity_per_doubling")
"""``SHAPE``, then power at the peaks of a step over its mean, for a cap holds the peaks and mean
power stays below it by this factor; then how that factor and ``sensitivity`` change when the batch
doubles, for large batches keep the multiprocessors busier between the steps' waits."""
_SENSITIVITY = SHAPE.index("sensitivity")
_PEAK_BOUNDS = (1.0, 1.6)

_LOW = np.array([0.02, 0.10, 0.30, 0.0, 0.0, 0.30, 1.0, -0.05, -0.1])
_HIGH = np.array([0.60, 1.50, 0.99, 1.5, 3.0, 1.00, 1.4, 0.05, 0.1])
_PRIOR_WIDTH = np.array([0.10, 0.20, 0.15, 0.4, 0.7, 0.2, 0.1, 0.02, 0.05])
_THROUGHPUT_WIDTH = 0.02
"""Residuals count in units of this; the prior, a shipped class, holds what a curve leaves open."""
_CLOCK_MIN_RATIO = 0.17
_BURSTY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One cap sweep.

    Attributes:
        name: GPU and work.
        cap_w: Caps in force.
        natural_w: Mean power without a binding cap; the only level taken from the curve itself.
        throughput: Relative to no cap.
        energy: Per work, relative to no cap; NaN where not measured.
        doublings: Batch size over the middle one of its family, as a power of two.
    """

    name: str
    cap_w: FloatArray
    natural_w: float
    throughput: FloatArray
    energy: FloatArray
    doublings: float = 0.0


@kernel
def _sweep(caps_w: FloatArray, scale: float, work: Record, out: FloatArray) -> None:
    for n in range(caps_w.shape[0]):
        _, time, busy, power_w = operating_point(
            load_ratio=1.0,
            cap_w=CAP_TRACKING_RATIO * caps_w[n],
            power_scale=scale,
            clock_limit_ratio=1.0,
            clock_min_ratio=_CLOCK_MIN_RATIO,
            idle_w=0.0,
            work=work,
        )
        out[0, n] = busy / time
        out[1, n] = power_w


@kernel
def _locked(clocks: FloatArray, work: Record, out: FloatArray) -> None:
    for n in range(clocks.shape[0]):
        out[n] = 1.0 / class_time_ratio(clock_ratio=clocks[n], work=work)


def _work(shape: FloatArray, full_power_w: float) -> Record:
    rows = np.zeros(1, CLASS_DTYPE)
    for name, value in zip(SHAPE, shape, strict=False):
        rows[name] = value
    rows["full_power_w"] = full_power_w
    rows["half_load"] = _BURSTY
    knee = rows["power_knee_clock_ratio"]
    room = 0.995 - rows["slope_low"] * knee
    rows["fixed_share"] = np.minimum(rows["fixed_share"], np.maximum(room, 0.0))
    rows["slope_low"] = np.minimum(rows["slope_low"], (0.995 - rows["fixed_share"]) / knee)
    at_knee = rows["fixed_share"] + rows["slope_low"] * knee
    rows["power_at_knee"] = at_knee
    rows["slope_high"] = slope_above_knee(
        power_at_knee=float(at_knee[0]), knee_clock_ratio=float(knee[0])
    )
    rows["per_full_power"] = 1.0 / full_power_w
    rows["per_slope_low"] = 1.0 / rows["slope_low"]
    rows["per_slope_high"] = 1.0 / rows["slope_high"]
    return rows[0]


def predict(parameters: FloatArray, curve: Curve) -> tuple[FloatArray, FloatArray]:
    """Return throughput and energy per work under the caps of a curve, relative to no cap.

    Args:
        parameters: Values of ``PARAMETERS``.
        curve: Its caps, batch and power without a cap are used, nothing else.
    """
    out = np.empty((2, curve.cap_w.size))
    shape, (peak, peak_step, step) = parameters[: len(SHAPE)].copy(), parameters[len(SHAPE) :]
    shape[_SENSITIVITY] = np.clip(
        shape[_SENSITIVITY] + step * curve.doublings, _LOW[_SENSITIVITY], _HIGH[_SENSITIVITY]
    )
    scale = float(np.clip(peak + peak_step * curve.doublings, *_PEAK_BOUNDS))
    _sweep(curve.cap_w, scale, _work(shape, curve.natural_w), out)
    return out[0], out[1] / curve.natural_w / out[0]


def locked_throughput(parameters: FloatArray, clock_ratio: FloatArray) -> FloatArray:
    """Return relative throughput under clock locks."""
    out = np.empty(clock_ratio.size)
    _locked(clock_ratio, _work(parameters[: len(SHAPE)], 1.0), out)
    return out


def fit_curves(curves: Sequence[Curve], prior: FloatArray) -> FloatArray:
    """Return the parameters that describe all of ``curves`` best.

    Args:
        curves: Sweeps of one GPU and one work.
        prior: Parameters of the shipped class it resembles; they decide what the data leave open.
    """

    def residuals(x: FloatArray) -> FloatArray:
        parts = [(x - prior) / _PRIOR_WIDTH]
        for curve in curves:
            throughput, energy = predict(x, curve)
            parts.append((throughput - curve.throughput) / _THROUGHPUT_WIDTH)
            off = energy / curve.energy - 1.0
            parts.append(np.where(np.isfinite(off), off, 0.0) / (2.0 * _THROUGHPUT_WIDTH))
        return np.concatenate(parts)

    return fit(residuals, prior, low=_LOW, high=_HIGH)
