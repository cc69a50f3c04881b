"""Plots of the report, as SVG text. Data come from the telemetry log the controller wrote."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from coolcap_agent.demo.result import Result
from coolcap_agent.demo.series import Series
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.telemetry import FloatArray

_WIDTH_IN = 9.0
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#2a6fbb", "#d9822b", "#3b8f5a", "#c0392b", "#8a8f98"
_STYLE = Path(__file__).with_name("report.mplstyle")


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def _hours(series: Series) -> FloatArray:
    return (np.array(series.time_s) - series.time_s[0]) / 3600.0


def power(plant: Series) -> str:
    """Return IT power and, above it, what cooling and distribution add, over the day."""
    with mpl.rc_context(fname=_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 2.8))
        axes = figure.subplots()
        parts = [
            ("IT equipment", plant.array("it_power_w"), _BLUE),
            (
                "cooling",
                sum(
                    plant.array(name)
                    for name in (
                        "crah_fan_power_w",
                        "chiller_power_w",
                        "pump_power_w",
                        "tower_fan_power_w",
                    )
                ),
                _ORANGE,
            ),
            ("UPS and distribution", plant.array("loss_power_w"), _GREY),
        ]
        axes.stackplot(
            _hours(plant),
            [np.nan_to_num(np.asarray(part[1])) / 1000.0 for part in parts],
            labels=[part[0] for part in parts],
            colors=[part[2] for part in parts],
            alpha=0.85,
        )
        axes.set(xlabel="hour of the day", ylabel="power, kW")
        axes.margins(x=0)
        axes.legend(loc="upper left", ncols=3, frameon=False, bbox_to_anchor=(0, 1.16))
        return _svg(figure)


def temperatures(plant: Series, *, inlet_temp_max_c: float) -> str:
    """Return air temperatures with the inlet limit, and the weather, over the day."""
    with mpl.rc_context(fname=_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 2.8))
        axes = figure.subplots()
        for name, label, colour in (
            ("inlet_temp_max_c", "hottest inlet", _ORANGE),
            ("supply_air_temp_c", "supply air", _BLUE),
            ("chw_supply_temp_c", "chilled water", _GREEN),
            ("wet_bulb_temp_c", "wet bulb outdoors", _GREY),
        ):
            axes.plot(_hours(plant), plant.array(name), label=label, color=colour, lw=1.2)
        axes.axhline(inlet_temp_max_c, color=_RED, ls="--", lw=1, label="inlet limit")
        axes.set(xlabel="hour of the day", ylabel="temperature, °C")
        axes.margins(x=0)
        axes.legend(loc="upper left", ncols=5, frameon=False, bbox_to_anchor=(0, 1.16))
        return _svg(figure)


def caps(groups: Sequence[Series]) -> str:
    """Return the power limit in force per control group over the day, as a map."""
    with mpl.rc_context(fname=_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, max(1.8, min(4.0, 0.17 * len(groups) + 1.0))))
        axes = figure.subplots()
        length = min(len(series.time_s) for series in groups)
        watts = np.stack([series.array("power_limit_w")[:length] for series in groups])
        hours = _hours(groups[0])[length - 1]
        image = axes.imshow(
            watts,
            aspect="auto",
            extent=(0.0, float(hours), len(groups) - 0.5, -0.5),
            cmap="viridis",
            interpolation="nearest",
        )
        if len(groups) <= 32:
            axes.set_yticks(range(len(groups)), [s.tags.get("group", "") for s in groups])
        axes.grid(visible=False)
        axes.set(xlabel="hour of the day", ylabel="control group")
        figure.colorbar(image, ax=axes, label="power limit per GPU, W")
        return _svg(figure)


def setpoints(plant: Series) -> str:
    """Return every plant lever in force over the day."""
    with mpl.rc_context(fname=_STYLE):
        present = [lever for lever in PLANT_LEVERS if np.isfinite(plant.array(lever.name)).any()]
        figure = Figure(figsize=(_WIDTH_IN, 1.5 * max(1, len(present))))
        all_axes = figure.subplots(max(1, len(present)), sharex=True, squeeze=False)[:, 0]
        for axes, lever in zip(all_axes, present, strict=False):
            axes.step(_hours(plant), plant.array(lever.name), color=_BLUE, lw=1.2, where="post")
            unit = "ratio" if lever.unit == "1" else lever.unit
            axes.set_ylabel(unit)
            axes.set_title(lever.meaning, loc="left", fontsize=9)
            axes.margins(x=0)
        all_axes[-1].set_xlabel("hour of the day")
        figure.tight_layout()
        return _svg(figure)


def comparison(results: Sequence[Result], reference: Result) -> str:
    """Return energy per work and work of every controller, relative to the reference."""
    with mpl.rc_context(fname=_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 0.42 * len(results) + 1.1))
        left, right = figure.subplots(1, 2, sharey=True)
        names = [result.name for result in results]
        energy = [-100.0 * result.saving_ratio(reference) for result in results]
        work = [
            100.0 * (result.totals.work_gpu_h / reference.totals.work_gpu_h - 1.0)
            for result in results
        ]
        for axes, values, title, better in (
            (left, energy, "energy per unit of work, %", -1),
            (right, work, "useful work, %", 1),
        ):
            colours = [_GREEN if better * value >= 0 else _ORANGE for value in values]
            bars = axes.barh(names, values, color=colours)
            axes.bar_label(bars, fmt="%+.1f", padding=3)
            axes.axvline(0.0, color="black", lw=0.8)
            axes.set_title(f"{title}, against {reference.name}", loc="left", fontsize=9)
            axes.margins(x=0.18)
        left.invert_yaxis()
        figure.tight_layout()
        return _svg(figure)
