"""Plots of the page on the plant model: small SVG files of points that may be reprinted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_training.validation.check import HeadroomRow, Validation

_MEASURED: Final = "#1f2937"
_MODEL: Final = "#d9480f"
_BARS: Final = ("#94a3b8", "#64748b", "#475569", "#d9480f", "#1f2937")
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "coolcap",
}
_DPI: Final = 90


def _write(figure: Figure, path: Path) -> Path:
    FigureCanvasSVG(figure)
    figure.savefig(path, format="svg", dpi=_DPI, metadata={"Date": None, "Creator": "coolcap"})
    return path


def _figure(columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, k + 1) for k in range(columns)]
    return figure, axes


def plot_caps(series: Mapping[str, FloatArray], path: Path) -> Path:
    """Draw ResNet-50 on each GPU, measured and predicted by a fit to other batch sizes."""
    names = [name for name in series if name.startswith("resnet50.")]
    figure, axes = _figure(len(names), width=8.4, height=2.7)
    for axis, name in zip(axes, sorted(names), strict=True):
        cap_w, throughput, throughput_model, energy, energy_model = series[name]
        axis.plot(cap_w, throughput, "o", color=_MEASURED, ms=4, label="throughput")
        axis.plot(cap_w, throughput_model, "-", color=_MODEL, lw=1.5, label="model")
        axis.plot(cap_w, energy, "s", color=_MEASURED, mfc="white", ms=4, label="energy per work")
        axis.plot(cap_w, energy_model, "--", color=_MODEL, lw=1.5, label="model")
        axis.set_title(name.removeprefix("resnet50."))
        axis.set_ylim(0.5, 1.1)
        axis.set_xlabel("power cap, W")
    axes[0].set_ylabel("relative to no cap")
    axes[0].legend(frameon=False, fontsize=7, loc="lower right")
    return _write(figure, path)


def plot_equipment(series: Mapping[str, FloatArray], path: Path) -> Path:
    """Draw what the laws give over what EnergyPlus computed."""
    panels = (
        ("tower.range", "tower: range, K", 1.0),
        ("crah.heat", "dry coil: heat, kW", 1e-3),
        ("chiller.BLAST", "chiller, BLAST: COP", 1.0),
        ("chiller.Carrier", "chiller, Carrier: COP", 1.0),
    )
    shown = [panel for panel in panels if panel[0] in series]
    figure, axes = _figure(len(shown), width=8.4, height=2.5)
    for axis, (name, title, scale) in zip(axes, shown, strict=True):
        there, ours = series[name] * scale
        low, high = 0.95 * min(there.min(), ours.min()), 1.05 * max(there.max(), ours.max())
        axis.fill_between(
            [low, high], [0.95 * low, 0.95 * high], [1.05 * low, 1.05 * high], color="#e2e8f0", lw=0
        )
        axis.plot(there, ours, "o", color=_MODEL, ms=3.5)
        axis.set_xlim(low, high)
        axis.set_ylim(low, high)
        axis.set_title(title)
        axis.set_xlabel("EnergyPlus")
    axes[0].set_ylabel("model; band: 5 %")
    return _write(figure, path)


def plot_headroom(rows: Sequence[HeadroomRow], path: Path) -> Path:
    """Draw cooling energy of B0 to B4 in every climate of a site."""
    climates = list(dict.fromkeys(row.climate for row in rows))
    figure, axes = _figure(len(climates), width=8.4, height=2.4)
    top = 1.1 * max(row.pue for row in rows) - 0.1
    for axis, climate in zip(axes, climates, strict=True):
        here = [row for row in rows if row.climate == climate]
        names = [row.controller for row in here]
        axis.bar(names, [row.pue - 1.0 for row in here], bottom=1.0, color=_BARS[: len(here)])
        for k, row in enumerate(here):
            axis.text(k, row.pue + 0.005, f"{row.pue:.3f}", ha="center", fontsize=7)
        axis.set_ylim(1.0, top)
        axis.set_title(climate)
    axes[0].set_ylabel("PUE")
    return _write(figure, path)


def write_plots(validation: Validation, folder: Path) -> list[Path]:
    """Write all plots that ``validation`` has points for; the same points give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(_STYLE):
        if any(name.startswith("resnet50.") for name in validation.series):
            written.append(plot_caps(validation.series, folder / "gpu-caps.svg"))
        if "tower.range" in validation.series:
            written.append(plot_equipment(validation.series, folder / "equipment.svg"))
        for site in dict.fromkeys(row.site for row in validation.headroom):
            rows = [row for row in validation.headroom if row.site == site]
            written.append(plot_headroom(rows, folder / f"headroom-{site}.svg"))
    return written
